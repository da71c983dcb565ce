"""The dashboard: counted afresh after random commands, and each of its rules on single cases."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as e
from domain.instants import SECOND, rfc3339
from domain.recorded import session_stream
from domain.values import Actor, Origin, Owner
from domain.world import Change
from projections.dashboard import DASHBOARD_ACTIVITY, DashboardProjector
from projections.queries.dashboard import DashboardFilters, Thresholds, dashboard
from tests.projections.history import RandomHistory
from tests.projections.recount import LIMITS, Recount
from tests.projections.support import HTTP, HUMAN, START, Ledger, rebuilt

CHANNELS = ("", "east", "west")
ORIGINS = (HTTP, Origin("cli", "task.create"), Origin("automation", "nightly"))
TABLES = DashboardProjector.tables
BEGUN = START + 30 * SECOND
ANN = Owner("human", "ann")
T0 = "0001-01-01T00:00:00Z"
Json = dict[str, Any]


class VariedLedger(Ledger):
    """Varies what the dashboard filters on."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def step(self, decide: Any, actor: Actor = HUMAN, origin: Origin = HTTP) -> list[Change]:
        return super().step(decide, actor, self._random.choice(ORIGINS))

    def create(self, task_id: str, **more: Any) -> Change:
        return super().create(task_id, network_channel=self._random.choice(CHANNELS), **more)

    def enqueue(self, task_id: str, run_id: str, **more: Any) -> Change:
        return super().enqueue(
            task_id, run_id, network_channel=self._random.choice(CHANNELS), **more
        )


class VariedHistory(RandomHistory):
    """A random history over many facets."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ledger = VariedLedger(self.random)


filters_of = st.builds(
    DashboardFilters,
    scope=st.sampled_from(("", "", "global", "workspace")),
    workspace_id=st.sampled_from(("", "", "ws-1")),
    owner_kind=st.sampled_from(("", "", "human", "pool")),
    owner_ref=st.sampled_from(("", "", "ann")),
    network_channel=st.sampled_from(("", "", "east")),
    origin_kind=st.sampled_from(("", "", "cli")),
)


def shown(ledger: Ledger, filters: Any = None, thresholds: Any = LIMITS, later: int = 0) -> Json:
    now = ledger.now + later * SECOND
    found = dashboard(ledger.store, now, filters or DashboardFilters(), thresholds, BEGUN)
    return dict(msgspec.json.decode(msgspec.json.encode(found)))


def assert_recounted(ledger: Ledger, filters: DashboardFilters) -> None:
    told, recount = shown(ledger, filters), Recount(ledger, filters)
    active = told["active_runs"]
    items = [(run["run_id"], run["age_ms"], run["stuck"]) for run in active.get("items", ())]
    totals = recount.totals()

    assert told["totals"] == totals
    assert told["cards"]["latency"] == recount.latency()
    assert told["cards"]["failed"]["forced_stops"] == recount.stops(BEGUN)
    assert told["queue"] == recount.queue()
    assert told["health"] == recount.health()
    assert told.get("status_breakdown", []) == recount.breakdown()
    assert items == recount.shown()
    assert active["total"] == totals["active_runs"]
    for status in ("queued", "claimed", "starting", "running"):
        assert active[status] == totals[f"{status}_runs"]
    assert told["freshness"]["latest_activity_at"] == rfc3339(recount.latest())


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), filters=filters_of)
def test_after_each_command_everything_equals_a_recount(
    seed: int, filters: DashboardFilters
) -> None:
    history = VariedHistory(seed)
    for _ in range(80):
        assert_recounted(history.take(1), filters)
    assert_recounted(history.ledger, DashboardFilters())
    fresh = rebuilt(history.ledger.history)
    for table in TABLES:
        assert history.ledger.store.rows(table) == fresh.rows(table)
    fresh.close()
    history.ledger.store.close()


def test_nothing_is_all_zero_ok_and_empty(ledger: Ledger) -> None:
    told = shown(ledger)

    assert set(told) == {"totals", "cards", "queue", "health", "active_runs", "freshness"}
    assert set(told["totals"].values()) == {0}
    assert {card.get("health_status", "ok") for card in told["cards"].values()} == {"ok"}
    assert told["queue"]["oldest_queued_at"] == T0
    assert "depth" not in told["queue"]
    assert "items" not in told["active_runs"]
    assert told["freshness"] == {
        "observed_at": rfc3339(ledger.now),
        "latest_activity_at": T0,
        "age_ms": 0,
        "stale_after_ms": 2000,
        "has_live_work": False,
        "status": "empty",
        "stale": False,
    }


def test_the_last_task_of_a_facet_takes_every_row_with_it(ledger: Ledger) -> None:
    ledger.create("one", owner=Owner("human", "ann"))
    ledger.enqueue("one", "run-1")
    ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunCanceled, "canceled", "canceled")
    ledger.delete("one")

    assert [ledger.store.rows(table) for table in TABLES] == [[] for _ in TABLES]
    assert shown(ledger)["freshness"]["status"] == "empty"


def test_cards_repeat_the_totals_and_warn(ledger: Ledger) -> None:
    ledger.create("waits", status="blocked", approval_policy="manual", approval_state="pending")
    ledger.create("works")
    ledger.depend("waits", "works")
    ledger.enqueue("works", "run-1")
    ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunFailed, "failed", "failed", error="it broke")
    cards = shown(ledger)["cards"]

    # One task may wait for both.
    assert cards["blocked"] == {
        "tasks": 1,
        "awaiting_approval": 1,
        "awaiting_dependencies": 1,
        "needs_attention": 0,
        "health_status": "warn",
    }
    assert cards["failed"] == {
        "tasks": 1,
        "failed_runs": 1,
        "forced_stops": 0,
        "health_status": "warn",
    }
    assert cards["in_progress"]["health_status"] == "ok"


def test_a_forced_stop_counts_from_the_start_of_the_server_on(ledger: Ledger) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.claim("run-1", "session-1")
    ledger.run_fact("run-1", e.RunCanceled, "canceled", "canceled")
    stopped = e.RunForceStopped(session_id="session-1", grace_timeout_ms=0)
    for second, stops in ((BEGUN - 2 * SECOND, 0), (BEGUN - SECOND, 1), (BEGUN, 2)):
        ledger.now = second
        ledger.emit("one", stopped, "run-1")
        failed = shown(ledger)["cards"]["failed"]
        health = "warn" if stops else "ok"
        assert (failed["forced_stops"], failed["health_status"]) == (stops, health)
    assert (
        shown(ledger, DashboardFilters(origin_kind="cli"))["cards"]["failed"]["forced_stops"] == 0
    )
    plan = ledger.store.plan_of("SELECT COUNT(*) FROM dashboard_stops WHERE at >= ?", (BEGUN,))
    assert "dashboard_stops_at" in plan


def test_forced_stops_move_and_go_with_their_task(ledger: Ledger) -> None:
    ledger.now = BEGUN
    ledger.create("one", owner=Owner("human", "ann"))
    ledger.enqueue("one", "run-1")
    ledger.claim("run-1", "session-1")
    ledger.run_fact("run-1", e.RunCanceled, "canceled", "canceled")
    ledger.emit("one", e.RunForceStopped(session_id="session-1", grace_timeout_ms=0), "run-1")
    moved = e.TaskUpdated(
        changed_fields=("owner",), status="canceled", owner=Owner("pool", "builders")
    )

    def stops(owner_kind: str) -> int:
        failed = shown(ledger, DashboardFilters(owner_kind=owner_kind))["cards"]["failed"]
        return int(failed["forced_stops"])

    assert (stops("human"), stops("pool")) == (1, 0)
    ledger.emit("one", moved)
    assert (stops("human"), stops("pool")) == (0, 1)
    ledger.delete("one")
    assert stops("") == 0


def test_a_run_that_needs_attention_is_counted_but_not_active(ledger: Ledger) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.run_fact(
        "run-1",
        e.RunNeedsAttention,
        "needs_attention",
        "ready",
        previous_status="queued",
        diagnostic="expired three times",
    )
    told = shown(ledger)

    assert told["totals"]["needs_attention_runs"] == told["totals"]["runs_total"] == 1
    assert told["cards"]["blocked"]["needs_attention"] == 1
    assert told["totals"]["active_runs"] == told["active_runs"]["total"] == 0


@pytest.mark.parametrize(("blocked", "ready", "shares"), [(1, 5, [83, 17]), (1, 7, [88, 13])])
def test_shares_are_rounded_half_up(
    ledger: Ledger, blocked: int, ready: int, shares: list[int]
) -> None:
    for number in range(blocked + ready):
        ledger.create(f"t-{number}", status="blocked" if number < blocked else "ready")
    rows = shown(ledger)["status_breakdown"]

    assert [row["status"] for row in rows] == ["ready", "blocked"]
    assert [row["share_percent"] for row in rows] == shares


def test_the_queue_is_told_by_channel_the_unbound_runs_first(ledger: Ledger) -> None:
    for number, channel in enumerate(("west", "", "east", "west")):
        ledger.create(f"t-{number}")
        ledger.enqueue(f"t-{number}", f"r-{number}", network_channel=channel)
    queue = shown(ledger)["queue"]

    assert [row.get("network_channel") for row in queue["depth"]] == [None, "east", "west"]
    assert [row["count"] for row in queue["depth"]] == [1, 1, 2]
    assert queue["oldest_queued_at"] == rfc3339(START + 2 * SECOND)
    assert queue["oldest_queue_age_ms"] == 6000
    assert (queue["backlog_warning"], queue["backlog_status"]) == (False, "ok")


@pytest.mark.parametrize(("later", "threshold", "warns"), [(9, 10, 0), (10, 10, 1), (99, 0, 0)])
def test_an_old_queue_warns_at_its_threshold(
    ledger: Ledger, later: int, threshold: int, warns: int
) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    told = shown(ledger, thresholds=Thresholds(backlog=threshold * SECOND), later=later)

    assert told["queue"]["backlog_warning"] is told["health"]["queue_backlog"] is bool(warns)
    assert told["health"]["status"] == told["queue"]["backlog_status"] == ("ok", "warn")[warns]


@pytest.mark.parametrize("status", ["claimed", "starting", "running"])
@pytest.mark.parametrize(("later", "threshold", "stuck"), [(9, 10, 0), (10, 10, 1), (99, -1, 0)])
def test_a_run_is_stuck_from_its_threshold_on(
    ledger: Ledger, status: str, later: int, threshold: int, stuck: int
) -> None:
    ledger.session("s1")
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.claim("run-1", "s1")
    since = ledger.now
    if status != "claimed":
        ledger.run_fact("run-1", e.RunSessionBound, "starting", "ready", session_id="s1")
    if status == "running":
        ledger.run_fact("run-1", e.RunStarted, "running", "in_progress", session_id="s1")
        since = ledger.now
    limits = Thresholds(**{status: threshold * SECOND})
    ledger.now = since
    told = shown(ledger, thresholds=limits, later=later)
    run = told["active_runs"]["items"][0]

    assert told["health"]["stuck_runs"] == stuck
    assert (run["stuck"], run["health_status"]) == (bool(stuck), ("ok", "warn")[stuck])
    assert (run["run_status"], run["age_ms"]) == (status, later * 1000)
    assert told["cards"]["in_progress"]["health_status"] == told["health"]["status"]


def test_a_started_run_without_a_live_session_is_an_orphan(ledger: Ledger) -> None:
    ledger.session("s1")
    for number, session in enumerate(("s1", "gone", "")):
        ledger.create(f"t-{number}")
        ledger.enqueue(f"t-{number}", f"r-{number}")
        ledger.claim(f"r-{number}", session)
    assert shown(ledger)["health"]["active_orphan_runs"] == 0
    for number in range(3):
        ledger.run_fact(f"r-{number}", e.RunStarting, "starting", "ready")
    assert shown(ledger)["health"]["active_orphan_runs"] == 2
    stopped = e.SessionStopped(session_id="s1")
    ledger.step(lambda plan: plan.emit(session_stream("s1"), stopped))

    assert shown(ledger)["health"]["active_orphan_runs"] == 3


def test_the_furthest_and_then_the_latest_four_active_runs_are_shown(ledger: Ledger) -> None:
    for number in range(6):
        ledger.create(f"t-{number}", owner=Owner("human", f"user-{number % 2}"))
        ledger.enqueue(f"t-{number}", f"r-{number}")
    ledger.claim("r-0", "s1")
    active = shown(ledger)["active_runs"]

    assert [run["run_id"] for run in active["items"]] == ["r-0", "r-5", "r-4", "r-3"]
    assert (active["total"], active["claimed"], active["queued"]) == (6, 1, 5)
    first = active["items"][0]
    assert first["task_id"] == "t-0"
    assert first["task_owner"] == {"kind": "human", "ref": "user-0"}
    assert first["latest_event_seq"] == ledger.task("t-0").task.latest_event_seq
    assert (first["session_id"], first["max_attempts"], first["scope"]) == ("s1", 3, "global")


def test_a_shown_run_needs_its_rows(ledger: Ledger) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.store.connection.execute("DELETE FROM runs")

    assert "items" not in shown(ledger)["active_runs"]


@pytest.mark.parametrize(
    ("later", "threshold", "status"),
    [(2, 2, "current"), (3, 2, "stale"), (99, 0, "current")],
)
def test_live_work_without_activity_becomes_stale(
    ledger: Ledger, later: int, threshold: int, status: str
) -> None:
    ledger.create("one")
    assert shown(ledger, later=99)["freshness"]["status"] == "current"
    ledger.enqueue("one", "run-1")
    limits = Thresholds(stale=threshold * SECOND)
    told = shown(ledger, thresholds=limits, later=later)["freshness"]

    assert (told["status"], told["stale"]) == (status, status == "stale")
    assert (told["has_live_work"], told["age_ms"]) == (True, later * 1000)
    assert told["latest_activity_at"] == rfc3339(ledger.now)


def hand_over(ledger: Ledger, task_id: str) -> None:
    """Let somebody else own a task."""
    bob = Owner("human", "bob")
    fact = e.TaskUpdated(changed_fields=("owner",), status="ready", owner=bob)
    ledger.emit(task_id, fact)


@pytest.mark.parametrize("leave", [Ledger.delete, hand_over])
def test_what_a_task_did_goes_with_it(
    ledger: Ledger, leave: Callable[[Ledger, str], object]
) -> None:
    for name in ("first", "second"):
        ledger.create(name, workspace="ws-1", owner=ANN)
    there = DashboardFilters(workspace_id="ws-1", owner_ref=ANN.ref)
    first = ledger.task("first").task.last_activity_at
    leave(ledger, "second")

    assert shown(ledger, there)["freshness"]["latest_activity_at"] == rfc3339(first)
    assert_recounted(ledger, DashboardFilters())


def test_a_heartbeat_is_activity_and_nothing_else(ledger: Ledger) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.claim("run-1", "s1")
    before = [ledger.store.rows(table) for table in TABLES]
    extended = {"lease_until": 1, "heartbeat_at": ledger.now, "claim_token_hash": "x"}
    ledger.run_fact("run-1", e.RunLeaseExtended, "claimed", "ready", **extended)
    after = [ledger.store.rows(table) for table in TABLES]

    changed = [table for table, was, now in zip(TABLES, before, after, strict=True) if was != now]
    assert changed == [DASHBOARD_ACTIVITY]
    assert [row[-2:] for row in ledger.store.rows(DASHBOARD_ACTIVITY)] == [(ledger.now, "one")]


def test_an_answer_looks_at_no_task_run_or_event(ledger: Ledger) -> None:
    ledger.create("one")
    ledger.enqueue("one", "run-1")
    ledger.store.selects.clear()
    shown(ledger)

    assert len(ledger.store.selects) <= 9
    for statement in ledger.store.selects:
        places = statement.count("?")
        plan = ledger.store.plan_of(statement, ("",) * places)
        scanned = {line for line in plan.splitlines() if line.startswith("SCAN")}
        assert scanned <= {"SCAN facet"}, (statement, plan)
