"""The scheduler's status and the backlog of the operators."""

from typing import Any

import msgspec
import pytest

from domain import events as e
from domain.instants import SECOND
from domain.registry import SchedulerState
from domain.values import Priority
from projections.queries.scheduler import active_claims, backlog_page, scheduler_status
from tests.projections.support import Ledger


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def queue(
    ledger: Ledger, name: str, workspace: str = "", parent: str = "", priority: Priority = "medium"
) -> None:
    ledger.create(f"task-{name}", workspace=workspace, parent=parent, priority=priority)
    ledger.enqueue(f"task-{name}", f"run-{name}")


def listed(ledger: Ledger, **filters: Any) -> tuple[list[str], int]:
    page = backlog_page(ledger.store, **filters)
    return [entry.run.id for entry in page.runs], page.total


def test_the_backlog_of_a_scope_counts_its_own_runs_alone(ledger: Ledger) -> None:
    queue(ledger, "1")
    queue(ledger, "2", workspace="w1")
    queue(ledger, "3", workspace="w2")

    assert listed(ledger, scope="global") == (["run-1"], 1)
    assert listed(ledger, scope="workspace") == (["run-2", "run-3"], 2)
    assert listed(ledger, scope="workspace", workspace_id="w2") == (["run-3"], 1)
    assert listed(ledger, scope="global", workspace_id="w2") == ([], 0)


def test_an_idle_running_scheduler_counts_nothing(ledger: Ledger) -> None:
    assert shown(scheduler_status(ledger.store, SchedulerState(), ledger.now)) == {
        "paused": False,
        "active_claim_count": 0,
        "queued_run_count": 0,
        "paused_task_count": 0,
        "starved_run_count": 0,
        "needs_attention_run_count": 0,
        "as_of": "2026-05-03T03:09:37Z",
    }


def test_a_paused_scheduler_tells_by_whom_and_why(ledger: Ledger) -> None:
    state = SchedulerState(
        paused=True, paused_by="human:ann", paused_at=SECOND, paused_reason="deploy"
    )

    found = shown(scheduler_status(ledger.store, state, ledger.now))

    assert (found["paused"], found["paused_by"]) == (True, "human:ann")
    assert (found["paused_at"], found["paused_reason"]) == ("1970-01-01T00:00:01Z", "deploy")


def test_everything_that_waits_or_works_is_counted(ledger: Ledger) -> None:
    for name in ("1", "2", "3", "4"):
        queue(ledger, name)
    ledger.pause("task-1")
    ledger.claim("run-2")
    ledger.run_fact(
        "run-3", e.RunNeedsAttention, "needs_attention", "ready", previous_status="queued"
    )

    found = scheduler_status(ledger.store, SchedulerState(), ledger.now)

    assert found.active_claim_count == active_claims(ledger.store) == 1
    assert found.queued_run_count == 2
    assert found.paused_task_count == 1
    assert found.needs_attention_run_count == 1


def test_a_run_is_starved_after_two_minutes_unless_it_is_paused(ledger: Ledger) -> None:
    queue(ledger, "1")
    queue(ledger, "2")
    ledger.pause("task-2")
    ripe = ledger.run("run-1").queued_at + 120 * SECOND

    def starved(as_of: int) -> int:
        return scheduler_status(ledger.store, SchedulerState(), as_of).starved_run_count

    assert starved(ripe - 1) == 0
    assert starved(ripe) == 1
    assert starved(ripe + 999 * SECOND) == 1


def test_the_backlog_comes_in_claim_order_with_blocked_tasks(ledger: Ledger) -> None:
    queue(ledger, "1")
    queue(ledger, "2", priority="urgent")
    ledger.create("task-3", status="blocked")
    ledger.enqueue("task-3", "run-3")

    assert listed(ledger) == (["run-2", "run-1", "run-3"], 3)


def test_the_total_is_counted_before_the_limit(ledger: Ledger) -> None:
    for number in range(60):
        queue(ledger, f"{number:02}")

    assert listed(ledger, limit=2) == (["run-00", "run-01"], 60)
    for no_limit in (0, -1):
        assert len(listed(ledger, limit=no_limit)[0]) == 50
    assert len(listed(ledger, limit=9999)[0]) == 60


def test_paused_runs_are_shown_only_when_asked_for(ledger: Ledger) -> None:
    queue(ledger, "root")
    queue(ledger, "child", parent="task-root", priority="high")
    queue(ledger, "other", priority="low")
    ledger.pause("task-root")

    assert listed(ledger) == (["run-other"], 1)
    assert listed(ledger, include_paused=True) == (["run-child", "run-root", "run-other"], 3)
    assert listed(ledger, include_paused=True, limit=1) == (["run-child"], 3)
    task = backlog_page(ledger.store, include_paused=True).runs[0].task
    assert (task.paused, task.effective_paused, task.paused_by_task_id) == (
        False,
        True,
        "task-root",
    )


def test_a_workspace_has_a_backlog_of_its_own(ledger: Ledger) -> None:
    queue(ledger, "1", workspace="ws-1")
    queue(ledger, "2", workspace="ws-2")
    queue(ledger, "3", workspace="ws-1")
    ledger.pause("task-3")

    assert listed(ledger, workspace_id="ws-1") == (["run-1"], 1)
    assert listed(ledger, workspace_id="ws-1", include_paused=True) == (["run-1", "run-3"], 2)
    assert listed(ledger, workspace_id="ws-3") == ([], 0)


@pytest.mark.parametrize("table", ["tasks", "runs"])
def test_an_entry_whose_task_or_run_is_held_back_is_left_out(ledger: Ledger, table: str) -> None:
    queue(ledger, "1")
    ledger.store.connection.execute(f"DELETE FROM {table}")

    assert listed(ledger) == ([], 1)


@pytest.mark.parametrize(
    ("workspace", "index"), [("", "backlog_list "), ("ws-1", "backlog_list_workspace")]
)
def test_the_backlog_is_read_in_order_from_an_index(
    ledger: Ledger, workspace: str, index: str
) -> None:
    backlog_page(ledger.store, workspace_id=workspace)
    statement = ledger.store.selects[0]

    plan = ledger.store.plan_of(statement, [""] * statement.count("?"))

    assert index in plan
    assert "TEMP B-TREE" not in plan


def test_starved_runs_are_counted_on_an_index(ledger: Ledger) -> None:
    scheduler_status(ledger.store, SchedulerState(), ledger.now)

    plan = ledger.store.plan_of(ledger.store.selects[-1], (1,) * 5)

    assert "COVERING INDEX backlog_list" in plan


def need_attention(ledger: Ledger, run_id: str) -> None:
    ledger.run_fact(
        run_id, e.RunNeedsAttention, "needs_attention", "ready", previous_status="queued"
    )


def in_need(ledger: Ledger, **filters: Any) -> tuple[list[str], int]:
    page = backlog_page(ledger.store, **filters)
    return [entry.run.id for entry in page.needs_attention], page.needs_attention_total


def test_runs_that_need_attention_stand_beside_the_backlog(ledger: Ledger) -> None:
    queue(ledger, "1")
    queue(ledger, "2", workspace="w1", priority="high")
    queue(ledger, "3", workspace="w2")
    queue(ledger, "4")
    assert {"needs_attention", "needs_attention_total"}.isdisjoint(
        shown(backlog_page(ledger.store))
    )
    for name in ("1", "2", "3"):
        need_attention(ledger, f"run-{name}")
    ledger.pause("task-1")

    assert listed(ledger) == (["run-4"], 1)
    assert in_need(ledger) == (["run-2", "run-1", "run-3"], 3)
    assert in_need(ledger, limit=1) == (["run-2"], 3)
    assert in_need(ledger, scope="global") == (["run-1"], 1)
    assert in_need(ledger, scope="workspace") == (["run-2", "run-3"], 2)
    assert in_need(ledger, workspace_id="w2") == (["run-3"], 1)
    assert in_need(ledger, scope="global", workspace_id="w2") == ([], 0)

    priority = e.TaskUpdated(changed_fields=("priority",), status="ready", priority="urgent")
    ledger.emit("task-3", priority)
    assert in_need(ledger)[0] == ["run-3", "run-2", "run-1"]
    ledger.run_fact("run-3", e.RunCanceled, "canceled", "canceled")
    assert in_need(ledger) == (["run-2", "run-1"], 2)


@pytest.mark.parametrize("workspace", ["", "w1"])
def test_runs_that_need_attention_are_read_from_an_index(ledger: Ledger, workspace: str) -> None:
    backlog_page(ledger.store, workspace_id=workspace)
    (statement,) = (each for each in ledger.store.selects if "backlog_attention" in each)
    plan = ledger.store.plan_of(statement, [""] * statement.count("?"))

    assert "backlog_attention_list" in plan
    assert "TEMP B-TREE" not in plan
