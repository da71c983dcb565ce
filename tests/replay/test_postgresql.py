"""What is PostgreSQL's own: in which order writers follow, and how a session heals."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

import psycopg
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from domain.errors import DomainError, StreamHeldError
from domain.recorded import workspace_stream
from replay.committer import Committer
from replay.errors import (
    ForeignDatabaseError,
    StoreUnavailableError,
    is_undone,
)
from replay.ledger import Ledger
from replay.places import environment_of
from replay.postgresql.recorder import Factory
from replay.store import locked
from tests.faults.client import until
from tests.replay.support import committer_of, context, register, together
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.anyio
WRITERS = 32
EACH = 12


def test_a_follower_of_many_writers_skips_and_repeats_nothing(place: str) -> None:
    factory = Factory(environment_of(place) | {"ORIGINATOR_ID_TYPE": "text"})
    with closing(factory):
        recorder = factory.process_recorder()
        written: list[int] = []

        def write(number: int) -> None:
            for version in range(1, EACH + 1):
                event = StoredEvent(f"task:{number}", version, "t", b"{}")
                written.extend(recorder.insert_events([event]) or ())

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        seen: list[int] = []
        page: Sequence[Notification] = ()
        writing = True
        while writing or page:
            # Asked before reading, so that the last page is read after the last commit.
            writing = any(writer.is_alive() for writer in writers)
            start = seen[-1] if seen else 0
            page = recorder.select_notifications(start, 7, inclusive_of_start=False)
            seen += [each.id for each in page]
        for writer in writers:
            writer.join()

    assert seen == list(range(1, WRITERS * EACH + 1)) == sorted(written)


def test_selects_go_on_after_the_session_was_ended(cluster: PostgresServer, place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        cluster.end_sessions(place)

        assert ledger.reader.select("SELECT 1") == [(1,)]
        with ledger.snapshot() as reader:
            assert reader.select("SELECT 2") == [(2,)]


def test_only_one_process_leads_and_another_follows_when_it_ends(place: str) -> None:
    first, second = Ledger(environment_of(place)), Ledger(environment_of(place))
    with closing(second):
        with closing(first):
            assert first.access.leads()
            assert not second.access.leads()
            assert first.access.leads()

        # The server notices within moments that a session is gone.
        until(second.access.leads, "the second leads")


def test_a_leader_that_asks_no_more_whether_it_leads_does_so_no_longer(place: str) -> None:
    with (
        closing(Ledger(environment_of(place))) as first,
        closing(Ledger(environment_of(place))) as second,
    ):
        assert first.access.leads()
        assert first.access.leads()
        until(second.access.leads, "the second leads")
        assert not first.access.leads()


def test_processes_get_numbers_of_their_own(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        assert ledger.access.node() != ledger.access.node()


def test_the_lock_of_all_writers_is_busy_for_the_second(place: str) -> None:
    first, second = Ledger(environment_of(place)), Ledger(environment_of(place))
    with closing(first), closing(second):
        first.writer.begin()
        with pytest.raises(ForeignDatabaseError) as refused:
            second.writer.begin()
        first.writer.rollback()

        assert refused.value.busy
        assert second.writer.begin().in_transaction


def test_rows_are_loaded_while_another_process_writes(place: str) -> None:
    rows = [(number, f"row {number}", bytes([number])) for number in range(200)]
    with closing(Ledger(environment_of(place))) as ledger:
        with ledger.access.apart() as session:
            session.execute("CREATE TABLE loaded (a INTEGER, b TEXT, c BLOB)")
        with closing(Ledger(environment_of(place))) as other:
            locked(other.writer, 5)
            with ledger.access.loading() as loading:
                loading.executemany("INSERT INTO loaded (a,b,c) VALUES (?,?,?)", rows)
                loading.executemany("INSERT INTO loaded (a,b,c) VALUES (?,?,?)", [])
            other.writer.rollback()

        assert ledger.reader.select("SELECT a, b, c FROM loaded ORDER BY a") == rows


def test_sums_are_whole_numbers(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        with ledger.access.apart() as session:
            session.execute("CREATE TABLE numbers (a INTEGER)")
            session.executemany("INSERT INTO numbers (a) VALUES (?)", [(1 << 62,), (1 << 62,)])
        (found,) = ledger.reader.select("SELECT sum(a), sum(-a) FROM numbers")
        with ledger.access.snapshot(large=True) as session:
            (large,) = session.execute("SELECT sum(a) FROM numbers").fetchall()

    assert [*found, *large] == [1 << 63, -(1 << 63), 1 << 63]
    assert {type(value) for value in (*found, *large)} == {int}


VALUES = ("", "a", '\u00e4\U0001f600 \\ " {,}', 0, -1, 1 << 62, b"", b"\x00\xff", None)


def test_values_come_back_as_they_went(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        session = ledger.writer.connection
        for value in VALUES:
            assert session.execute("SELECT ?", (value,)).fetchone() == (value,)
        session.execute("CREATE TABLE kinds (a TEXT, b INTEGER, c BLOB)")
        rows = [("", -(1 << 63), b""), (VALUES[2], (1 << 63) - 1, bytes(range(256)))]
        session.executemany("INSERT INTO kinds VALUES (?,?,?)", rows)
        session.executemany("INSERT INTO kinds VALUES (?,?,?)", [])

        found = session.execute("SELECT * FROM kinds ORDER BY b")
        assert found.fetchmany(1) == rows[:1]
        assert list(found) == rows[1:]
        assert session.execute("SELECT sum(b) FROM kinds").fetchone() == (-1,)
        session.executemany("DELETE FROM kinds WHERE a=? AND b=?", [rows[0][:2]])
        assert session.execute("SELECT count(*) FROM kinds").fetchone() == (1,)
        assert session.execute("UPDATE kinds SET b = 0").rowcount == 1


def test_what_fails_before_a_commit_is_surely_not_committed(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        writer = ledger.writer
        locked(writer, 1).execute("INSERT INTO meta VALUES ('kept', 1)")
        writer.commit()
        doubtful = locked(writer, 1)
        doubtful.execute("INSERT INTO meta VALUES ('undone', 1)")
        failing = doubtful.execute("INSERT INTO meta VALUES ('kept', 2)")
        with pytest.raises(ForeignDatabaseError, match="duplicate key") as failed:
            writer.commit()

        assert is_undone(failed.value)
        with pytest.raises(ForeignDatabaseError, match="duplicate key"):
            failing.fetchone()
        writer.rollback()
        found = locked(writer, 1).execute("SELECT key FROM meta WHERE key IN ('kept', 'undone')")
        assert found.fetchall() == [("kept",)]


def test_a_transaction_that_failed_can_be_undone(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        locked(ledger.writer, 1).execute("SELECT no_such_column")
        ledger.writer.rollback()

        assert locked(ledger.writer, 1).execute("SELECT 1").fetchone() == (1,)


def test_a_session_that_was_ended_is_opened_anew_when_the_lock_is_taken(
    cluster: PostgresServer, place: str
) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        locked(ledger.writer, 1)
        ledger.writer.rollback()
        cluster.end_sessions(place)

        assert locked(ledger.writer, 1).execute("SELECT 1").fetchone() == (1,)


async def test_a_refused_row_fails_its_command_alone(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        committer = committer_of(ledger)
        with psycopg.connect(place, autocommit=True) as admin:
            admin.execute("ALTER TABLE names ADD CHECK (name <> 'refused')")
        outcomes = await together(committer, *map(register, ("w1", "refused", "w2")))
        await committer.close()

        assert [getattr(outcome, "head", None) for outcome in outcomes] == [1, None, 2]
        assert isinstance(outcomes[1], ForeignDatabaseError)


async def test_a_command_without_the_loop_ends_the_batch_that_is_on_its_way(place: str) -> None:
    commits: list[int] = []
    settings = environment_of(place)
    with closing(Ledger(settings)) as ledger, closing(Ledger(settings)) as other:
        committer = committer_of(ledger, on_commit=[lambda commit: commits.append(commit.head)])
        locked(other.writer, 1)
        first = asyncio.create_task(committer.submit(register("w1"), context()))
        await asyncio.sleep(0.1)
        assert committer.committing
        other.writer.rollback()
        # What others committed is looked at behind the batch.
        committer.poll()
        assert committer.execute(register("w2"), context()).head == 2
        assert (await first).head == 1
        assert (await committer.submit(register("w3"), context())).head == 3
        await committer.close()

    assert commits == [1, 2, 3]


async def test_the_loop_goes_on_while_another_process_writes(place: str) -> None:
    settings = environment_of(place)
    with (
        closing(Ledger(settings)) as first,
        closing(Ledger(settings)) as second,
        closing(Ledger(settings | {"POSTGRES_LOCK_TIMEOUT": "1"})) as impatient,
    ):
        committer = committer_of(first)
        committer_of(second)
        locked(second.writer, 1)
        waiting = asyncio.create_task(committer.submit(register("w1"), context()))
        await asyncio.sleep(0.1)
        assert committer.committing
        second.writer.rollback()
        assert (await waiting).head == 1
        await committer.close()

        committer = committer_of(impatient)
        locked(second.writer, 1)
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            await committer.submit(register("w2"), context())
        second.writer.rollback()
        assert (await committer.submit(register("w2"), context())).head == 2
        await committer.close()


@asynccontextmanager
async def two(
    place: str, told: list[tuple[int, int]]
) -> AsyncIterator[tuple[Committer, Committer]]:
    """Yield the committers of two processes; `told` gets the heads the first is told of."""
    with (
        closing(Ledger(environment_of(place))) as first,
        closing(Ledger(environment_of(place))) as second,
    ):
        here = committer_of(first, on_commit=[lambda each: told.append((each.previous, each.head))])
        there = committer_of(second)
        yield here, there
        for committer in (here, there):
            await committer.close()


async def test_what_another_process_committed_is_told_in_order(place: str) -> None:
    told: list[tuple[int, int]] = []
    async with two(place, told) as (here, there):
        await there.submit(register("w1"), context())
        await here.submit(register("w2"), context())
        await there.submit(register("w3"), context())
        here.poll()

    assert told == [(0, 1), (1, 2), (2, 3)]


async def test_a_command_that_writes_nothing_tells_what_it_found_too(place: str) -> None:
    told: list[tuple[int, int]] = []
    async with two(place, told) as (here, there):
        await there.submit(register("w1", "taken"), context())
        with pytest.raises(DomainError):
            await here.submit(register("w2", "taken"), context())

    assert told == [(0, 1)]


async def test_a_process_hears_of_the_commits_of_others_only(place: str) -> None:
    sent, heard = [""], []
    with (
        closing(Ledger(environment_of(place))) as first,
        closing(Ledger(environment_of(place))) as second,
    ):
        here, there = committer_of(first), committer_of(second)
        watching = asyncio.create_task(first.access.watch(lambda: heard.append(sent[-1])))
        while not heard:
            await asyncio.sleep(0.01)
        for name, committer in (("w1", here), ("w2", there)):
            sent.append(name)
            await committer.submit(register(name), context())
            # Time enough to hear what should not be heard.
            await asyncio.sleep(0.2)
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        watching.cancel()
        for committer in (here, there):
            await committer.close()

    assert heard == ["", "w2"]


async def test_commands_find_what_another_process_has_left(place: str) -> None:
    names = [f"w{number}" for number in range(40)]
    with (
        closing(Ledger(environment_of(place))) as first,
        closing(Ledger(environment_of(place))) as second,
    ):
        here, there = committer_of(first), committer_of(second)
        for committer in (here, there, there, here):
            await together(committer, *map(register, names))
        for committer in (here, there):
            await committer.close()
        second.refresh()
        found = second.read(0, 1_000)

    assert [each.sequence for each in found] == list(range(1, 161))
    streams = [workspace_stream(name) for name in names]
    assert [each.originator_id for each in found] == streams * 4
    assert [each.originator_version for each in found] == [n for n in (1, 2, 3, 4) for _ in names]


async def test_a_stream_that_cannot_be_read_holds_no_other_up(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        committer = committer_of(ledger)
        await committer.submit(register("w1"), context())
        with psycopg.connect(place, autocommit=True) as admin:
            row = (2, workspace_stream("bad"), 1, "workspace.registered", b"\0")
            admin.execute("INSERT INTO stored_events VALUES (%s, %s, %s, %s, %s)", row)
        for head in (3, 4):
            outcomes = await together(committer, register("bad"), register("w2"))

            assert isinstance(outcomes[0], StreamHeldError)
            assert getattr(outcomes[1], "head", None) == head
        await committer.close()
