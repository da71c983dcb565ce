"""The inbox: lanes, triage, counts, order and search, on single cases and on random histories."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as e
from domain.recorded import actor_stream
from domain.task.state import Run, TaskState, latest_run
from domain.values import PRIORITY_VALUE, Actor, Owner, Priority, TriageAction
from projections.inbox import INBOX_COUNTERS, INBOX_LANES, INBOX_WORK, TRIAGE
from projections.queries.inbox import InboxFilters, task_inbox, triage_of
from projections.wire.inbox import InboxGroup, InboxItem
from tests.projections.history import CALLERS, RandomHistory
from tests.projections.support import HUMAN, Ledger

ANN, BOB = Actor("human", "ann"), Actor("human", "bob")
LANES = ["my_work", "approvals", "failed_runs", "blocked", "archived"]
PENDING: dict[str, Any] = {
    "approval_policy": "manual",
    "approval_state": "pending",
    "status": "blocked",
}


def triage(ledger: Ledger, task_id: str, action: TriageAction, actor: Actor = ANN) -> None:
    task = ledger.task(task_id).task
    fact = e.TaskTriaged(
        triaged_task_id=task_id,
        action=action,
        workspace_id=task.workspace_id,
        last_seen_activity_at=task.last_activity_at,
    )
    ledger.step(lambda plan: plan.emit(actor_stream(actor), fact), actor)


def lanes(ledger: Ledger, actor: Actor = ANN, **filters: Any) -> dict[str, list[str]]:
    """Return the shown task ids of the lanes that are not empty."""
    inbox = task_inbox(ledger.store, actor, InboxFilters(**filters))
    return {g.lane: [item.task.id for item in g.items] for g in inbox.groups if g.items}


def item(ledger: Ledger, task_id: str, actor: Actor = ANN) -> InboxItem:
    groups = task_inbox(ledger.store, actor, InboxFilters()).groups
    return next(item for group in groups for item in group.items if item.task.id == task_id)


def fail(ledger: Ledger, run_id: str, status: Any = "ready") -> None:
    ledger.run_fact(run_id, e.RunFailed, "failed", status, error="it broke")


def failed(ledger: Ledger, task_id: str, run_id: str, status: Any = "ready") -> None:
    ledger.create(task_id)
    ledger.enqueue(task_id, run_id)
    ledger.claim(run_id)
    fail(ledger, run_id, status)


def test_an_empty_inbox_shows_all_lanes_in_order_and_no_items(ledger: Ledger) -> None:
    shown = msgspec.to_builtins(task_inbox(ledger.store, ANN, InboxFilters()))

    assert shown == {
        "total": 0,
        "unread_total": 0,
        "archived_total": 0,
        "groups": tuple({"lane": lane, "count": 0, "unread_count": 0} for lane in LANES),
    }


def test_each_task_is_in_the_first_lane_that_fits(ledger: Ledger) -> None:
    ledger.create("approval", **PENDING)
    ledger.create("blocked", status="blocked")
    ledger.create("rejected", **{**PENDING, "approval_state": "rejected"})
    ledger.create("mine", owner=Owner("human", "ann"))
    ledger.create("pool", owner=Owner("pool", "ann"))
    ledger.create("draft", status="draft", owner=Owner("human", "ann"))
    failed(ledger, "failed", "run-1")
    failed(ledger, "done", "run-2", "completed")

    assert lanes(ledger) == {
        "my_work": ["mine"],
        "approvals": ["approval"],
        "failed_runs": ["done", "failed"],
        "blocked": ["rejected", "blocked"],
    }
    assert "my_work" not in lanes(ledger, BOB)


def test_a_claim_makes_it_the_claimers_work_until_it_ends(ledger: Ledger) -> None:
    ledger.create("task")
    ledger.enqueue("task", "run")
    ledger.claim("run", "s1")
    claimer = Actor("agent_session", "s1")
    assert lanes(ledger, claimer) == {"my_work": ["task"]}

    ledger.release("run")
    assert lanes(ledger, claimer) == {}


def test_a_newer_attempt_takes_the_task_out_of_the_failed_ones(ledger: Ledger) -> None:
    failed(ledger, "task", "run-1")
    assert lanes(ledger) == {"failed_runs": ["task"]}

    ledger.enqueue("task", "run-2")
    assert lanes(ledger) == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (PENDING, "awaiting_approval"),
        ({**PENDING, "approval_state": "rejected"}, "approval_rejected"),
        ({"status": "blocked"}, "awaiting_dependencies"),
        ({"owner": Owner("human", "ann")}, ""),
    ],
)
def test_the_reason_tells_why_a_task_does_not_go_on(
    ledger: Ledger, fields: dict[str, Any], reason: str
) -> None:
    ledger.create("task", **fields)
    assert item(ledger, "task").blocking_reason == reason


def test_an_archived_task_keeps_its_reason_and_its_reduced_run(ledger: Ledger) -> None:
    failed(ledger, "task", "run")
    triage(ledger, "task", "archive")
    shown = item(ledger, "task")

    assert (shown.lane, shown.blocking_reason) == ("archived", "latest_run_failed")
    assert shown.run is not None
    assert set(msgspec.to_builtins(shown.run)) == {
        "id",
        "task_id",
        "status",
        "attempt",
        "max_attempts",
        "claimed_by",
        "queued_at",
        "claimed_at",
        "ended_at",
        "error",
    }


def test_without_a_record_everything_is_unread_and_never_updated(ledger: Ledger) -> None:
    ledger.create("task", status="blocked")

    assert msgspec.to_builtins(item(ledger, "task").triage) == {
        "task_id": "task",
        "actor": {"kind": "human", "ref": "ann"},
        "read": False,
        "archived": False,
        "dismissed": False,
        "updated_at": "0001-01-01T00:00:00Z",
    }
    assert triage_of(ledger.store, "task", ANN) is None


def test_what_was_read_or_dismissed_comes_back_with_any_activity(ledger: Ledger) -> None:
    for task_id, action in (("one", "read"), ("two", "dismiss")):
        ledger.create(task_id, status="blocked")
        triage(ledger, task_id, "dismiss" if action == "dismiss" else "read")
    assert item(ledger, "one").triage.read
    assert lanes(ledger) == {"blocked": ["one"]}

    ledger.pause("one")
    ledger.pause("two")
    for task_id in ("one", "two"):
        state = item(ledger, task_id).triage
        assert (state.read, state.dismissed) == (False, False)
    stored = triage_of(ledger.store, "two", ANN)
    assert stored is not None
    assert stored.dismissed


def test_what_is_archived_stays_archived_and_read(ledger: Ledger) -> None:
    ledger.create("task", status="blocked")
    triage(ledger, "task", "archive")
    triage(ledger, "task", "dismiss")
    triage(ledger, "task", "read")
    triage(ledger, "task", "dismiss")
    ledger.pause("task")

    state = item(ledger, "task").triage
    assert (state.read, state.archived, state.dismissed) == (True, True, False)
    assert lanes(ledger) == {"archived": ["task"]}
    inbox = task_inbox(ledger.store, ANN, InboxFilters())
    assert (inbox.total, inbox.unread_total, inbox.archived_total) == (1, 0, 1)
    assert task_inbox(ledger.store, ANN, InboxFilters(unread=True)).archived_total == 0


def test_triage_of_one_caller_is_nothing_to_another(ledger: Ledger) -> None:
    ledger.create("task", status="blocked")
    triage(ledger, "task", "dismiss")

    assert lanes(ledger) == {}
    assert lanes(ledger, BOB) == {"blocked": ["task"]}


def test_records_go_away_with_the_task(ledger: Ledger) -> None:
    ledger.create("task", status="blocked")
    triage(ledger, "task", "archive")
    triage(ledger, "task", "read", BOB)
    ledger.delete("task")

    for table in (INBOX_LANES, INBOX_WORK, TRIAGE):
        assert ledger.store.rows(table) == []


def test_unread_comes_first_then_activity_then_priority_then_id(ledger: Ledger) -> None:
    def create(plan: Any) -> None:
        priorities: dict[str, Priority] = {"b": "low", "c": "urgent", "a": "low"}
        for task_id, priority in priorities.items():
            fact = e.TaskCreated(scope="global", title="t", status="blocked", priority=priority)
            plan.emit_task(task_id, fact)

    ledger.step(create)
    ledger.create("later", status="blocked")
    ledger.create("seen", status="blocked")
    triage(ledger, "seen", "read")

    assert lanes(ledger)["blocked"] == ["later", "c", "a", "b", "seen"]
    assert lanes(ledger, unread=True)["blocked"] == ["later", "c", "a", "b"]
    assert lanes(ledger, limit=2)["blocked"] == ["later", "c"]
    assert lanes(ledger, limit=5)["blocked"][-1] == "seen"
    inbox = task_inbox(ledger.store, ANN, InboxFilters(limit=1))
    assert (inbox.total, inbox.unread_total) == (5, 4)


@pytest.mark.parametrize(
    ("query", "found"),
    [("100%", ["pct"]), ("_", ["under"]), ("hELLO", ["pct"]), ("ID-7", ["under"]), ("t 1", [])],
)
def test_search_takes_every_character_as_it_is(
    ledger: Ledger, query: str, found: list[str]
) -> None:
    ledger.create("pct", status="blocked", title="Hello 100%", description="t 1")
    ledger.create("under", status="blocked", title="a_b", identifier="id-7")
    ledger.create("plain", status="blocked", title="plain 100")

    assert lanes(ledger, query=query).get("blocked", []) == found
    assert task_inbox(ledger.store, ANN, InboxFilters(query=query)).total == len(found)


def test_filters_narrow_down_by_scope_workspace_owner_and_lane(ledger: Ledger) -> None:
    ledger.create("global", status="blocked", owner=Owner("pool", "x"))
    ledger.create("one", status="blocked", workspace="w1")
    ledger.create("two", status="blocked", workspace="w2")

    assert lanes(ledger, scope="global") == {"blocked": ["global"]}
    assert lanes(ledger, scope="workspace", workspace_id="w1") == {"blocked": ["one"]}
    assert lanes(ledger, owner_kind="pool") == {"blocked": ["global"]}
    assert lanes(ledger, owner_ref="y") == {}
    only = task_inbox(ledger.store, ANN, InboxFilters(lane="my_work"))
    assert [(g.lane, g.count) for g in only.groups] == [("my_work", 0)]
    assert only.total == 0


def test_runs_that_need_attention_are_told_beside_the_lanes(ledger: Ledger) -> None:
    ledger.create("task", owner=Owner("human", "ann"))
    ledger.enqueue("task", "run")
    ledger.run_fact(
        "run",
        e.RunNeedsAttention,
        "needs_attention",
        "ready",
        previous_status="queued",
        diagnostic="why",
    )
    for filters in (InboxFilters(), InboxFilters(owner_ref="ann")):
        attention = task_inbox(ledger.store, ANN, filters).needs_attention
        assert attention is not None
        assert attention.count == 1
        assert attention.items[0].run is not None
        assert attention.items[0].run.error == "why"
    assert lanes(ledger) == {"my_work": ["task"]}
    assert task_inbox(ledger.store, ANN, InboxFilters(query="no")).needs_attention is None


def test_a_task_whose_own_row_is_behind_is_left_out(ledger: Ledger) -> None:
    failed(ledger, "task", "run")
    ledger.store.connection.execute("DELETE FROM tasks")

    assert lanes(ledger) == {}


def test_a_page_of_a_lane_reads_an_index_and_counts_nothing(ledger: Ledger) -> None:
    plan = ledger.store.plan_of(
        "SELECT r.task_id FROM inbox_lanes r LEFT JOIN triage t ON t.task_id = r.task_id"
        " AND t.actor_kind = ? AND t.actor_ref = ? WHERE r.lane = ?"
        " ORDER BY r.last_activity_at DESC, r.rank, r.task_id LIMIT ?",
        ("human", "ann", "blocked", 50),
    )
    assert "inbox_lanes_order" in plan
    assert "TEMP B-TREE" not in plan


histories = st.builds(
    lambda seed, steps: RandomHistory(seed).take(steps),
    st.integers(0, 2**32),
    st.integers(0, 150),
)


class Record:
    """The triage of one task and caller, from its events."""

    def __init__(self, ledger: Ledger, task_id: str, actor: Actor) -> None:
        self.archived = self.dismissed = False
        self.seen = -1
        for past in ledger.history:
            fact = past.fact
            if not isinstance(fact, e.TaskTriaged) or past.actor != actor:
                continue
            if fact.triaged_task_id == task_id:
                self.archived = self.archived or fact.action == "archive"
                self.dismissed = fact.action == "dismiss"
                self.seen = fact.last_seen_activity_at


def lane_of(state: TaskState, actor: Actor, record: Record) -> str:
    task, run = state.task, latest_run(state.runs.values())
    if record.archived:
        return "archived"
    if record.dismissed and record.seen >= task.last_activity_at:
        return ""
    if (task.status, task.approval_policy, task.approval_state) == ("blocked", "manual", "pending"):
        return "approvals"
    if run is not None and run.status == "failed":
        return "failed_runs"
    if task.status == "blocked":
        return "blocked"
    owned = task.owner is not None and (task.owner.kind, task.owner.ref) == (actor.kind, actor.ref)
    claimed = any(_works_on(run, actor) for run in state.runs.values())
    open_ = task.status not in {"draft", "completed", "failed", "canceled"}
    return "my_work" if open_ and (owned or claimed) else ""


def _works_on(run: Run, actor: Actor) -> bool:
    return run.is_active and run.claimed_by == actor


def expected(ledger: Ledger, actor: Actor) -> dict[str, list[tuple[str, bool]]]:
    """Return (task id, unread) of each lane in order, computed from the states and events."""
    found: dict[str, list[tuple[Any, str, bool]]] = {lane: [] for lane in LANES}
    for state in ledger.states.values():
        if not isinstance(state, TaskState) or state.task.deleted:
            continue
        task, record = state.task, Record(ledger, state.id, actor)
        if lane := lane_of(state, actor, record):
            unread = not record.archived and task.last_activity_at > record.seen
            order = (not unread, -task.last_activity_at, -PRIORITY_VALUE[task.priority], task.id)
            found[lane].append((order, task.id, unread))
    return {lane: [(row[1], row[2]) for row in sorted(rows)] for lane, rows in found.items()}


def told(groups: tuple[InboxGroup, ...]) -> dict[str, list[tuple[str, bool]]]:
    return {g.lane: [(item.task.id, not item.triage.read) for item in g.items] for g in groups}


@settings(max_examples=80)
@given(histories)
def test_every_inbox_equals_computing_it_from_scratch(ledger: Ledger) -> None:
    for actor in (*CALLERS, HUMAN):
        wanted = expected(ledger, actor)
        inbox = task_inbox(ledger.store, actor, InboxFilters())
        assert told(inbox.groups) == wanted
        counts = {g.lane: (g.count, g.unread_count) for g in inbox.groups}
        assert counts == {
            lane: (len(rows), sum(unread for _, unread in rows)) for lane, rows in wanted.items()
        }
        searched = task_inbox(ledger.store, actor, InboxFilters(query="t"))
        assert msgspec.to_builtins(searched) == msgspec.to_builtins(inbox)
        unread = task_inbox(ledger.store, actor, InboxFilters(unread=True))
        assert (unread.total, unread.unread_total) == (inbox.unread_total, inbox.unread_total)
    ledger.store.close()


@settings(max_examples=40)
@given(histories)
def test_the_counters_equal_counting(ledger: Ledger) -> None:
    counted: dict[tuple[str, str], int] = {}
    for row in ledger.store.rows(INBOX_LANES):
        counted[row[0], row[2]] = counted.get((row[0], row[2]), 0) + 1
    assert {row[:2]: row[2] for row in ledger.store.rows(INBOX_COUNTERS) if row[2]} == counted
    ledger.store.close()
