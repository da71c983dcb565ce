"""What follows from a step for its execution, and from the end of an execution for its steps."""

from collections.abc import Iterator
from typing import Final

from domain.events import RunCanceled, RunStarted
from domain.recorded import Recorded
from domain.task.cascade import settle, status_with
from domain.task.lifecycle import cancel_one
from domain.task.outcomes import end_badly, end_well
from domain.task.state import Run, TaskState, latest_run
from domain.values import NO_JSON, TERMINAL_TASK
from domain.world import Change, Plan

_UNDER_WAY: Final = frozenset({"in_progress", "completed", "failed"})


def follow(change: Change, plan: Plan) -> None:
    """Note what follows in the same commit."""
    state, before = change.task, change.before
    assert state is not None
    if not isinstance(before, TaskState):
        return
    if not state.task.parent_task_id:
        if before.open_run is not None and state.open_run is None:
            _end_steps(plan, state.id)
    elif state.task.status != before.task.status or state.task.deleted:
        _follow_step(plan, state, change.recorded)


def _end_steps(plan: Plan, root_id: str) -> None:
    """Give up what is left of an execution that somebody ended."""
    for step in _steps(plan, plan.existing_task(root_id)):
        if step.task.status not in TERMINAL_TASK:
            cancel_one(plan, step, "the execution ended", NO_JSON, root_id)


def _steps(plan: Plan, root: TaskState) -> Iterator[TaskState]:
    for child_id in root.task.children:
        state = plan.task(child_id)
        if state is not None and state.task.facade:
            yield state


def _follow_step(plan: Plan, step: TaskState, cause: Recorded) -> None:
    """Let the root's run start with the first step, and end with the last one."""
    root = plan.task(step.task.parent_task_id)
    run = root.open_run if root else None
    if root is None or run is None:
        return
    status = step.task.status
    if run.status in {"queued", "claimed"} and status in _UNDER_WAY:
        _start(plan, root, run, cause)
    if status in {"failed", "canceled"}:
        _prevent_later(plan, root, step)
    steps = list(_steps(plan, root))
    if all(each.task.status in TERMINAL_TASK for each in steps):
        _end(plan, plan.existing_task(root.id), steps, cause)


def _start(plan: Plan, root: TaskState, run: Run, cause: Recorded) -> None:
    status = status_with(plan, root, run, "running")
    plan.emit_task(root.id, RunStarted(status="running", task_status=status), run.id, cause)


def _prevent_later(plan: Plan, root: TaskState, ended: TaskState) -> None:
    """Give up the steps of later groups, which wait in vain."""
    for step in _steps(plan, root):
        if step.task.status == "blocked" and not step.runs:
            reason = f'step "{ended.task.title}" is {ended.task.status}'
            cancel_one(plan, step, reason, NO_JSON, ended.id)


def _end(plan: Plan, root: TaskState, steps: list[TaskState], cause: Recorded) -> None:
    run = root.open_run
    assert run is not None
    failed = next((each for each in steps if each.task.status == "failed"), None)
    if failed is not None:
        last = latest_run(failed.runs.values())
        told = f": {last.error}" if last and last.error else ""
        error = f'step "{failed.task.title}" failed{told}'
        end_badly(plan, root, run, error, NO_JSON, cause=cause)
    elif any(each.task.status == "canceled" for each in steps):
        fact = RunCanceled(
            status="canceled",
            task_status=status_with(plan, root, run, "canceled"),
            reason="a step was canceled",
        )
        settle(plan, root, plan.emit_task(root.id, fact, run.id, cause))
    else:
        end_well(plan, root, run, NO_JSON, cause=cause)
