"""Folds of what brings a run back or ends it by hand, and what all folds of runs share."""

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec.structs import replace

from domain import events as e
from domain.recorded import Recorded
from domain.task.state import Forced, Run, Task, TaskState
from domain.values import FORCE_WINDOW, NO_JSON, TERMINAL_TASK, TaskStatus


def status_changes(task: Task, status: TaskStatus, now: int) -> dict[str, Any]:
    """Return the task fields that move with a status change; none when it stays."""
    if task.status == status:
        return {}
    closing = status in TERMINAL_TASK
    stays_closed = closing and task.status in TERMINAL_TASK
    closed_at = task.closed_at if stays_closed else now if closing else 0
    return {"status": status, "updated_at": now, "closed_at": closed_at}


def with_run(state: TaskState, recorded: Recorded, run: Run, task_status: TaskStatus) -> TaskState:
    """Put the run in place, project it as current while it is claimed, move the task's status."""
    task = state.task
    current = task.current_run_id
    if run.is_active:
        current = run.id
    elif current == run.id:
        current = ""
    if task.status == task_status:
        task = replace(task, current_run_id=current)
    else:
        moved = status_changes(task, task_status, recorded.occurred_at)
        task = replace(task, current_run_id=current, **moved)
    return replace(state, runs={**state.runs, run.id: run}, task=task)


def _expiries(run: Run, fact: e.RunLeaseExpired | e.RunReleased | e.RunRequeued) -> int:
    """Return how often the run's lease has run out; who looked after it forgives that."""
    if isinstance(fact, e.RunLeaseExpired):
        return fact.expiries
    return run.expiries if isinstance(fact, e.RunReleased) else 0


def requeued(
    state: TaskState, recorded: Recorded, fact: e.RunLeaseExpired | e.RunReleased | e.RunRequeued
) -> TaskState:
    """Return the state with the run back in the queue."""
    before = state.runs[recorded.run_id]
    run = replace(
        before,
        status="queued",
        requeued_at=recorded.occurred_at,
        claimed_by=None,
        session_id="",
        claim_token_hash="",
        claimed_at=0,
        lease_until=0,
        heartbeat_at=0,
        started_at=0,
        ended_at=0,
        error="",
        result=NO_JSON,
        expiries=_expiries(before, fact),
    )
    return with_run(state, recorded, run, fact.task_status)


def _forced_to_fail(run: Run, error: str, now: int) -> Run:
    return replace(
        run,
        status="failed",
        failure_kind="operator_forced",
        result=NO_JSON,
        error=error,
        ended_at=now,
        claim_token_hash="",
        lease_until=0,
        heartbeat_at=0,
    )


def forced_fail(state: TaskState, recorded: Recorded, fact: e.RunOperatorForcedFail) -> TaskState:
    """Return the state with the run failed by hand."""
    run = _forced_to_fail(state.runs[recorded.run_id], fact.reason, recorded.occurred_at)
    return with_run(state, recorded, run, fact.task_status)


def retried(
    state: TaskState, recorded: Recorded, fact: e.RunOperatorRetry | e.RunRecoveredFromAttention
) -> TaskState:
    """Return the state with the successor of a run in the queue."""
    run = Run(
        id=recorded.run_id,
        task_id=state.task.id,
        status="queued",
        attempt=fact.attempt,
        origin=recorded.origin,
        queued_at=recorded.occurred_at,
        previous_run_id=fact.source_run_id,
        network_channel=fact.network_channel,
        coordination_channel_id=fact.coordination_channel_id,
        metadata=fact.metadata,
    )
    return with_run(state, recorded, run, fact.task_status)


def recovered(state: TaskState, recorded: Recorded, fact: e.RunRecoveredFromAttention) -> TaskState:
    """Return the state with the run failed and its successor in the queue."""
    source = state.runs[fact.source_run_id]
    ended = _forced_to_fail(source, fact.reason or source.error, recorded.occurred_at)
    return retried(state.with_run(ended), recorded, fact)


_Manual: TypeAlias = (
    e.TaskPaused
    | e.TaskResumed
    | e.RunReleased
    | e.RunOperatorForcedFail
    | e.RunOperatorRetry
    | e.RunRecoveredFromAttention
    | e.RunRequeued
)


def counting(fold: Callable[[TaskState, Recorded, Any], TaskState]) -> Callable[..., TaskState]:
    """Return the fold, which also notes when an agent did this by hand."""

    def counted(state: TaskState, recorded: Recorded, fact: _Manual) -> TaskState:
        folded = fold(state, recorded, fact)
        if not fact.manual or recorded.actor.kind != "agent_session":
            return folded
        now = recorded.occurred_at
        lately = [each for each in state.forced if now - each.at < FORCE_WINDOW]
        return replace(folded, forced=(*lately, Forced(actor=recorded.actor, at=now)))

    return counted
