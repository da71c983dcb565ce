"""Lists of tasks: filters, order, pages."""

import pytest

from domain import events as e
from domain.values import Owner
from projections.queries.batches import paused_by_of, task_of
from projections.queries.tasks import TaskFilters, list_tasks
from projections.wire import TaskSummary
from tests.projections.support import Ledger


def listed(ledger: Ledger, filters: TaskFilters | None = None) -> list[TaskSummary]:
    pages = list_tasks(ledger.store, filters or TaskFilters())
    return [task for page in pages for task in page]


def ids(ledger: Ledger, **filters: object) -> list[str]:
    return [task.id for task in listed(ledger, TaskFilters(**filters))]  # type: ignore[arg-type]


@pytest.fixture
def tasks(ledger: Ledger) -> Ledger:
    ledger.create("plain", title="Fix the 100% bug", identifier="BUG_7")
    ledger.create("draft", status="draft", priority="high")
    ledger.create("blocked", status="blocked", approval_policy="manual", approval_state="pending")
    ledger.create("owned", workspace="ws-1", owner=Owner("pool", "coder"), network_channel="room")
    ledger.create("child", parent="owned", workspace="ws-1", priority="high")
    return ledger


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["child", "owned", "blocked", "plain"]),
        ({"include_drafts": True}, ["child", "owned", "blocked", "draft", "plain"]),
        ({"scope": "global"}, ["blocked", "plain"]),
        ({"scope": "workspace"}, ["child", "owned"]),
        ({"scope": "workspace", "workspace_id": "ws-1"}, ["child", "owned"]),
        ({"workspace_id": "ws-2"}, []),
        ({"status": "draft"}, ["draft"]),
        ({"status": "blocked"}, ["blocked"]),
        ({"priority": "high"}, ["child"]),
        ({"approval_state": "pending"}, ["blocked"]),
        ({"owner_kind": "pool", "owner_ref": "coder"}, ["owned"]),
        ({"owner_ref": "ann"}, []),
        ({"network_channel": "room"}, ["owned"]),
        ({"parent_task_id": "owned"}, ["child"]),
        ({"parent_task_id": "plain"}, []),
        ({"parent_task_id": "unknown"}, []),
        ({"query": "fix THE"}, ["plain"]),
        ({"query": "bug_7"}, ["plain"]),
        ({"query": "100%"}, ["plain"]),
        ({"query": "%"}, ["plain"]),
        ({"query": "_"}, ["plain"]),
        ({"query": "!"}, []),
        ({"query": "bugBUG"}, []),
        ({"query": "bug\x00"}, []),
        ({"query": "x" * 60_000}, []),
        ({"limit": 2}, ["child", "owned"]),
        ({"limit": 4}, ["child", "owned", "blocked", "plain"]),
        ({"limit": 9}, ["child", "owned", "blocked", "plain"]),
    ],
)
def test_filters_admit_what_matches_all_of_them(
    tasks: Ledger, filters: dict[str, object], expected: list[str]
) -> None:
    assert ids(tasks, **filters) == expected


def test_any_event_of_a_task_brings_it_to_the_front(tasks: Ledger) -> None:
    tasks.enqueue("plain", "run-1")

    assert ids(tasks)[0] == "plain"


def test_tasks_of_the_same_instant_come_by_update_creation_and_id(ledger: Ledger) -> None:
    for task_id in ("a", "b", "c"):
        ledger.create(task_id)
    fact = e.TaskUpdated(changed_fields=("title",), status="ready", title="new")
    child = e.TaskChildCreated(child_task_id="x", child_scope="global")

    def at_once(plan: object) -> None:
        plan.emit_task("a", fact)  # type: ignore[attr-defined]
        plan.emit_task("c", child)  # type: ignore[attr-defined]
        plan.emit_task("b", child)  # type: ignore[attr-defined]

    ledger.step(at_once)

    assert ids(ledger) == ["a", "c", "b"]


def test_a_long_list_comes_in_pages_without_loss_or_repeat(ledger: Ledger) -> None:
    def many(plan: object) -> None:
        fact = e.TaskCreated(scope="global", status="ready", title="t")
        for number in range(450):
            plan.emit_task(f"task-{number:03}", fact)  # type: ignore[attr-defined]

    ledger.step(many)

    pages = list(list_tasks(ledger.store, TaskFilters()))
    assert [len(page) for page in pages] == [200, 200, 50]
    assert [t.id for page in pages for t in page] == [f"task-{n:03}" for n in range(449, -1, -1)]
    assert [len(page) for page in list_tasks(ledger.store, TaskFilters(limit=250))] == [200, 50]
    assert len(list(list_tasks(ledger.store, TaskFilters(limit=200)))) == 1


def test_an_empty_list_has_no_pages(ledger: Ledger) -> None:
    assert list(list_tasks(ledger.store, TaskFilters())) == []


def test_a_deleted_task_is_not_listed(tasks: Ledger) -> None:
    tasks.delete("plain")

    assert "plain" not in ids(tasks)
    assert task_of(tasks.store, "plain") is None


def test_a_row_tells_open_run_dependencies_and_inherited_pause(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    ledger.create("grandchild", parent="child", max_attempts=5)
    ledger.create("blocker")
    ledger.depend("grandchild", "child")
    ledger.depend("grandchild", "blocker")
    ledger.enqueue("grandchild", "run-1")
    ledger.pause("root")

    row = next(task for task in listed(ledger) if task.id == "grandchild")

    assert row.active_run is not None
    assert (row.active_run.id, row.active_run.max_attempts) == ("run-1", 5)
    assert (row.paused, row.effective_paused, row.paused_by_task_id) == (False, True, "root")
    mentions = [edge.depends_on for edge in row.dependencies]
    assert [(m.id, m.paused_by_task_id) for m in mentions] == [("child", "root"), ("blocker", "")]


def test_the_nearest_pause_is_told(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    ledger.create("grandchild", parent="child")
    for task_id in ("root", "child"):
        ledger.pause(task_id)

    found = {task.id: task.paused_by_task_id for task in listed(ledger)}
    assert found == {"root": "root", "child": "child", "grandchild": "child"}
    task = task_of(ledger.store, "grandchild")
    assert task is not None
    assert paused_by_of(ledger.store, task) == "child"


def test_an_ended_run_is_not_shown_as_active_and_one_that_needs_attention_is(
    ledger: Ledger,
) -> None:
    for number in ("1", "2"):
        ledger.create(f"task-{number}")
        ledger.enqueue(f"task-{number}", f"run-{number}")
    ledger.run_fact("run-1", e.RunCanceled, "canceled", "canceled")
    ledger.run_fact(
        "run-2", e.RunNeedsAttention, "needs_attention", "ready", previous_status="queued"
    )

    found = {task.id: task.active_run for task in listed(ledger)}

    assert found["task-1"] is None
    assert found["task-2"] is not None


def test_a_page_takes_the_same_few_statements_however_long_it_is(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("blocker")
    counts = []
    for number in range(30):
        ledger.create(f"task-{number}", parent="root")
        ledger.enqueue(f"task-{number}", f"run-{number}")
        ledger.depend(f"task-{number}", "blocker")
        ledger.store.selects.clear()
        listed(ledger, TaskFilters(limit=number + 1))
        counts.append(len(ledger.store.selects))

    assert max(counts) == 4


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (TaskFilters(limit=5), "tasks_activity"),
        (TaskFilters(status="ready", limit=5), "tasks_status"),
        (TaskFilters(workspace_id="ws-1", limit=5), "tasks_workspace"),
    ],
)
def test_a_limited_list_is_read_in_order_from_an_index(
    ledger: Ledger, filters: TaskFilters, index: str
) -> None:
    listed(ledger, filters)
    statement = ledger.store.selects[0]

    plan = ledger.store.plan_of(statement, [""] * statement.count("?"))

    assert index in plan
    # Only rows of the same instant are sorted.
    assert "TEMP B-TREE FOR ORDER BY" not in plan


def test_the_children_of_a_task_are_read_by_their_ids(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    listed(ledger, TaskFilters(parent_task_id="root"))
    statement = ledger.store.selects[1]

    plan = ledger.store.plan_of(statement, [""] * statement.count("?"))

    assert "sqlite_autoindex_tasks" in plan
