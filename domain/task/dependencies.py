"""Edges between tasks (task API, dependencies)."""

from domain import fields
from domain.commands import AddDependency, RemoveDependency, Reply
from domain.errors import (
    DependencyCycleError,
    DependencyNotFoundError,
    GraphLimitError,
    ValidationError,
)
from domain.events import TaskDependencyAdded, TaskDependencyRemoved
from domain.recorded import Recorded
from domain.task.cascade import auto_enqueue, settle
from domain.task.state import Dependency
from domain.task.status import derive_status
from domain.values import ID_BYTES, MAX_DEPENDENCIES, DependencyKind
from domain.world import Plan


def add_dependency(command: AddDependency, plan: Plan) -> Reply:
    """Let the task wait for another, in whatever status both are."""
    blocker_id = fields.required(
        command.depends_on_task_id, "add_dependency.depends_on_task_id", limit=ID_BYTES
    )
    kind: DependencyKind = fields.choice(
        command.kind, "add_dependency.kind", DependencyKind, "blocks"
    )
    state = plan.require_task(command.task_id)
    if blocker_id == state.id:
        raise ValidationError("task_dependency cannot depend on itself")
    plan.existing_task(blocker_id)
    edges = state.task.dependencies
    if any(edge.depends_on_task_id == blocker_id for edge in edges):
        message = f'dependency edge "{state.id}" -> "{blocker_id}" already exists'
        raise ValidationError(message)
    if len(edges) >= MAX_DEPENDENCIES:
        message = f"dependency count exceeds {MAX_DEPENDENCIES}: {len(edges) + 1}"
        raise GraphLimitError(message)
    if _reaches(plan, blocker_id, state.id):
        message = f'adding dependency "{state.id}" -> "{blocker_id}" would create a cycle'
        raise DependencyCycleError(message)
    edge = Dependency(depends_on_task_id=blocker_id, kind=kind)
    added = plan.emit_task(
        state.id,
        TaskDependencyAdded(
            depends_on_task_id=blocker_id,
            kind=kind,
            status=derive_status(state.with_task(dependencies=(*edges, edge)), plan.task_status),
        ),
    )
    settle(plan, state, added)
    return Reply(task_id=state.id)


def _reaches(plan: Plan, start_id: str, goal_id: str) -> bool:
    """Whether waiting for `start_id` means waiting for `goal_id`, over any number of edges."""
    seen = {start_id}
    waiting = [start_id]
    while waiting:
        state = plan.task(waiting.pop())
        for edge in state.task.dependencies if state else ():
            if edge.depends_on_task_id == goal_id:
                return True
            if edge.depends_on_task_id not in seen:
                seen.add(edge.depends_on_task_id)
                waiting.append(edge.depends_on_task_id)
    return False


def remove_dependency(command: RemoveDependency, plan: Plan) -> Reply:
    """Let the task no longer wait for another; it may become ready by that."""
    state = plan.require_task(command.task_id)
    blocker_id = command.depends_on_task_id.strip()
    if all(edge.depends_on_task_id != blocker_id for edge in state.task.dependencies):
        raise DependencyNotFoundError(f'"{state.id}" -> "{blocker_id}"')
    remove_edge(plan, state.id, blocker_id)
    return Reply(task_id=state.id)


def remove_edge(plan: Plan, task_id: str, blocker_id: str, cause: Recorded | None = None) -> None:
    """Note that an edge is gone, with what follows from it."""
    state = plan.existing_task(task_id)
    remaining = tuple(
        edge for edge in state.task.dependencies if edge.depends_on_task_id != blocker_id
    )
    removed = plan.emit_task(
        task_id,
        TaskDependencyRemoved(
            depends_on_task_id=blocker_id,
            kind="blocks",
            status=derive_status(state.with_task(dependencies=remaining), plan.task_status),
        ),
        cause=cause,
    )
    settle(plan, state, removed)
    if state.task.status == "blocked":
        auto_enqueue(plan, task_id, removed)
