"""Deleting a task."""

from typing import Any

import pytest

from domain import errors
from domain.commands import AddDependency, CancelRun, ClaimRun, DeleteTask, UpdateTask
from domain.events import (
    RunNeedsAttention,
    TaskChildDeleted,
    TaskDeleted,
    TaskDependencyRemoved,
)
from domain.instants import SECOND
from tests.support.spec import NOW, given, on
from tests.support.steps import (
    canceled,
    child,
    completed,
    failed,
    queued,
    running,
    task,
    waits,
    workspace,
    workspace_task,
)

DELETE = DeleteTask(task_id="t1")


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ((), "ready"),
        (completed("t1", "r1"), "completed"),
        (failed("t1", "r1"), "failed"),
        (canceled("t1", "r1"), "canceled"),
    ],
)
def test_a_task_without_open_runs_is_deleted(past: tuple[Any, ...], status: str) -> None:
    spec = given(task("t1", max_attempts=1), *past).when(DELETE)
    spec.then(on("t1", TaskDeleted(status=status))).then_reply(task_id="t1")  # type: ignore[arg-type]


def test_a_deleted_task_is_no_longer_found() -> None:
    spec = given(task("t1"), task("t2"), *completed("t1", "r1"), DELETE)
    for command in (DELETE, UpdateTask(task_id="t1", title="n"), queued("t1", "r2")):
        spec.when(command).then_refused(errors.TaskNotFoundError, 'task "t1"')
    spec.when(AddDependency(task_id="t2", depends_on_task_id="t1")).then_refused(
        errors.TaskNotFoundError, 'task "t1"'
    )
    for on_run in (ClaimRun(run_id="r1"), CancelRun(run_id="r1")):
        spec.when(on_run).then_refused(errors.RunNotFoundError, 'task run "r1"')


def test_a_missing_task_is_not_found() -> None:
    given().when(DELETE).then_refused(errors.TaskNotFoundError, 'task "t1"')


def test_children_have_to_go_first() -> None:
    spec = given(task("t1"), child("t1", "a"), child("t1", "b"), queued("t1", "r1"))
    spec.when(DELETE).then_refused(
        errors.DeletePreconditionError,
        'task: validation failed: task "t1" has 2 child tasks; delete children first',
    )


@pytest.mark.parametrize("run", [(queued("t1", "r1"),), running("t1", "r1")])
def test_an_open_run_has_to_end_first(run: tuple[Any, ...]) -> None:
    given(task("t1"), *run).when(DELETE).then_refused(
        errors.DeletePreconditionError,
        'task "t1" has active or queued runs; cancel or finish them first',
    )


def test_a_run_that_needs_attention_counts_as_open() -> None:
    attention = RunNeedsAttention(
        previous_status="queued", status="needs_attention", task_status="ready"
    )
    spec = given(task("t1"), queued("t1", "r1"), on("t1", attention, "r1")).when(DELETE)
    spec.then_refused(errors.DeletePreconditionError)


def test_the_parent_is_told() -> None:
    spec = given(task("p"), child("p", "t1"), child("p", "t2")).when(DELETE)
    spec.then(on("t1", TaskDeleted(status="ready")), on("p", TaskChildDeleted(child_task_id="t1")))
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    spec.then_task("p", children=("t2",))


def test_dependents_lose_their_edge_and_may_become_ready() -> None:
    spec = given(task("t1"), task("t2"), task("a"), task("b"), waits("a", "t1"), waits("b", "t1"))
    spec.given(waits("b", "t2")).when(DELETE, at=NOW + SECOND)
    gone = {"depends_on_task_id": "t1", "kind": "blocks"}
    spec.then(
        on("t1", TaskDeleted(status="ready")),
        on("a", TaskDependencyRemoved(status="ready", **gone)),  # type: ignore[arg-type]
        on("b", TaskDependencyRemoved(status="blocked", **gone)),  # type: ignore[arg-type]
    )
    cause = spec.recorded[0].event_id
    assert [past.causation_id for past in spec.recorded] == ["", cause, cause]


def test_the_edges_of_a_deleted_task_block_nobody() -> None:
    spec = given(task("t0"), task("t1"), waits("t1", "t0"), DELETE).when(DeleteTask(task_id="t0"))
    spec.then(on("t0", TaskDeleted(status="ready")))


def test_a_dependent_of_a_deleted_tree_root_survives() -> None:
    spec = given(task("p"), child("p", "t1"), task("d"), waits("d", "t1"), waits("d", "p"))
    spec.given(DELETE, DeleteTask(task_id="p")).then_task("d", status="ready", dependencies=())


def test_a_token_of_a_workspace_deletes_only_there() -> None:
    spec = given(workspace("w1"), task("t1"), workspace_task("t2"))
    spec.when(DELETE, workspace_limit="w1").then_refused(errors.PermissionDeniedError)
    spec.when(DeleteTask(task_id="t2"), workspace_limit="w1").then_reply(task_id="t2")
