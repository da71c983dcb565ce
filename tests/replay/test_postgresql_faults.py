"""A committer whose sessions on PostgreSQL end in the middle of its work."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from domain.errors import ValidationError
from domain.world import Context
from replay.batch import AbandonedError
from replay.committer import Committer
from replay.errors import StoreUnavailableError
from replay.ledger import Ledger
from replay.places import environment_of
from replay.postgresql.sessions import Session
from replay.store import locked
from tests.faults.client import until
from tests.replay.support import committer_of, context, register, together
from tests.support.obstacles import (
    at_each_commit,
    cut_connections,
    kept_open_by_lock,
    let_commits_be,
    session_ended,
    waits,
)
from tests.support.postgres import shared

pytestmark = pytest.mark.anyio


@pytest.fixture(name="ledger")
def _ledger(place: str) -> Iterator[Ledger]:
    with closing(Ledger(environment_of(place))) as ledger:
        yield ledger


async def comes(condition: Callable[[], bool]) -> None:
    """Let others go on until something is so."""
    while not condition():
        await asyncio.sleep(0.02)


async def goes_on(committer: Committer, ledger: Ledger, names: list[str]) -> bool:
    """Whether a command is taken and the log holds what it should."""
    await committer.submit(register("after"), context())
    await committer.close()
    found = ledger.read(0, 100)
    return [each.originator_id for each in found] == [f"workspace:{n}" for n in [*names, "after"]]


async def test_ended_before_a_batch(ledger: Ledger, place: str) -> None:
    committer = committer_of(ledger)
    await committer.submit(register("w1"), context())
    shared().end_sessions(place)
    await committer.submit(register("w2"), context())

    assert await goes_on(committer, ledger, ["w1", "w2"])


async def test_ended_while_the_lock_is_waited_for(ledger: Ledger, place: str) -> None:
    with closing(Ledger(environment_of(place))) as other:
        committer = committer_of(ledger)
        locked(other.writer, 1)
        waiting = asyncio.create_task(committer.submit(register("w1"), context()))
        await asyncio.sleep(0.1)
        shared().end_sessions(place)
        await waiting

        assert await goes_on(committer, ledger, ["w1"])


async def test_ended_while_commands_are_decided(ledger: Ledger, place: str) -> None:
    committer = committer_of(ledger)

    def ending() -> Context:
        shared().end_sessions(place)
        return context()

    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await committer.submit(register("lost"), ending)

    assert await goes_on(committer, ledger, [])


async def test_ended_for_doing_nothing_while_commands_are_decided(place: str) -> None:
    impatient = f"{place}?options=-c%20idle_in_transaction_session_timeout%3D100ms"
    with closing(Ledger(environment_of(impatient))) as ledger:
        committer = committer_of(ledger)
        session = ledger.writer.connection
        assert isinstance(session, Session)

        def idling() -> Context:
            until(lambda: session_ended(shared(), session.number), "the session is ended")
            return context()

        with pytest.raises(StoreUnavailableError):
            await committer.submit(register("lost"), idling)

        assert await goes_on(committer, ledger, [])


async def test_ended_before_a_batch_with_nothing_to_write_is_undone(
    ledger: Ledger, place: str
) -> None:
    committer = committer_of(ledger)
    await committer.submit(register("w1"), context())
    looks = iter((False,))

    def gone() -> bool:
        if next(looks, True):
            shared().end_sessions(place)
            return True
        return False

    leaving = asyncio.create_task(committer.submit(register("w2"), context(), gone=gone))
    refused = asyncio.create_task(committer.submit(register("w3", "w1"), context()))

    with pytest.raises(AbandonedError):
        await leaving
    with pytest.raises(ValidationError):
        await refused
    assert await goes_on(committer, ledger, ["w1"])


async def test_ended_in_the_commit(ledger: Ledger, place: str) -> None:
    committer = committer_of(ledger)
    at_each_commit(place, "pg_terminate_backend(pg_backend_pid())")
    outcomes = await together(committer, register("lost"), register("lost too"))
    let_commits_be(place)

    assert [type(each) for each in outcomes] == [StoreUnavailableError] * 2
    assert await goes_on(committer, ledger, [])


async def test_ended_while_the_commit_takes_its_time(ledger: Ledger, place: str) -> None:
    committer = committer_of(ledger)
    at_each_commit(place, "pg_sleep(25)")
    waiting = asyncio.create_task(committer.submit(register("lost"), context()))
    await comes(lambda: "PgSleep" in waits(shared(), place))
    shared().end_sessions(place)

    with pytest.raises(StoreUnavailableError):
        await waiting
    let_commits_be(place)
    assert await goes_on(committer, ledger, [])


async def test_cut_off_while_the_commit_is_done(ledger: Ledger, place: str) -> None:
    committer = committer_of(ledger)
    with kept_open_by_lock(place, str(shared().folder)) as begun:
        waiting = asyncio.create_task(committer.submit(register("w1"), context()))
        await comes(begun)
        cut_connections(shared().port)

    assert (await waiting).head == 1
    let_commits_be(place)
    assert await goes_on(committer, ledger, ["w1"])
