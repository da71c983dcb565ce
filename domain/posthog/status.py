"""The status of a run in the words of PostHog, and the way from one status into another.

Clients may jump to any status; the task that stands for the run then goes through all in between,
in one commit. What has ended stays so, and what was queued cannot be unqueued for good.
"""

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from domain.commands import CancelTask
from domain.errors import InvalidTransitionError
from domain.events import (
    RunClaimed,
    RunReleased,
    RunRequeued,
    RunStarted,
    RunStarting,
    TaskPublished,
)
from domain.posthog.values import ENDED, Status
from domain.task.cascade import queue_run, settle, status_with
from domain.task.lifecycle import cancel_task
from domain.task.outcomes import end_badly, end_well
from domain.task.state import Run, TaskState, latest_run
from domain.task.status import derive_runnable_status
from domain.values import NO_JSON, TEXT_BYTES, RunStatus
from domain.world import Plan

_SHOWN: Final[Mapping[RunStatus, Status]] = {
    "queued": "queued",
    "claimed": "queued",
    "starting": "queued",
    "running": "in_progress",
    "needs_attention": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "canceled": "cancelled",
}


def shown_status(state: TaskState) -> Status:
    """Return what PostHog calls the state of the task that stands for a run."""
    if state.task.status == "draft":
        return "not_started"
    if state.task.status == "canceled":
        return "cancelled"
    run = latest_run(state.runs.values())
    return _SHOWN[run.status] if run else "queued"


def move(plan: Plan, task_id: str, status: Status, error: str = "") -> None:
    """Bring a run into a status; raises InvalidTransitionError where there is no way.

    `error` says why it failed.
    """
    state = plan.existing_task(task_id)
    shown = shown_status(state)
    if shown == status:
        return
    if shown in ENDED:
        raise InvalidTransitionError(f"the run is {shown}, which is final; it cannot be {status}")
    match status:
        case "not_started":
            message = f"the run is {shown}; it cannot become not_started again"
            raise InvalidTransitionError(message)
        case "queued":
            _queue(plan, state)
        case "in_progress":
            _run(plan, state)
        case "completed":
            end_well(plan, *_run(plan, state), NO_JSON)
        case "failed":
            end_badly(plan, *_run(plan, state), cut(error) or "failed", NO_JSON)
        case "cancelled":
            cancel_task(CancelTask(task_id=task_id), plan)
        case _ as never:
            assert_never(never)


def cut(text: str) -> str:
    """Return as much of a text as a task may hold."""
    return text.encode()[:TEXT_BYTES].decode(errors="ignore").strip()


def _queue(plan: Plan, state: TaskState) -> None:
    """Let a run wait for somebody who takes it."""
    run = state.open_run
    if run is None:
        _publish(plan, state)
    elif run.status == "needs_attention":
        _requeue(plan, state, run)
    else:
        _release(plan, state, run)


def _publish(plan: Plan, state: TaskState) -> None:
    published = TaskPublished(
        previous_status=state.task.status,
        status=derive_runnable_status(state, plan.task_status),
        approval_state=state.task.approval_state,
    )
    plan.emit_task(state.id, published)
    queue_run(plan, plan.existing_task(state.id))


def _release(plan: Plan, state: TaskState, run: Run) -> None:
    actor = plan.context.actor
    fact = RunReleased(
        previous_status=run.status,
        status="queued",
        task_status=status_with(plan, state, run, "queued"),
        session_id=run.session_id,
        manual=True,
        actor_kind=actor.kind,
        actor_id=actor.ref,
        previous_session_id=run.session_id,
        previous_lease_until=run.lease_until,
    )
    settle(plan, state, plan.emit_task(state.id, fact, run.id))


def _requeue(plan: Plan, state: TaskState, run: Run) -> None:
    actor = plan.context.actor
    fact = RunRequeued(
        manual=True,
        actor_kind=actor.kind,
        actor_id=actor.ref,
        previous_status=run.status,
        status="queued",
        task_status=status_with(plan, state, run, "queued"),
    )
    settle(plan, state, plan.emit_task(state.id, fact, run.id))


_Step = Callable[[Plan, TaskState, Run], None]


def _claim(plan: Plan, state: TaskState, run: Run) -> None:
    fact = RunClaimed(
        status="claimed",
        task_status=status_with(plan, state, run, "claimed"),
        claimed_by=plan.context.actor,
        lease_until=0,
    )
    plan.emit_task(state.id, fact, run.id)


def _start(plan: Plan, state: TaskState, run: Run) -> None:
    """Begin to start; no session is asked for, since the caller does the work."""
    status = status_with(plan, state, run, "starting")
    fact = RunStarting(status="starting", task_status=status, session_id=run.session_id)
    plan.emit_task(state.id, fact, run.id)


def _begin(plan: Plan, state: TaskState, run: Run) -> None:
    status = status_with(plan, state, run, "running")
    fact = RunStarted(status="running", task_status=status, session_id=run.session_id)
    plan.emit_task(state.id, fact, run.id)


_NEXT: Final[Mapping[RunStatus, _Step]] = {
    "needs_attention": _requeue,
    "queued": _claim,
    "claimed": _start,
    "starting": _begin,
}


def _run(plan: Plan, state: TaskState) -> tuple[TaskState, Run]:
    """Go step by step until the run is running; return how it stands then."""
    if state.open_run is None:
        _publish(plan, state)
    while True:
        state = plan.existing_task(state.id)
        run = state.open_run
        assert run is not None
        if run.status == "running":
            return state, run
        _NEXT[run.status](plan, state, run)
