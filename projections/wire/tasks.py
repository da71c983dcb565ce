"""A task as clients see it: whole, as a row of a list, and as a mention (task API, shared shapes).

`paused_by` is everywhere the nearest paused task of the lineage, the task itself first, empty when
none is; so an inherited pause shows wherever a task shows.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import UNSET, Struct

from domain.task.state import Dependency as DomainDependency
from domain.task.state import Task as DomainTask
from domain.values import (
    Actor,
    ApprovalPolicy,
    ApprovalState,
    DependencyKind,
    Origin,
    Owner,
    Priority,
    Scope,
    TaskStatus,
)
from projections.wire.json import OptionalJson, optional_json
from projections.wire.runs import RunSummary
from projections.wire.times import DateTime, date_time, optional_time


class TaskReference(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A mention of a task."""

    id: str
    identifier: str = ""
    title: str
    status: TaskStatus
    priority: Priority
    owner: Owner | None = None
    scope: Scope
    workspace_id: str = ""
    latest_event_seq: int
    paused: bool = False
    effective_paused: bool = False
    paused_by_task_id: str = ""


class Dependency(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An edge: `task_id` waits for `depends_on_task_id`."""

    task_id: str
    depends_on_task_id: str
    kind: DependencyKind
    created_at: DateTime


class DependencyReference(Dependency, frozen=True, kw_only=True, omit_defaults=True):
    """An edge with the task that is waited for."""

    depends_on: TaskReference


class TaskFields(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a whole task and a row of a list have in common."""

    id: str
    identifier: str = ""
    scope: Scope
    workspace_id: str = ""
    parent_task_id: str = ""
    network_channel: str = ""
    title: str
    priority: Priority
    max_attempts: int
    auto_enqueue_on_ready: bool = False
    status: TaskStatus
    approval_policy: ApprovalPolicy
    approval_state: ApprovalState
    draft: bool = False
    owner: Owner | None = None
    current_run_id: str = ""
    latest_event_seq: int
    paused: bool = False
    paused_by: str = ""
    paused_at: DateTime | None = None
    paused_reason: str = ""
    effective_paused: bool = False
    paused_by_task_id: str = ""
    created_by: Actor
    origin: Origin
    created_at: DateTime
    updated_at: DateTime
    closed_at: DateTime | None = None


class Task(TaskFields, frozen=True, kw_only=True, omit_defaults=True):
    """A whole task."""

    description: str = ""
    metadata: OptionalJson = UNSET


class TaskSummary(TaskFields, frozen=True, kw_only=True, omit_defaults=True):
    """A task as a row of a list."""

    child_count: int = 0
    dependency_count: int = 0
    dependencies: tuple[DependencyReference, ...] = ()
    active_run: RunSummary | None = None
    last_activity_at: DateTime | None = None


TaskView: TypeAlias = Task


def task_reference(task: DomainTask, paused_by: str) -> TaskReference:
    """Return the mention of a task."""
    return TaskReference(
        id=task.id,
        identifier=task.identifier,
        title=task.title,
        status=task.status,
        priority=task.priority,
        owner=task.owner,
        scope=task.scope,
        workspace_id=task.workspace_id,
        latest_event_seq=task.latest_event_seq,
        paused=task.paused,
        effective_paused=paused_by != "",
        paused_by_task_id=paused_by,
    )


def task_view(task: DomainTask, paused_by: str) -> Task:
    """Return the whole task."""
    return Task(
        **_fields(task, paused_by),
        description=task.description,
        metadata=optional_json(task.metadata),
    )


def task_summary(
    task: DomainTask,
    paused_by: str,
    dependencies: Sequence[DependencyReference],
    active_run: RunSummary | None,
) -> TaskSummary:
    """Return the row of a task, given what its other tasks and runs tell."""
    return TaskSummary(
        **_fields(task, paused_by),
        child_count=len(task.children),
        dependency_count=len(task.dependencies),
        dependencies=tuple(dependencies),
        active_run=active_run,
        last_activity_at=date_time(task.last_activity_at),
    )


def dependency(task_id: str, edge: DomainDependency) -> Dependency:
    """Return an edge of a task."""
    return Dependency(
        task_id=task_id,
        depends_on_task_id=edge.depends_on_task_id,
        kind=edge.kind,
        created_at=date_time(edge.created_at),
    )


def dependency_reference(
    task_id: str, edge: DomainDependency, depends_on: TaskReference
) -> DependencyReference:
    """Return an edge of a task with the task that is waited for."""
    return DependencyReference(
        task_id=task_id,
        depends_on_task_id=edge.depends_on_task_id,
        kind=edge.kind,
        created_at=date_time(edge.created_at),
        depends_on=depends_on,
    )


def _fields(task: DomainTask, paused_by: str) -> dict[str, Any]:
    return {
        "id": task.id,
        "identifier": task.identifier,
        "scope": task.scope,
        "workspace_id": task.workspace_id,
        "parent_task_id": task.parent_task_id,
        "network_channel": task.network_channel,
        "title": task.title,
        "priority": task.priority,
        "max_attempts": task.max_attempts,
        "auto_enqueue_on_ready": task.auto_enqueue_on_ready,
        "status": task.status,
        "approval_policy": task.approval_policy,
        "approval_state": task.approval_state,
        "draft": task.status == "draft",
        "owner": task.owner,
        "current_run_id": task.current_run_id,
        "latest_event_seq": task.latest_event_seq,
        "paused": task.paused,
        "paused_by": task.paused_by,
        "paused_at": optional_time(task.paused_at),
        "paused_reason": task.paused_reason,
        "effective_paused": paused_by != "",
        "paused_by_task_id": paused_by,
        "created_by": task.created_by,
        "origin": task.origin,
        "created_at": date_time(task.created_at),
        "updated_at": date_time(task.updated_at),
        "closed_at": optional_time(task.closed_at),
    }
