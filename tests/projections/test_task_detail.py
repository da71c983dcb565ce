"""One task in full, and its tree."""

from typing import Any

import msgspec

from domain import events as e
from projections.queries.tasks import task_detail, task_tree
from projections.wire import TaskDetail, TaskTree
from tests.projections.support import Ledger


def detail(ledger: Ledger, task_id: str) -> TaskDetail:
    found = task_detail(ledger.store, task_id)
    assert found is not None
    return found


def tree(ledger: Ledger, task_id: str) -> TaskTree:
    found = task_tree(ledger.store, task_id)
    assert found is not None
    return found


def test_there_is_nothing_to_tell_about_an_unknown_or_deleted_task(ledger: Ledger) -> None:
    ledger.create("gone")
    ledger.delete("gone")

    for task_id in ("gone", "unknown"):
        assert task_detail(ledger.store, task_id) is None
        assert task_tree(ledger.store, task_id) is None


def test_children_come_by_latest_activity_drafts_included(ledger: Ledger) -> None:
    ledger.create("root")
    for task_id in ("a", "b", "c"):
        ledger.create(task_id, parent="root", status="draft")
    ledger.enqueue("a", "run-a")

    found = detail(ledger, "root")

    assert [child.id for child in found.children] == ["a", "c", "b"]
    assert found.summary.child_count == 3


def test_dependencies_come_in_the_order_in_which_they_were_added(ledger: Ledger) -> None:
    for task_id in ("task-1", "b", "a"):
        ledger.create(task_id)
    ledger.depend("task-1", "b")
    ledger.depend("task-1", "a")

    found = detail(ledger, "task-1")

    assert [edge.depends_on_task_id for edge in found.dependencies] == ["b", "a"]
    assert [edge.depends_on.id for edge in found.dependency_references] == ["b", "a"]


def test_an_edge_to_a_task_that_is_not_there_has_no_reference(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.depend("task-1", "missing")

    found = detail(ledger, "task-1")

    assert len(found.dependencies) == 1
    assert found.dependency_references == ()


def test_runs_come_latest_first(ledger: Ledger) -> None:
    ledger.create("task-1")
    for number in ("1", "2"):
        ledger.enqueue("task-1", f"run-{number}")
        ledger.run_fact(f"run-{number}", e.RunFailed, "failed", "ready", error="it broke")

    assert [run.id for run in detail(ledger, "task-1").runs] == ["run-2", "run-1"]


def test_events_come_newest_first_without_those_of_children(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    change = ledger.enqueue("root", "run-1")

    found = detail(ledger, "root")

    assert [event.event_type for event in found.events] == [
        "task.run_enqueued",
        "task.child_created",
        "task.created",
    ]
    newest: Any = msgspec.json.decode(msgspec.json.encode(found.events[0]))
    assert newest == {
        "id": change.recorded.event_id,
        "task_id": "root",
        "run_id": "run-1",
        "event_type": "task.run_enqueued",
        "actor": {"kind": "human", "ref": "local-user"},
        "origin": {"kind": "http", "ref": "tasks.create"},
        "payload": {"attempt": 1, "status": "queued", "task_status": "ready"},
        "timestamp": "2026-05-03T03:09:40Z",
    }


def test_the_task_itself_shows_an_inherited_pause(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    ledger.pause("root")

    found = detail(ledger, "child")

    assert found.task.paused_by_task_id == found.summary.paused_by_task_id == "root"


def test_a_tree_comes_by_depth_activity_and_id(ledger: Ledger) -> None:
    ledger.create("root")
    for task_id in ("a", "b"):
        ledger.create(task_id, parent="root")
    for task_id, parent in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        ledger.create(task_id, parent=parent)
    ledger.enqueue("a1", "run-1")

    found = tree(ledger, "root")

    assert (found.root.depth, found.root.child_count, found.root.parent_task_id) == (0, 2, "")
    nodes = [(node.depth, node.task.id, node.child_count) for node in found.descendants]
    assert nodes == [(1, "a", 2), (1, "b", 1), (2, "a1", 0), (2, "a2", 0), (2, "b1", 0)]
    busy = [node.task.id for node in found.descendants if node.active_run]
    assert busy == ["a1"]
    assert found.descendants[2].last_activity_at == "2026-05-03T03:09:44Z"


def test_siblings_of_the_same_instant_come_by_id(ledger: Ledger) -> None:
    ledger.create("root")
    fact = e.TaskCreated(
        scope="global", status="ready", title="t", parent_task_id="root", ancestors=("root",)
    )

    def both(plan: Any) -> None:
        for task_id in ("b", "a"):
            plan.emit_task(task_id, fact)
            child = e.TaskChildCreated(child_task_id=task_id, child_scope="global")
            plan.emit_task("root", child)

    ledger.step(both)

    assert [node.task.id for node in tree(ledger, "root").descendants] == ["a", "b"]


def test_a_tree_within_a_tree_starts_at_depth_0(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("middle", parent="root")
    ledger.create("leaf", parent="middle")
    ledger.pause("root")

    found = tree(ledger, "middle")

    assert (found.root.depth, found.root.parent_task_id) == (0, "root")
    assert [(node.depth, node.task.paused_by_task_id) for node in found.descendants] == [
        (1, "root")
    ]


def test_a_wide_tree_is_read_level_by_level(ledger: Ledger) -> None:
    ledger.create("root")
    for one in range(20):
        ledger.create(f"a{one}", parent="root")
        for two in range(20):
            ledger.create(f"a{one}-{two}", parent=f"a{one}")
    ledger.store.selects.clear()

    assert len(tree(ledger, "root").descendants) == 420

    # The root, twenty, then four hundred in lists of 256, each with a look at the ancestors.
    assert len(ledger.store.selects) <= 10
