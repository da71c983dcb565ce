"""The derivation of a task's status (task API, status machine)."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from domain.task.state import Run, Task, TaskState, latest_run
from domain.values import TERMINAL_RUN, TERMINAL_TASK, TaskStatus

StatusOf: TypeAlias = Callable[[str], str | None]
"""Gives the status of a task by id; None when there is no such task."""

_STICKY: Final[frozenset[str]] = frozenset({"canceled", "draft"})


def is_blocked(task: Task, status_of: StatusOf) -> bool:
    """Whether an unresolved dependency or a missing approval holds the task back."""
    return task.awaits_approval or any(
        status_of(edge.depends_on_task_id) != "completed" for edge in task.dependencies
    )


def attempts_exhausted(state: TaskState) -> bool:
    """Whether a further run would exceed `max_attempts`."""
    return state.next_attempt > state.task.max_attempts


def derive_status(state: TaskState, status_of: StatusOf) -> TaskStatus:
    """Return the status the task has by its runs, dependencies and approval."""
    task = state.task
    if task.status in _STICKY:
        return task.status
    return derive_runnable_status(state, status_of)


def derive_runnable_status(state: TaskState, status_of: StatusOf) -> TaskStatus:
    """Return the status as if the task were neither draft nor canceled by decree."""
    runs = state.runs.values()
    statuses = {run.status for run in runs}
    if statuses & {"starting", "running"}:
        return "in_progress"
    waiting: TaskStatus = "blocked" if is_blocked(state.task, status_of) else "ready"
    if statuses & {"queued", "claimed"}:
        return waiting
    return _settled_status(state, _ended(runs), waiting)


def _ended(runs: Iterable[Run]) -> Run | None:
    return latest_run(run for run in runs if run.status in TERMINAL_RUN)


def _settled_status(state: TaskState, last: Run | None, waiting: TaskStatus) -> TaskStatus:
    if last is None:
        return state.task.status if state.task.status in TERMINAL_TASK else waiting
    match last.status:
        case "completed":
            return "completed"
        case "canceled":
            return "canceled"
        case _:
            return "failed" if attempts_exhausted(state) else waiting
