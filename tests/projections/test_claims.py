"""Claims of runs that ask something of a session: what is found, in what order, at what cost."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as e
from domain.profile import ExecutionProfile, ParticipantPolicy, WorkerProfile
from domain.values import NO_JSON, Json, Owner, Priority
from domain.world import ClaimQuery
from projections.backlog import BACKLOG
from projections.queries.claims import claimable_runs, waiting_runs
from projections.rows import Row
from tests.projections.support import Ledger, rebuilt
from tests.support.world import World

AGENTS = ("coder", "tester")
PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high")


def asking(**members: object) -> ClaimQuery:
    """Return what a session may be handed."""
    usual: dict[str, object] = {
        "workspace_id": "",
        "agent_name": "coder",
        "session_id": "s1",
        "channel": "",
        "priority_min": 0,
    }
    return ClaimQuery(**{**usual, **members})  # type: ignore[arg-type]


def require(ledger: Ledger, task_id: str, profile: ExecutionProfile) -> None:
    """Set the profile of a task."""
    fact = e.TaskProfileUpdated(
        task_id=task_id,
        coordinator_mode=profile.coordinator.mode,
        worker_mode=profile.worker.mode,
        sandbox_mode=profile.sandbox.mode,
        profile=profile,
    )
    ledger.emit(task_id, fact)


def needing(*capabilities: str) -> ExecutionProfile:
    """Return a profile that requires capabilities."""
    return ExecutionProfile(worker=WorkerProfile(mode="select", required_capabilities=capabilities))


def found(ledger: Ledger, claim: ClaimQuery) -> list[str]:
    return [run_id for _, run_id in claimable_runs(ledger.store.select, claim)]


class RandomQueue:
    """A queue in which most runs ask for something."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ledger = Ledger()

    def fill(self, runs: int) -> Ledger:
        for number in range(runs):
            self._add(str(number))
        return self.ledger

    def _add(self, name: str) -> None:
        pick = self.random.choice
        self.ledger.create(
            name,
            workspace=pick(("", "", "ws")),
            priority=pick(PRIORITIES),
            owner=pick((None, None, Owner("pool", "coder"), Owner("agent_session", "s1"))),
        )
        self.ledger.enqueue(
            name,
            f"run-{name}",
            coordination_channel_id=pick(("", "room")),
            metadata=pick((NO_JSON, Json(b"{}"), Json(b"[1]"))),
        )
        if self.random.random() < 0.7:
            require(self.ledger, name, self._profile())
        if self.random.random() < 0.1:
            self.ledger.pause(name)

    def _profile(self) -> ExecutionProfile:
        pick = self.random.choice
        worker = WorkerProfile(
            mode="select",
            agent_name=pick(("", "", *AGENTS)),
            allowed_agent_names=pick(((), (), AGENTS, AGENTS[:1])),
            required_capabilities=pick(((), (), ("go",), ("go", "sql"))),
        )
        participants = ParticipantPolicy(
            allowed_agent_names=pick(((), (), AGENTS[1:])),
            required_capabilities=pick(((), (), ("sql",))),
        )
        return ExecutionProfile(worker=worker, participants=participants)


queues = st.builds(
    lambda seed, runs: RandomQueue(seed).fill(runs), st.integers(0, 2**32), st.integers(1, 14)
)
claims = st.builds(
    ClaimQuery,
    workspace_id=st.sampled_from(("", "", "ws")),
    agent_name=st.sampled_from((*AGENTS, "other")),
    session_id=st.sampled_from(("s1", "s2")),
    channel=st.sampled_from(("", "", "room")),
    priority_min=st.sampled_from((0, 0, 20)),
    offered=st.sets(st.sampled_from(("go", "sql", "c"))).map(frozenset),
    soul=st.booleans(),
)


@settings(max_examples=80)
@given(queues, st.lists(claims, min_size=5, max_size=5))
def test_the_queue_hands_out_what_a_scan_finds(ledger: Ledger, asked: list[ClaimQuery]) -> None:
    scanned = World()
    scanned.states = ledger.states
    for claim in asked:
        runs = list(claimable_runs(ledger.store.select, claim))
        assert runs == list(scanned.claimable_runs(claim))
    again = rebuilt(ledger.history)
    assert ledger.store.rows(BACKLOG) == again.rows(BACKLOG)
    again.close()
    ledger.store.close()


@settings(max_examples=80)
@given(queues, st.lists(claims, min_size=5, max_size=5), st.integers(0, 2**32))
def test_rows_that_are_not_stored_yet_count_as_if_they_were(
    ledger: Ledger, asked: list[ClaimQuery], seed: int
) -> None:
    expected = [list(claimable_runs(ledger.store.select, claim)) for claim in asked]
    unstored = unstore(ledger, Random(seed))
    for claim, runs in zip(asked, expected, strict=True):
        assert list(claimable_runs(ledger.store.select, claim, unstored)) == runs
    ledger.store.close()


def unstore(ledger: Ledger, random: Random) -> dict[Row, Row | None]:
    """Take back rows of the queue in the store; return what is missing there."""
    unstored: dict[Row, Row | None] = {}
    for row in ledger.store.rows(BACKLOG):
        if random.random() < 0.6:
            unstored[row[:1]] = row
            ledger.store.delete(BACKLOG, row[:1])
        if random.random() < 0.3:
            # As it was before: more urgent, or gone in the meantime.
            name = random.choice((row[0], f"{row[0]}-gone"))
            unstored.setdefault((name,), row if name == row[0] else None)
            ledger.store.put(BACKLOG, (name, *row[1:4], row[4] - 1, *row[5:]))
    return unstored


def test_runs_that_ask_for_something_keep_their_place(ledger: Ledger) -> None:
    for number in range(30):
        ledger.create(f"t{number}", priority="high" if number % 7 == 0 else "medium")
        ledger.enqueue(f"t{number}", f"r{number:02}")
        if number % 3:
            require(ledger, f"t{number}", needing("go") if number % 2 else needing("go", "sql"))
    high = [f"r{number:02}" for number in range(0, 30, 7)]
    others = [f"r{number:02}" for number in range(30) if number % 7]

    assert found(ledger, asking(offered=frozenset(("go", "sql")))) == high + others
    free = [run_id for run_id in high + others if int(run_id[1:]) % 3 == 0]
    assert found(ledger, asking()) == free


def test_one_event_moves_a_run_between_the_queues(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.enqueue("t", "r")
    require(ledger, "t", needing("go"))
    assert found(ledger, asking()) == []
    assert found(ledger, asking(offered=frozenset(("go",)))) == ["r"]
    require(ledger, "t", needing("sql"))
    assert found(ledger, asking(offered=frozenset(("go",)))) == []
    ledger.emit("t", e.TaskProfileDeleted(task_id="t"))
    assert found(ledger, asking()) == ["r"]


def test_a_run_nobody_offers_enough_for_waits_all_the_same(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.enqueue("t", "r")
    require(ledger, "t", needing("go"))
    assert waiting_runs(ledger.store, ledger.now, 9) == [("t", "r")]


@pytest.mark.parametrize("channel", ["", "room"])
def test_a_claim_looks_at_each_demand_once_whatever_waits(ledger: Ledger, channel: str) -> None:
    demands = (
        ("", "d1", '{"capabilities":["go"]}'),
        ("", "d2", '{"capabilities":["sql"]}'),
        ("coder", "d3", '{"worker_agent":"coder"}'),
        ("tester", "d4", '{"worker_agent":"tester"}'),
    )
    places = ", ".join("?" * len(BACKLOG.columns))
    ledger.store.connection.executemany(
        f"INSERT INTO backlog VALUES ({places})",
        (
            (f"r{n:05}", f"t{n}", "", "", -20, n, "room", *demands[n % 4], 0, 2, 0, 0)
            for n in range(20_000)
        ),
    )
    ledger.store.selects.clear()
    claim = asking(channel=channel, offered=frozenset(("go",)))
    first = next(claimable_runs(ledger.store.select, claim))

    assert first == ("t0", "r00000")
    # Those who ask for nothing, the demands of anybody and of the agent, and two that are met.
    assert len(ledger.store.selects) == 5
    for statement in ledger.store.selects:
        plan = ledger.store.plan_of(statement, [""] * statement.count("?"))
        assert "TEMP B-TREE" not in plan
        assert "SCAN backlog" not in plan
        assert "backlog_claim" in plan or "backlog_demand" in plan
