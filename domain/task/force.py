"""What operators do to a run by hand, whoever has it (task API, force operations)."""

from msgspec.structs import replace

from domain import fields
from domain.commands import Reply
from domain.errors import InvalidTransitionError, ValidationError
from domain.events import (
    RunOperatorForcedFail,
    RunOperatorRetry,
    RunRecoveredFromAttention,
    RunReleased,
    RunRequeued,
)
from domain.force_commands import ForceFailRun, RecoverRun, ReleaseRun, RetryRun
from domain.refusals import (
    already_terminal,
    bulk_too_large,
    chain_too_deep,
    not_recoverable,
    not_releasable,
    not_retryable,
    requires_reason,
    still_active,
)
from domain.task.agents import check_agent, check_rate
from domain.task.cascade import settle, status_with
from domain.task.channels import coordination_channel_id
from domain.task.execution import check_room
from domain.task.state import Run, TaskState
from domain.task.status import derive_status
from domain.values import ID_BYTES, MAX_BULK, MAX_RETRIES, METADATA_BYTES, Json
from domain.world import Plan

_FAILABLE = frozenset({"queued", "claimed", "needs_attention"})
_HASH_PREFIX = "sha256:"
_HASH_SHOWN = 8


def release_run(command: ReleaseRun, plan: Plan) -> Reply:
    """Put a claimed run back into the queue; attempt and place in the queue are kept."""
    check_agent(plan)
    reason = fields.text(command.reason, "force_release_run.reason")
    metadata = _metadata(command.metadata, "force_release_run")
    state, run = _reached(plan, command.run_id)
    if run.status != "claimed":
        raise not_releasable(run)
    actor = plan.context.actor
    released = plan.emit_task(
        state.id,
        RunReleased(
            previous_status=run.status,
            status="queued",
            task_status=status_with(plan, state, run, "queued"),
            reason=reason,
            session_id=run.session_id,
            manual=True,
            actor_kind=actor.kind,
            actor_id=actor.ref,
            previous_session_id=run.session_id,
            previous_claim_token_hash_truncated=_shortened(run.claim_token_hash),
            previous_lease_until=run.lease_until,
            metadata=metadata,
        ),
        run.id,
    )
    settle(plan, state, released)
    return Reply(task_id=state.id, run_id=run.id)


def force_fail_run(command: ForceFailRun, plan: Plan) -> Reply:
    """End a run badly that waits, is merely claimed or needs attention."""
    check_agent(plan)
    reason = required_reason(command.reason, "force_fail_run")
    metadata = _metadata(command.metadata, "force_fail_run")
    state, run = _reached(plan, command.run_id)
    if not run.is_open:
        raise already_terminal(run)
    if run.status not in _FAILABLE:
        raise still_active(run)
    actor = plan.context.actor
    failed = plan.emit_task(
        state.id,
        RunOperatorForcedFail(
            manual=True,
            actor_kind=actor.kind,
            actor_id=actor.ref,
            previous_status=run.status,
            status="failed",
            task_status=status_with(plan, state, run, "failed"),
            reason=reason,
            session_id=run.session_id,
            metadata=metadata,
        ),
        run.id,
    )
    settle(plan, state, failed)
    return Reply(task_id=state.id, run_id=run.id)


def retry_run(command: RetryRun, plan: Plan) -> Reply:
    """Queue a successor of a failed run; metadata comes from the request alone."""
    check_agent(plan)
    metadata = _metadata(command.metadata, "retry_run")
    state, run = _reached(plan, command.run_id)
    if run.status != "failed":
        raise not_retryable(run)
    _check_chain(state, run)
    check_room(state)
    successor = _successor(plan, state, run)
    actor = plan.context.actor
    retried = plan.emit_task(
        state.id,
        RunOperatorRetry(
            manual=True,
            actor_kind=actor.kind,
            actor_id=actor.ref,
            source_run_id=run.id,
            new_run_id=successor.id,
            task_status=derive_status(state.with_run(successor), plan.task_status),
            attempt=successor.attempt,
            network_channel=successor.network_channel,
            coordination_channel_id=successor.coordination_channel_id,
            metadata=metadata,
        ),
        successor.id,
    )
    settle(plan, state, retried)
    return Reply(task_id=state.id, run_id=successor.id)


def recover_run(command: RecoverRun, plan: Plan) -> Reply:
    """Let a run that needs attention fail and queue its successor, or queue the run itself again.

    In place it needs no attempt; its expired leases are forgotten.
    """
    check_agent(plan)
    reason = fields.text(command.reason, "recover_run.reason")
    metadata = _metadata(command.metadata, "recover_run")
    state, run = _reached(plan, command.run_id)
    if run.status != "needs_attention":
        raise not_recoverable(run)
    if command.in_place:
        return _requeue(plan, state, run, reason, metadata)
    ended = state.with_run(replace(run, status="failed"))
    _check_chain(ended, run)
    check_room(ended)
    successor = _successor(plan, state, run)
    actor = plan.context.actor
    recovered = plan.emit_task(
        state.id,
        RunRecoveredFromAttention(
            manual=True,
            actor_kind=actor.kind,
            actor_id=actor.ref,
            source_run_id=run.id,
            new_run_id=successor.id,
            previous_status=run.status,
            status=successor.status,
            task_status=derive_status(ended.with_run(successor), plan.task_status),
            attempt=successor.attempt,
            reason=reason,
            network_channel=successor.network_channel,
            coordination_channel_id=successor.coordination_channel_id,
            metadata=metadata,
        ),
        successor.id,
    )
    settle(plan, state, recovered)
    return Reply(task_id=state.id, run_id=successor.id)


def _requeue(plan: Plan, state: TaskState, run: Run, reason: str, metadata: Json) -> Reply:
    actor = plan.context.actor
    requeued = plan.emit_task(
        state.id,
        RunRequeued(
            manual=True,
            actor_kind=actor.kind,
            actor_id=actor.ref,
            previous_status=run.status,
            status="queued",
            task_status=status_with(plan, state, run, "queued"),
            reason=reason,
            metadata=metadata,
        ),
        run.id,
    )
    settle(plan, state, requeued)
    return Reply(task_id=state.id, run_id=run.id)


def bulk_run_ids(run_ids: tuple[str, ...], operation: str) -> tuple[str, ...]:
    """Return the ids of a bulk operation trimmed and without duplicates, in their order.

    Raises BulkTooLargeError for more than are taken at once, duplicates included, and
    ValidationError for none or a blank one.
    """
    if not run_ids:
        message = f"{operation}.run_ids must not be empty"
        raise ValidationError(message)
    if len(run_ids) > MAX_BULK:
        raise bulk_too_large(len(run_ids))
    path = f"{operation}.run_ids"
    named = (
        fields.required(each, f"{path}[{n}]", limit=ID_BYTES) for n, each in enumerate(run_ids)
    )
    return tuple(dict.fromkeys(named))


def required_reason(value: str, operation: str) -> str:
    """Return the reason; raises RequiresReasonError when it is blank."""
    reason = fields.text(value, f"{operation}.reason")
    if not reason:
        raise requires_reason(operation)
    return reason


def _metadata(value: Json, operation: str) -> Json:
    return fields.json(value, f"{operation}.metadata", METADATA_BYTES, secret_free=True)


def _reached(plan: Plan, run_id: str) -> tuple[TaskState, Run]:
    """Return the run with its task, if the caller may do something by hand to it now."""
    state, run = plan.require_run(run_id)
    check_rate(plan, state)
    return state, run


def _shortened(claim_token_hash: str) -> str:
    return claim_token_hash.removeprefix(_HASH_PREFIX)[:_HASH_SHOWN]


def _check_chain(state: TaskState, run: Run) -> None:
    """Refuse a second successor, and one more where there are too many already."""
    for other in state.runs.values():
        if other.previous_run_id == run.id:
            message = f'task run "{run.id}" already has retry run "{other.id}"'
            raise InvalidTransitionError(message)
    depth, each = 0, run
    while each.previous_run_id:
        each = state.runs[each.previous_run_id]
        depth += 1
    if depth >= MAX_RETRIES:
        raise chain_too_deep(run, depth)


def _successor(plan: Plan, state: TaskState, run: Run) -> Run:
    """Return the next attempt of a run; raises ValidationError when its channel is taken."""
    run_id = plan.context.new_id("run")
    channel = run.network_channel or state.task.network_channel
    return Run(
        id=run_id,
        task_id=state.id,
        status="queued",
        attempt=state.next_attempt,
        origin=plan.context.origin,
        queued_at=plan.now,
        network_channel=channel,
        coordination_channel_id=coordination_channel_id(plan, state.task, run_id, channel),
    )
