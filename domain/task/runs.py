"""What operators do with a given run, without a lease (task API, runs)."""

from domain import fields
from domain.commands import (
    AttachSession,
    CancelRun,
    ClaimRun,
    CompleteRun,
    FailRun,
    Reply,
    StartRun,
)
from domain.errors import (
    InvalidClaimTokenError,
    InvalidTransitionError,
    PermissionDeniedError,
    SessionAlreadyBoundError,
    SessionAttachError,
    SessionNotFoundError,
)
from domain.events import (
    RunCanceled,
    RunClaimed,
    RunRejected,
    RunSessionBound,
    RunStarted,
    RunStarting,
)
from domain.task.cascade import settle, status_with
from domain.task.channels import stale_channel
from domain.task.execution import require_key
from domain.task.outcomes import end_badly, end_well, outcome_hash, take_away
from domain.task.state import Run, TaskState
from domain.values import ID_BYTES, PAYLOAD_BYTES
from domain.world import Plan

_HELD_BACK = frozenset({"blocked", "draft", "canceled"})


def cannot_transition(run: Run, status: str) -> InvalidTransitionError:
    """Return the refusal of a run's move to `status`."""
    return InvalidTransitionError(
        f'task run "{run.id}" cannot transition from "{run.status}" to "{status}"'
    )


def _check_not_held_back(state: TaskState) -> None:
    if state.task.status in _HELD_BACK:
        message = f'task "{state.id}" is {state.task.status}'
        raise InvalidTransitionError(message)


def _check_unfenced(run: Run, outcome: str) -> None:
    if run.claim_token_hash:
        message = f'task run "{run.id}" requires token-fenced {outcome}'
        raise InvalidClaimTokenError(message)


def claim_run(command: ClaimRun, plan: Plan) -> Reply:
    """Claim a queued run without a lease; pauses do not hold an operator back."""
    require_key(plan, command.idempotency_key, "claim_run")
    state, run = plan.require_run(command.run_id)
    _check_not_held_back(state)
    if run.status != "queued":
        raise cannot_transition(run, "claimed")
    _check_owner(state, plan)
    plan.emit_task(
        state.id,
        RunClaimed(
            status="claimed",
            task_status=status_with(plan, state, run, "claimed"),
            claimed_by=plan.context.actor,
            lease_until=0,
        ),
        run.id,
    )
    return Reply(task_id=state.id, run_id=run.id)


def _check_owner(state: TaskState, plan: Plan) -> None:
    owner, actor = state.task.owner, plan.context.actor
    if owner is None or owner.kind not in {"pool", "agent_session"}:
        return
    own_session = actor.kind == "agent_session" and actor.ref == owner.ref
    if owner.kind == "agent_session" and (own_session or actor.kind == "daemon"):
        return
    message = f'task "{state.id}" belongs to {owner.kind} "{owner.ref}"'
    raise PermissionDeniedError(message)


def start_run(command: StartRun, plan: Plan) -> Reply:
    """Bring a claimed or starting run to running, with a session bound; a lease goes on."""
    require_key(plan, command.idempotency_key, "start_run")
    given = fields.identifier(command.session_id, "start_run.session_id")
    state, run = plan.require_run(command.run_id)
    _check_not_held_back(state)
    stale = _reject_stale_channel(plan, state, run, "start")
    reply = Reply(task_id=state.id, run_id=run.id, stale_channel=stale)
    if stale:
        return reply
    if run.status not in {"claimed", "starting"}:
        raise cannot_transition(run, "starting")
    if run.session_id and given not in {"", run.session_id}:
        raise SessionAlreadyBoundError(f'task run "{run.id}" has session "{run.session_id}"')
    if run.status == "starting" and not run.session_id:
        raise InvalidTransitionError(f'task run "{run.id}" is starting without a session')
    status = status_with(plan, state, run, "running")
    session_id = run.session_id or given or _own_session(plan)
    if not run.session_id:
        _check_session_free(plan, session_id)
    if run.status == "claimed":
        starting = RunStarting(status="starting", task_status=status, session_id=run.session_id)
        plan.emit_task(state.id, starting, run.id)
        bound = RunSessionBound(status="starting", task_status=status, session_id=session_id)
        plan.emit_task(state.id, bound, run.id)
    plan.emit_task(
        state.id,
        RunStarted(status="running", task_status=status, session_id=session_id),
        run.id,
    )
    return reply


def _own_session(plan: Plan) -> str:
    actor = plan.context.actor
    return actor.ref if actor.kind == "agent_session" else plan.context.new_id("sess")


def _check_session_free(plan: Plan, session_id: str) -> None:
    for _, run_id in plan.world.runs_of_session(session_id):
        raise SessionAlreadyBoundError(f'session "{session_id}" is bound to active run "{run_id}"')


def _reject_stale_channel(plan: Plan, state: TaskState, run: Run, operation: str) -> str:
    """Note that the run's channel is no longer usable, and return it; empty when it is."""
    channel = stale_channel(plan, state.task, run)
    if channel:
        plan.emit_task(
            state.id,
            RunRejected(
                operation=operation, reason="stale_network_channel", network_channel=channel
            ),
            run.id,
        )
    return channel


def attach_session(command: AttachSession, plan: Plan) -> Reply:
    """Bind a registered session to a claimed run, which is starting by that."""
    session_id = fields.required(command.session_id, "attach_session.session_id", limit=ID_BYTES)
    state, run = plan.require_run(command.run_id)
    _check_not_held_back(state)
    stale = _reject_stale_channel(plan, state, run, "attach")
    reply = Reply(task_id=state.id, run_id=run.id, stale_channel=stale)
    if stale:
        return reply
    if run.session_id:
        raise SessionAlreadyBoundError(f'task run "{run.id}" has session "{run.session_id}"')
    if run.status not in {"claimed", "starting"}:
        raise SessionAttachError(f'task run "{run.id}" is {run.status}')
    _check_session_free(plan, session_id)
    session = plan.session(session_id)
    if session is None:
        raise SessionNotFoundError(f'"{session_id}"')
    if session.state != "active":
        raise SessionAttachError(f'session "{session_id}" is {session.state}')
    plan.emit_task(
        state.id,
        RunSessionBound(
            status="starting",
            task_status=status_with(plan, state, run, "starting"),
            session_id=session_id,
        ),
        run.id,
    )
    return reply


def complete_run(command: CompleteRun, plan: Plan) -> Reply:
    """End a running run well; one under a lease needs its holder.

    Who has ended it so may say it again and gets the first answer (added).
    """
    result = fields.json(command.result, "complete_run.result", PAYLOAD_BYTES, secret_free=True)
    state, run = plan.require_run(command.run_id)
    _check_unfenced(run, "completion")
    outcome = outcome_hash("completed", "", result, plan.context.actor.label)
    if run.outcome_hash == outcome:
        return Reply(task_id=state.id, run_id=run.id, replayed=True)
    if run.status != "running":
        raise cannot_transition(run, "completed")
    return end_well(plan, state, run, result, request_hash=outcome)


def fail_run(command: FailRun, plan: Plan) -> Reply:
    """End a starting or running run badly; one under a lease needs its holder.

    Who has ended it so may say it again and gets the first answer (added).
    """
    error = fields.required(command.error, "fail_run.error")
    metadata = fields.json(command.metadata, "fail_run.metadata", PAYLOAD_BYTES, secret_free=True)
    state, run = plan.require_run(command.run_id)
    _check_unfenced(run, "failure")
    outcome = outcome_hash("failed", error, metadata, plan.context.actor.label)
    if run.outcome_hash == outcome:
        return Reply(task_id=state.id, run_id=run.id, replayed=True)
    if run.status not in {"starting", "running"}:
        raise cannot_transition(run, "failed")
    return end_badly(plan, state, run, error, metadata, request_hash=outcome)


def cancel_run(command: CancelRun, plan: Plan) -> Reply:
    """Give up an open run, also one that needs attention; its task may be canceled by that."""
    reason = fields.text(command.reason, "cancel_run.reason")
    metadata = fields.json(command.metadata, "cancel_run.metadata", PAYLOAD_BYTES)
    state, run = plan.require_run(command.run_id)
    if not run.is_open:
        raise cannot_transition(run, "canceled")
    canceled = plan.emit_task(
        state.id,
        RunCanceled(
            status="canceled",
            task_status=status_with(plan, state, run, "canceled"),
            reason=reason,
            metadata=metadata,
            session_id=run.session_id,
        ),
        run.id,
    )
    take_away(plan, run, canceled)
    settle(plan, state, canceled)
    return Reply(task_id=state.id, run_id=run.id)
