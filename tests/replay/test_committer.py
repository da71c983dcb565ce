import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from domain.commands import Command
from domain.errors import StreamHeldError, ValidationError
from domain.registry import WorkspaceState
from replay.batch import Commit
from replay.cache import StateCache
from replay.committer import Outcome
from replay.errors import StoreOpenError, StoreUnavailableError
from replay.ledger import Ledger
from replay.read_models import position_of
from tests.replay.support import (
    FIRST_TIME,
    POISON,
    Break,
    Clock,
    Repeat,
    committer_of,
    context,
    env_of,
    opened,
    register,
    together,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path) as ledger:
        yield ledger


def name_of(ledger: Ledger, workspace_id: str) -> str:
    state = ledger.state(f"workspace:{workspace_id}")
    assert isinstance(state, WorkspaceState)
    return state.name


def heads(outcomes: list[Outcome | BaseException]) -> list[int]:
    return [outcome.head for outcome in outcomes if isinstance(outcome, Outcome)]


async def test_commands_that_wait_together_become_one_commit(ledger: Ledger) -> None:
    commits: list[Commit] = []
    committer = committer_of(ledger, on_commit=[commits.append])
    outcomes = await together(committer, *(register(f"w{n}") for n in range(5)))

    assert heads(outcomes) == [1, 2, 3, 4, 5]
    assert [(commit.previous, commit.head) for commit in commits] == [(0, 5)]
    assert [row[0] for row in commits[0].rows["timeline"]] == [1, 2, 3, 4, 5]
    assert (committer.metrics.batches, committer.metrics.mean_batch) == (1, 5)


async def test_a_batch_holds_at_most_256_commands(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    outcomes = await together(committer, *(register(f"w{n}") for n in range(600)))

    assert heads(outcomes) == list(range(1, 601))
    assert committer.metrics.batches == 3


async def test_one_request_of_many_commands_is_recorded_at_one_time(ledger: Ledger) -> None:
    committer = committer_of(ledger, clock=count(FIRST_TIME).__next__)
    commands = (register("w1"), register("w2"))
    first, last = await committer.submit_together(commands, context())

    assert isinstance(first, Outcome)
    assert isinstance(last, Outcome)
    (one,), (other,) = first.changes, last.changes
    assert one.recorded.command_id == other.recorded.command_id
    assert one.recorded.recorded_at == other.recorded.recorded_at


async def test_the_reply_says_what_the_next_read_shows(ledger: Ledger) -> None:
    outcome = await committer_of(ledger).submit(register("w1", "first"), context())

    assert ledger.reader.select("SELECT * FROM names") == [("first", "w1")]
    assert [event.sequence for event in ledger.read(0, 10)] == [outcome.head]
    assert ledger.head == outcome.head
    assert [change.recorded.type for change in outcome.changes] == ["workspace.registered"]


async def test_a_command_sees_what_earlier_ones_of_its_batch_did(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    first, second, third, fourth = await together(
        committer,
        register("w1", "name"),
        register("w2", "name"),
        register("w1", "other"),
        register("w2", "name"),
    )

    assert isinstance(second, ValidationError)
    assert "name of w1" in str(second)
    assert heads([first, third, fourth]) == [1, 2, 3]
    assert committer.metrics.batches == 1
    assert (name_of(ledger, "w1"), name_of(ledger, "w2")) == ("other", "name")


async def test_a_refusal_hurts_only_its_own_command(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    await committer.submit(register("w0", "taken"), context())
    outcomes = await together(
        committer, register("w1"), register("w2", "taken"), register("w3"), register("w4", "taken")
    )

    assert heads(outcomes) == [2, 3]
    assert [event.originator_id for event in ledger.read(1, 10)] == ["workspace:w1", "workspace:w3"]
    assert ledger.state("workspace:w2") is None
    assert committer.metrics.refusals == 2


@pytest.mark.parametrize(
    ("guilty", "error"), [(register("bad", POISON), StreamHeldError), (Break(), TypeError)]
)
@pytest.mark.parametrize("place", [0, 2, 4])
async def test_only_the_command_that_breaks_fails(
    ledger: Ledger, guilty: Command, error: type[Exception], place: int
) -> None:
    committer = committer_of(ledger)
    await committer.submit(Repeat(workspace_id="w1", times=3), context())
    commands: list[Command] = [register(f"w{n}", f"new {n}") for n in range(4)]
    commands.insert(place, guilty)
    outcomes = await together(committer, *commands)

    assert isinstance(outcomes.pop(place), error)
    assert heads(outcomes) == [4, 5, 6, 7]
    assert [event.sequence for event in ledger.read(0, 100)] == list(range(1, 8))
    assert [name_of(ledger, f"w{n}") for n in range(4)] == [f"new {n}" for n in range(4)]
    assert ledger.state("workspace:bad") is None


async def test_every_read_model_stands_at_the_head(ledger: Ledger) -> None:
    await together(committer_of(ledger), register("w1"), register("w2"))

    positions = {name: position_of(ledger.writer.connection, name) for name in ("names", "frames")}
    assert positions == {"names": 2, "frames": 2}


async def test_a_read_model_that_is_behind_is_caught_up_at_start(ledger: Ledger) -> None:
    await committer_of(ledger).submit(register("w1"), context())
    ledger.writer.connection.execute("DELETE FROM tracking WHERE application_name='frames'")
    ledger.writer.connection.execute("DELETE FROM timeline")

    committer_of(ledger)

    assert ledger.reader.select("SELECT sequence FROM timeline") == [(1,)]


async def test_states_too_heavy_to_keep_are_right_within_a_batch(ledger: Ledger) -> None:
    ledger.cache = StateCache(max_states=0)
    committer = committer_of(ledger)
    for _ in range(2):
        await together(committer, *(register("w1", f"name {n}") for n in range(4)))

    assert len(ledger.cache) == 0
    assert [event.originator_version for event in ledger.read(0, 10)] == list(range(1, 9))


async def test_recorded_at_never_decreases(path: Path) -> None:
    clock = Clock()
    with opened(path) as ledger:
        committer = committer_of(ledger, clock=clock)
        for now in (FIRST_TIME, FIRST_TIME + 50, FIRST_TIME + 20):
            clock.now = now
            await committer.submit(register("w1"), context())
    with opened(path) as ledger:
        await committer_of(ledger, clock=Clock(FIRST_TIME)).submit(register("w1"), context())
        times = [event.recorded_at - FIRST_TIME for event in ledger.read(0, 10)]

    assert times == [0, 50, 50, 50]


async def test_the_context_is_made_when_the_command_is_decided(ledger: Ledger) -> None:
    clock = Clock()
    committer = committer_of(ledger)
    waiting = asyncio.ensure_future(committer.submit(register("w1"), lambda: context(clock.now)))
    clock.now += 5
    outcome = await waiting

    assert outcome.changes[0].recorded.occurred_at == FIRST_TIME + 5


async def test_a_caller_that_leaves_before_its_command_is_decided_takes_it_along(
    ledger: Ledger,
) -> None:
    committer = committer_of(ledger)
    leaving = asyncio.ensure_future(committer.submit(register("w1"), context()))
    staying = asyncio.ensure_future(committer.submit(register("w2"), context()))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying

    assert ledger.state("workspace:w1") is None


async def test_closing_settles_what_was_accepted_and_accepts_nothing_more(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    accepted = [
        asyncio.ensure_future(committer.submit(register(f"w{n}"), context())) for n in range(300)
    ]
    await asyncio.sleep(0)
    await committer.close()

    assert heads(await asyncio.gather(*accepted, return_exceptions=True)) == list(range(1, 301))
    with pytest.raises(StoreUnavailableError):
        await committer.submit(register("late"), context())
    with pytest.raises(StoreUnavailableError):
        committer.execute(register("late"), context())
    await committer.close()


def test_commands_are_executed_without_an_event_loop(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    outcome = committer.execute(register("w1", "name"), context())

    assert (outcome.head, name_of(ledger, "w1")) == (1, "name")
    with pytest.raises(ValidationError):
        committer.execute(register("w2", "name"), context())
    with pytest.raises(StreamHeldError):
        committer.execute(register("w2", POISON), context())
    assert committer.execute(register("w3"), context()).head == 2


async def test_a_listener_that_fails_hurts_neither_callers_nor_other_listeners(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    commits: list[Commit] = []

    def fail(commit: Commit) -> None:
        raise ValueError(commit.head)

    committer = committer_of(ledger, on_commit=[fail, commits.append])
    await committer.submit(register("w1"), context())
    await asyncio.sleep(0)

    assert [commit.head for commit in commits] == [1]
    assert "a listener failed at sequence 1" in caplog.text


async def test_slow_commits_move_to_a_thread_without_a_change_for_callers(path: Path) -> None:
    commits: list[Commit] = []
    with opened(path) as ledger:
        committer = committer_of(ledger, slow_commit_ms=-1, on_commit=[commits.append])
        for round_ in range(40):
            commands = (register(f"w{n}", f"{n}-{round_}") for n in range(5))
            outcomes = await together(committer, *commands, register("w9", f"0-{round_}"))
            assert len(heads(outcomes)) == 5
        assert committer.metrics.threaded
        await committer.close()

    with opened(path) as ledger:
        assert [event.sequence for event in ledger.read(0, 1000)] == list(range(1, 201))
        assert name_of(ledger, "w4") == "4-39"
    assert [commit.head for commit in commits] == list(range(5, 201, 5))


async def test_what_is_decided_is_committed_though_the_caller_leaves(ledger: Ledger) -> None:
    committer = committer_of(ledger, slow_commit_ms=-1)
    await committer.submit(register("w0"), context())
    leaving = asyncio.ensure_future(committer.submit(register("w1", "decided"), context()))
    while not committer.committing:
        await asyncio.sleep(0)
    leaving.cancel()
    after = committer.execute(register("w2"), context())

    assert after.head == 3
    assert name_of(ledger, "w1") == "decided"
    await committer.close()


def test_a_ledger_in_memory_is_refused() -> None:
    with pytest.raises(StoreOpenError, match="needs a database file"):
        Ledger(env_of(Path("file::memory:?cache=shared")))
