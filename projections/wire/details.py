"""Answers about one task, its tree and its runs."""

from msgspec import Struct

from projections.wire.events import TaskEvent
from projections.wire.runs import Run, RunOperationalSummary, RunSession, RunSummary
from projections.wire.tasks import (
    Dependency,
    DependencyReference,
    Task,
    TaskReference,
    TaskSummary,
)
from projections.wire.times import DateTime


class TaskDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about a task."""

    summary: TaskSummary
    task: Task
    children: tuple[TaskSummary, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    dependency_references: tuple[DependencyReference, ...] = ()
    runs: tuple[Run, ...] = ()
    events: tuple[TaskEvent, ...] = ()


class TaskTreeNode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task in a tree; the root has depth 0."""

    task: TaskReference
    parent_task_id: str = ""
    depth: int
    child_count: int = 0
    active_run: RunSummary | None = None
    last_activity_at: DateTime


class TaskTree(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task and everything below it."""

    root: TaskTreeNode
    descendants: tuple[TaskTreeNode, ...] = ()


class RunDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything about a run."""

    run: Run
    task: TaskReference
    session: RunSession | None = None
    summary: RunOperationalSummary
