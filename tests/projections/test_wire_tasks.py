"""Tasks as clients see them."""

from typing import Any

import msgspec

from domain.task.state import Dependency
from domain.values import Json, Owner
from projections.wire import (
    TaskDetail,
    TaskStreamEvent,
    TaskTree,
    dependency,
    dependency_reference,
    run_summary,
    task_reference,
    task_summary,
    task_view,
)
from tests.projections.support import Ledger


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_bare_task_shows_only_what_is_always_present(ledger: Ledger) -> None:
    ledger.create("task-1")

    assert shown(task_view(ledger.task("task-1").task, "")) == {
        "id": "task-1",
        "scope": "global",
        "title": "Title of task-1",
        "priority": "medium",
        "max_attempts": 3,
        "status": "ready",
        "approval_policy": "none",
        "approval_state": "not_required",
        "latest_event_seq": 1,
        "created_by": {"kind": "human", "ref": "local-user"},
        "origin": {"kind": "http", "ref": "tasks.create"},
        "created_at": "2026-05-03T03:09:38Z",
        "updated_at": "2026-05-03T03:09:38Z",
    }


def test_a_full_task_shows_everything(ledger: Ledger) -> None:
    ledger.create("root", workspace="ws-1")
    ledger.create(
        "task-1",
        parent="root",
        workspace="ws-1",
        status="draft",
        identifier="TASK-1",
        description="how",
        network_channel="room",
        auto_enqueue_on_ready=True,
        owner=Owner("pool", "coder"),
        metadata=Json(b'{"claim_token":1}'),
    )
    ledger.pause("task-1")

    found = shown(task_view(ledger.task("task-1").task, "task-1"))

    assert found | {"created_at": "", "updated_at": "", "created_by": "", "origin": ""} == {
        "id": "task-1",
        "identifier": "TASK-1",
        "scope": "workspace",
        "workspace_id": "ws-1",
        "parent_task_id": "root",
        "network_channel": "room",
        "title": "Title of task-1",
        "description": "how",
        "priority": "medium",
        "max_attempts": 3,
        "auto_enqueue_on_ready": True,
        "status": "draft",
        "draft": True,
        "approval_policy": "none",
        "approval_state": "not_required",
        "owner": {"kind": "pool", "ref": "coder"},
        "latest_event_seq": 4,
        "paused": True,
        "paused_by": "human:local-user",
        "paused_at": "2026-05-03T03:09:40Z",
        "paused_reason": "because",
        "effective_paused": True,
        "paused_by_task_id": "task-1",
        "metadata": {"claim_token": 1},
        "created_at": "",
        "updated_at": "",
        "created_by": "",
        "origin": "",
    }


def test_an_inherited_pause_shows_on_every_shape_without_an_own_one(ledger: Ledger) -> None:
    ledger.create("task-1")
    task = ledger.task("task-1").task

    for shape in (
        task_reference(task, "root"),
        task_view(task, "root"),
        task_summary(task, "root", (), None),
    ):
        found = shown(shape)
        assert "paused" not in found
        assert (found["effective_paused"], found["paused_by_task_id"]) == (True, "root")


def test_a_reference_shows_the_members_of_a_mention(ledger: Ledger) -> None:
    ledger.create("task-1", workspace="ws-1", identifier="T-1", owner=Owner("human", "ann"))

    assert shown(task_reference(ledger.task("task-1").task, "")) == {
        "id": "task-1",
        "identifier": "T-1",
        "title": "Title of task-1",
        "status": "ready",
        "priority": "medium",
        "owner": {"kind": "human", "ref": "ann"},
        "scope": "workspace",
        "workspace_id": "ws-1",
        "latest_event_seq": 1,
    }


def test_a_summary_tells_about_children_dependencies_run_and_activity(ledger: Ledger) -> None:
    ledger.create("task-1", description="not here", metadata=Json(b"1"))
    ledger.create("child", parent="task-1")
    ledger.create("blocker")
    ledger.depend("task-1", "blocker")
    ledger.enqueue("task-1", "run-1")
    state = ledger.task("task-1")
    edge = dependency_reference(
        "task-1", state.task.dependencies[0], task_reference(ledger.task("blocker").task, "")
    )

    found = shown(task_summary(state.task, "", [edge], run_summary(state.runs["run-1"], 3)))

    assert not {"description", "metadata"} & found.keys()
    assert (found["child_count"], found["dependency_count"]) == (1, 1)
    assert found["dependencies"][0]["depends_on"]["id"] == "blocker"
    assert found["active_run"]["id"] == "run-1"
    assert found["last_activity_at"] == "2026-05-03T03:09:42Z"


def test_an_edge_names_both_ends(ledger: Ledger) -> None:
    edge = Dependency(depends_on_task_id="blocker", created_at=ledger.now)

    assert shown(dependency("task-1", edge)) == {
        "task_id": "task-1",
        "depends_on_task_id": "blocker",
        "kind": "blocks",
        "created_at": "2026-05-03T03:09:37Z",
    }


def test_the_shapes_have_a_schema_with_the_names_of_the_contract() -> None:
    _, components = msgspec.json.schema_components([TaskDetail, TaskTree, TaskStreamEvent])

    assert {"Task", "TaskSummary", "Run", "RunSummary", "TaskEvent"} <= components.keys()
    assert components["Run"]["properties"]["queued_at"] == {
        "type": "string",
        "format": "date-time",
    }
    assert components["Task"]["properties"]["metadata"] == {}
    assert set(components["TaskTreeNode"]["required"]) == {"task", "depth", "last_activity_at"}
