"""How runs end, whoever ends them: the event, the task's status and what follows from both."""

import hashlib

from domain.commands import Reply
from domain.events import RunCompleted, RunFailed, RunForceStopped
from domain.recorded import Recorded
from domain.task.cascade import settle, status_with
from domain.task.state import Run, TaskState
from domain.values import Json
from domain.world import Plan


def outcome_hash(*parts: str | Json) -> str:
    """Return what tells the same report about a run from any other."""
    said = (part.encode() if isinstance(part, str) else bytes(part) for part in parts)
    return hashlib.sha256(b"\0".join(said)).hexdigest()[:32]


def end_well(
    plan: Plan,
    state: TaskState,
    run: Run,
    result: Json,
    *,
    request_hash: str = "",
    cause: Recorded | None = None,
) -> Reply:
    """Note that the run is completed; `request_hash` tells a repeated request of its holder."""
    fact = RunCompleted(
        status="completed",
        task_status=status_with(plan, state, run, "completed"),
        result=result,
        claim_token_hash=run.claim_token_hash,
        request_hash=request_hash,
    )
    settle(plan, state, plan.emit_task(state.id, fact, run.id, cause))
    return Reply(task_id=state.id, run_id=run.id)


def end_badly(
    plan: Plan,
    state: TaskState,
    run: Run,
    error: str,
    metadata: Json,
    *,
    request_hash: str = "",
    failure_kind: str = "",
    cause: Recorded | None = None,
) -> Reply:
    """Note that the run failed; `request_hash` tells a repeated request of its holder."""
    fact = RunFailed(
        status="failed",
        task_status=status_with(plan, state, run, "failed"),
        error=error,
        metadata=metadata,
        claim_token_hash=run.claim_token_hash,
        request_hash=request_hash,
        failure_kind=failure_kind,
    )
    settle(plan, state, plan.emit_task(state.id, fact, run.id, cause))
    return Reply(task_id=state.id, run_id=run.id)


def take_away(plan: Plan, run: Run, cause: Recorded, propagated_from: str = "") -> None:
    """Note that a run was taken from the session that worked on it; `run` is as it was before.

    Nobody waits for a session here, so it gets no time to stop by itself.
    """
    gone = bool(run.claim_token_hash) and run.lease_until <= plan.now
    if not run.is_active or not run.session_id or gone:
        return
    fact = RunForceStopped(
        session_id=run.session_id, grace_timeout_ms=0, propagated_from_task_id=propagated_from
    )
    plan.emit_task(run.task_id, fact, run.id, cause)
