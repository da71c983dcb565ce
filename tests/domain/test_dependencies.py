"""Edges between tasks: adding, removing, resolving."""

from typing import Any

import pytest

from domain import errors
from domain.commands import AddDependency, CancelTask, DeleteTask, RemoveDependency
from domain.events import TaskDependencyAdded, TaskDependencyRemoved
from domain.instants import SECOND
from domain.task.state import Dependency
from tests.support.spec import NOW, given, on
from tests.support.steps import (
    child,
    completed,
    draft,
    failed,
    running,
    task,
    waits,
    workspace,
    workspace_task,
)


def test_an_edge_blocks_the_task() -> None:
    spec = given(task("t1"), task("t2"))
    spec.when(AddDependency(task_id="t2", depends_on_task_id=" t1 "), at=NOW + SECOND)
    spec.then(
        on("t2", TaskDependencyAdded(depends_on_task_id="t1", kind="blocks", status="blocked"))
    )
    spec.then_reply(task_id="t2")
    edge = Dependency(depends_on_task_id="t1", kind="blocks", created_at=NOW + SECOND)
    spec.then_task("t2", dependencies=(edge,), status="blocked", updated_at=NOW + SECOND)


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (waits("t1", " "), errors.ValidationError, "add_dependency.depends_on_task_id is required"),
        (
            AddDependency(task_id="t1", depends_on_task_id="t0", kind="wants"),
            errors.ValidationError,
            'add_dependency.kind must be "blocks": "wants"',
        ),
        (waits("t9", "t1"), errors.TaskNotFoundError, 'task: task not found: task "t9"'),
        (waits("t1", "t9"), errors.TaskNotFoundError, 'task: task not found: task "t9"'),
        (waits("t1", "t1"), errors.ValidationError, "task_dependency cannot depend on itself"),
        (
            waits("t1", "t0"),
            errors.ValidationError,
            'dependency edge "t1" -> "t0" already exists',
        ),
        (
            waits("t0", "t1"),
            errors.DependencyCycleError,
            'task: dependency cycle detected: adding dependency "t0" -> "t1" would create a cycle',
        ),
        (waits("t0", "t2"), errors.DependencyCycleError, '"t0" -> "t2" would create a cycle'),
    ],
)
def test_a_bad_edge_is_refused(command: Any, error: type[Any], text: str) -> None:
    spec = given(task("t0"), task("t1"), task("t2"), waits("t1", "t0"), waits("t2", "t1"))
    spec.when(command).then_refused(error, text)


def test_a_diamond_is_no_cycle() -> None:
    spec = given(*(task(name) for name in "abcd"), waits("b", "a"), waits("c", "a"))
    spec.given(waits("d", "b"), waits("d", "c"), task("e")).when(waits("e", "d"))
    spec.then_task("e", status="blocked")
    spec.when(waits("a", "e")).then_refused(errors.DependencyCycleError)


def test_the_thirty_second_edge_is_the_last() -> None:
    blockers = [f"b{number}" for number in range(33)]
    spec = given(task("t"), *map(task, blockers), *(waits("t", name) for name in blockers[:32]))
    spec.when(waits("t", "b32")).then_refused(
        errors.GraphLimitError, "task: graph limit exceeded: dependency count exceeds 32: 33"
    )
    spec.when(waits("t", "b0")).then_refused(errors.ValidationError, "already exists")


@pytest.mark.parametrize(
    "past",
    [
        [draft("t0")],
        [task("t0"), CancelTask(task_id="t0")],
        [task("t0", max_attempts=1), *failed("t0", "r0")],
    ],
)
def test_a_task_may_wait_for_a_task_in_any_status(past: list[Any]) -> None:
    given(task("t1"), *past).when(waits("t1", "t0")).then_task("t1", status="blocked")


def test_a_completed_task_blocks_nothing() -> None:
    spec = given(task("t0"), task("t1"), *completed("t0", "r0")).when(waits("t1", "t0"))
    spec.then_task("t1", status="ready")


def test_a_parent_and_a_child_may_wait_for_each_other() -> None:
    given(task("p"), child("p", "c")).when(waits("p", "c")).then_task("p", status="blocked")
    given(task("p"), child("p", "c")).when(waits("c", "p")).then_task("c", status="blocked")


def test_a_task_may_wait_for_a_task_of_another_workspace() -> None:
    spec = given(workspace("w1"), workspace("w2"), workspace_task("t1", "w1"))
    spec.given(workspace_task("t2", "w2"), task("t3"))
    spec.when(waits("t2", "t1")).then_task("t2", status="blocked")
    spec.when(waits("t3", "t2"), workspace_limit="w2").then_refused(errors.PermissionDeniedError)
    spec.when(waits("t2", "t3"), workspace_limit="w2").then_task("t2", status="blocked")


def test_a_running_task_stays_in_progress_with_a_new_edge() -> None:
    spec = given(task("t0"), task("t1"), *running("t1", "r1")).when(waits("t1", "t0"))
    spec.then_task("t1", status="in_progress")


def test_removing_the_last_edge_unblocks_the_task() -> None:
    spec = given(task("t0"), task("t1"), waits("t1", "t0"))
    spec.when(RemoveDependency(task_id="t1", depends_on_task_id=" t0 "), at=NOW + SECOND)
    spec.then(
        on("t1", TaskDependencyRemoved(depends_on_task_id="t0", kind="blocks", status="ready"))
    )
    spec.then_reply(task_id="t1")
    spec.then_task("t1", dependencies=(), status="ready", updated_at=NOW + SECOND)


def test_removing_one_of_two_edges_leaves_the_task_blocked() -> None:
    spec = given(task("a"), task("b"), task("t"), waits("t", "a"), waits("t", "b"))
    spec.when(RemoveDependency(task_id="t", depends_on_task_id="a"))
    spec.then(TaskDependencyRemoved(depends_on_task_id="a", kind="blocks", status="blocked"))


def test_an_absent_edge_is_not_found() -> None:
    spec = given(task("t0"), task("t1"))
    spec.when(RemoveDependency(task_id="t1", depends_on_task_id="t0")).then_refused(
        errors.DependencyNotFoundError, 'task: task dependency not found: "t1" -> "t0"'
    )
    spec.when(RemoveDependency(task_id="t9", depends_on_task_id="t0")).then_refused(
        errors.TaskNotFoundError
    )


@pytest.mark.parametrize(
    "end", [failed("t0", "r0"), (CancelTask(task_id="t0"),)], ids=["failed", "canceled"]
)
def test_only_completion_resolves_an_edge(end: tuple[Any, ...]) -> None:
    spec = given(task("t0", max_attempts=2), task("t1"), waits("t1", "t0"), *end)
    spec.then_task("t1", status="blocked")


def test_a_later_attempt_of_a_failed_blocker_resolves_the_edge() -> None:
    spec = given(task("t0"), task("t1"), waits("t1", "t0"), *failed("t0", "r0"))
    spec.given(*completed("t0", "r1")).then_task("t1", status="ready")


def test_an_edge_to_a_task_that_was_deleted_can_be_made_no_more() -> None:
    spec = given(task("t0"), task("t1"), DeleteTask(task_id="t0")).when(waits("t1", "t0"))
    spec.then_refused(errors.TaskNotFoundError, 'task "t0"')
