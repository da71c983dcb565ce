"""The backlog: claim order, pauses that reach down, and counters."""

from collections.abc import Iterable
from itertools import islice

import pytest

from domain import events as e
from domain.values import Owner, Priority, TaskStatus
from domain.world import ClaimQuery
from projections import backlog
from projections.backlog import (
    BACKLOG,
    BACKLOG_TREE,
    COUNTERS,
    PAUSED_TASKS,
)
from projections.queries.claims import claimable_runs, waiting_runs
from projections.rows import Row
from tests.projections.support import Ledger


def wanted(
    workspace: str = "",
    *,
    agent: str = "coder",
    session: str = "session-1",
    channel: str = "",
    priority: int = 0,
) -> ClaimQuery:
    return ClaimQuery(
        workspace_id=workspace,
        agent_name=agent,
        session_id=session,
        channel=channel,
        priority_min=priority,
    )


def claimable(ledger: Ledger, query: ClaimQuery | None = None) -> list[str]:
    return [run_id for _, run_id in claimable_runs(ledger.store.select, query or wanted())]


def queue(
    ledger: Ledger,
    name: str,
    *,
    parent: str = "",
    workspace: str = "",
    status: TaskStatus = "ready",
    priority: Priority = "medium",
    owner: Owner | None = None,
    channel: str = "",
) -> None:
    ledger.create(
        f"task-{name}",
        parent=parent,
        workspace=workspace,
        status=status,
        priority=priority,
        owner=owner,
    )
    ledger.enqueue(f"task-{name}", f"run-{name}", coordination_channel_id=channel)


def update(ledger: Ledger, task_id: str, **fields: object) -> None:
    status = ledger.task(task_id).task.status
    names = tuple(fields)
    ledger.emit(task_id, e.TaskUpdated(changed_fields=names, status=status, **fields))  # type: ignore[arg-type]


def counters(ledger: Ledger) -> dict[str, int]:
    rows = ledger.store.rows(COUNTERS)
    return {name: value for name, workspace_id, value in rows if not workspace_id and value}


def test_runs_come_by_priority_then_age(ledger: Ledger) -> None:
    priorities: list[Priority] = ["low", "medium", "urgent", "high", "medium"]
    for number, priority in enumerate(priorities, 1):
        queue(ledger, str(number), priority=priority)

    assert claimable(ledger) == ["run-3", "run-4", "run-2", "run-5", "run-1"]
    assert claimable(ledger, wanted(priority=30)) == ["run-3", "run-4"]


def test_runs_of_the_same_age_come_by_id(ledger: Ledger) -> None:
    for task_id in ("task-1", "task-2"):
        ledger.create(task_id)
    fact = e.RunEnqueued(attempt=1, status="queued", task_status="ready")

    def both(plan: object) -> None:
        plan.emit_task("task-1", fact, "run-b")  # type: ignore[attr-defined]
        plan.emit_task("task-2", fact, "run-a")  # type: ignore[attr-defined]

    ledger.step(both)

    assert claimable(ledger) == ["run-a", "run-b"]


def test_a_workspace_is_served_apart_from_the_others_and_from_global_tasks(ledger: Ledger) -> None:
    queue(ledger, "global")
    queue(ledger, "one", workspace="ws-1")
    queue(ledger, "two", workspace="ws-2")

    assert claimable(ledger) == ["run-global"]
    assert claimable(ledger, wanted("ws-1")) == ["run-one"]


def test_owners_get_their_own_runs_and_those_of_nobody(ledger: Ledger) -> None:
    queue(ledger, "human", owner=Owner("human", "ann"))
    queue(ledger, "session", owner=Owner("agent_session", "session-1"))
    queue(ledger, "pool", owner=Owner("pool", "coder"))
    queue(ledger, "other", owner=Owner("pool", "tester"))
    queue(ledger, "nobody")

    assert claimable(ledger) == ["run-session", "run-pool", "run-nobody"]
    assert claimable(ledger, wanted(agent="tester", session="s")) == ["run-other", "run-nobody"]


def test_a_session_with_a_channel_gets_only_the_runs_of_that_channel(ledger: Ledger) -> None:
    for number in ("1", "2", "3"):
        queue(ledger, number, workspace="ws-1", channel="room" if number == "2" else "hall")

    assert claimable(ledger, wanted("ws-1", channel="room")) == ["run-2"]
    assert claimable(ledger, wanted("ws-1")) == ["run-1", "run-2", "run-3"]


@pytest.mark.parametrize("status", ["draft", "blocked", "canceled"])
def test_the_status_of_the_task_holds_its_run_back(ledger: Ledger, status: TaskStatus) -> None:
    queue(ledger, "1", status=status)

    assert claimable(ledger) == []

    fact = e.TaskStatusChanged(
        previous_status=status, status="ready", cause_event_id="evt", cause_task_id="task-9"
    )
    ledger.emit("task-1", fact)
    assert claimable(ledger) == ["run-1"]


def test_a_changed_priority_or_owner_moves_the_run(ledger: Ledger) -> None:
    queue(ledger, "1")
    queue(ledger, "2")

    update(ledger, "task-2", priority="high")
    assert claimable(ledger) == ["run-2", "run-1"]

    update(ledger, "task-2", owner=Owner("human", "ann"))
    assert claimable(ledger) == ["run-1"]


def test_a_claimed_run_leaves_and_a_released_one_comes_back_with_its_old_age(
    ledger: Ledger,
) -> None:
    queue(ledger, "1")
    queue(ledger, "2")
    ledger.claim("run-1", "session-1")

    assert claimable(ledger) == ["run-2"]
    assert counters(ledger) == {backlog.QUEUED: 1, backlog.ACTIVE: 1}

    ledger.release("run-1")
    assert claimable(ledger) == ["run-1", "run-2"]
    assert counters(ledger) == {backlog.QUEUED: 2}


def test_a_run_that_needs_attention_is_counted_and_not_claimable(ledger: Ledger) -> None:
    queue(ledger, "1")
    ledger.run_fact(
        "run-1", e.RunNeedsAttention, "needs_attention", "ready", previous_status="queued"
    )

    assert claimable(ledger) == []
    assert counters(ledger) == {backlog.NEEDS_ATTENTION: 1}


def test_a_pause_holds_back_everything_below_until_it_ends(ledger: Ledger) -> None:
    queue(ledger, "root")
    queue(ledger, "child", parent="task-root")
    queue(ledger, "grandchild", parent="task-child")
    queue(ledger, "other")

    ledger.pause("task-root")

    assert claimable(ledger) == ["run-other"]
    assert counters(ledger) == {
        backlog.QUEUED: 1,
        backlog.QUEUED_PAUSED: 3,
        backlog.PAUSED: 1,
    }
    assert ledger.store.rows(PAUSED_TASKS) == [("task-root",)]

    ledger.resume("task-root")
    assert claimable(ledger) == ["run-root", "run-child", "run-grandchild", "run-other"]
    assert counters(ledger) == {backlog.QUEUED: 4}
    assert ledger.store.rows(PAUSED_TASKS) == []


def test_a_run_below_two_pauses_waits_for_both_to_end(ledger: Ledger) -> None:
    queue(ledger, "root")
    queue(ledger, "child", parent="task-root")
    ledger.pause("task-root")
    ledger.pause("task-child")

    ledger.resume("task-root")
    assert claimable(ledger) == ["run-root"]

    ledger.pause("task-root")
    ledger.resume("task-child")
    assert claimable(ledger) == []

    ledger.resume("task-root")
    assert claimable(ledger) == ["run-root", "run-child"]


def test_a_run_queued_below_a_pause_is_held_back_from_the_start(ledger: Ledger) -> None:
    ledger.create("task-root")
    ledger.pause("task-root")
    queue(ledger, "child", parent="task-root")

    assert claimable(ledger) == []
    assert ledger.store.rows(BACKLOG_TREE) == [("task-root", "run-child")]

    ledger.resume("task-root")
    assert claimable(ledger) == ["run-child"]


def test_pausing_twice_counts_once(ledger: Ledger) -> None:
    queue(ledger, "1")
    ledger.pause("task-1")
    ledger.pause("task-1")

    ledger.resume("task-1")

    assert claimable(ledger) == ["run-1"]
    assert counters(ledger) == {backlog.QUEUED: 1}


def test_a_paused_blocked_task_stays_held_back_when_the_pause_ends(ledger: Ledger) -> None:
    ledger.create("task-root")
    queue(ledger, "child", parent="task-root", status="blocked")
    ledger.pause("task-root")
    ledger.resume("task-root")

    assert claimable(ledger) == []


def test_a_deleted_paused_task_is_no_longer_counted(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.pause("task-1")

    ledger.delete("task-1")

    assert counters(ledger) == {}
    assert ledger.store.rows(PAUSED_TASKS) == []


def test_a_run_that_replaces_a_queued_one_in_a_single_event_takes_its_place(
    ledger: Ledger,
) -> None:
    queue(ledger, "root")
    queue(ledger, "child", parent="task-root")
    before = ledger.task("task-child")
    change = ledger.enqueue("task-child", "run-next")
    first = before.runs["run-child"]
    ended = before.with_run(
        type(first)(
            id=first.id,
            task_id=first.task_id,
            status="failed",
            attempt=1,
            origin=first.origin,
            queued_at=first.queued_at,
        )
    )
    after = ended.with_run(ledger.run("run-next"))
    rows = Ledger()
    for earlier in ledger.changes[:-1]:
        rows.store.apply(earlier)
    rows.store.apply(
        type(change)(
            recorded=change.recorded,
            before=before,
            after=after,
            task=after,
            about=after,
            paused_by="",
        )
    )

    assert claimable(rows) == ["run-root", "run-next"]
    assert rows.store.rows(BACKLOG_TREE) == [("task-root", "run-next")]
    rows.store.close()


def test_events_that_change_nothing_here_write_nothing(ledger: Ledger) -> None:
    rows = Ledger([backlog.BacklogProjector()])
    queue(rows, "1", workspace="ws-1")
    writes = rows.store.writes

    update(rows, "task-1", title="other")
    rows.session("session-1")

    assert rows.store.writes == writes
    rows.store.close()


def test_the_queue_is_counted_by_workspace_too(ledger: Ledger) -> None:
    queue(ledger, "1", workspace="ws-1")
    queue(ledger, "2", workspace="ws-1")
    queue(ledger, "3")
    ledger.pause("task-2")

    rows = {row[:2]: row[2] for row in ledger.store.rows(COUNTERS)}

    assert rows[backlog.QUEUED, "ws-1"] == 1
    assert rows[backlog.QUEUED_PAUSED, "ws-1"] == 1
    assert rows[backlog.QUEUED, ""] == 2


def fill(ledger: Ledger, rows: Iterable[Row]) -> None:
    """Put rows into the queue as they are."""
    places = ", ".join("?" * len(BACKLOG.columns))
    ledger.store.connection.executemany(f"INSERT INTO backlog VALUES ({places})", rows)
    ledger.store.selects.clear()


def test_the_first_runs_of_a_long_queue_cost_a_few_small_reads(ledger: Ledger) -> None:
    rows = (
        (f"run-{n:05}", f"task-{n}", "ws-1", "", -20, n, "room", "", "", "", 0, 1, 0, 0)
        for n in range(20_000)
    )
    fill(ledger, rows)

    for query in (wanted("ws-1"), wanted("ws-1", channel="room")):
        first = list(islice(claimable_runs(ledger.store.select, query), 30))
        assert [run_id for _, run_id in first] == [f"run-{n:05}" for n in range(30)]

    # One read for the first, then one for each owner and two more pages of the one that has runs.
    assert len(ledger.store.selects) == 2 * 6


@pytest.mark.parametrize(("channel", "index"), [("", "backlog_claim "), ("room", "claim_channel")])
def test_a_claim_is_read_from_its_index(ledger: Ledger, channel: str, index: str) -> None:
    queue(ledger, "1")
    claimable(ledger, wanted("", channel=channel))
    statements = ledger.store.selects[-4:]

    for statement in statements if not channel else statements[-1:]:
        plan = ledger.store.plan_of(statement, [""] * statement.count("?"))
        assert index in plan
        assert "TEMP B-TREE" not in plan


def test_a_whole_queue_is_handed_out_in_pages(ledger: Ledger) -> None:
    for number in range(30):
        queue(ledger, f"{number:02}")

    assert claimable(ledger) == [f"run-{number:02}" for number in range(30)]


def test_runs_that_wait_are_the_claimable_ones_queued_by_then(ledger: Ledger) -> None:
    ledger.create("held", status="blocked")
    for name in ("one", "two", "late"):
        ledger.create(name)
    for name in ("held", "one", "two"):
        ledger.enqueue(name, f"run-{name}")
    by_then = ledger.now
    ledger.enqueue("late", "run-late")

    assert waiting_runs(ledger.store, by_then, 9) == [("one", "run-one"), ("two", "run-two")]
    assert waiting_runs(ledger.store, by_then, 1) == [("one", "run-one")]


def test_runs_that_wait_are_read_from_an_index(ledger: Ledger) -> None:
    waiting_runs(ledger.store, ledger.now, 9)
    plan = ledger.store.plan_of(ledger.store.selects[-1], (1,) * 8)

    assert "backlog_list" in plan
    assert "SCAN backlog" not in plan
    assert "TEMP B-TREE" not in plan
