"""What only the holder of a lease may do, and how leases run out (task API, leases)."""

from typing import Final

from domain import fields
from domain.commands import (
    CompleteLease,
    ExpireLeases,
    FailLease,
    Heartbeat,
    LeaseCommand,
    ReleaseLease,
    Reply,
)
from domain.errors import LeaseRejectedError
from domain.events import (
    RunLeaseExpired,
    RunLeaseExtended,
    RunNeedsAttention,
    RunReleased,
)
from domain.instants import SECOND, rfc3339
from domain.recorded import Recorded
from domain.task.cascade import settle, status_with
from domain.task.outcomes import end_badly, end_well, outcome_hash
from domain.task.state import Run, TaskState
from domain.values import NO_JSON, PAYLOAD_BYTES, Facade
from domain.world import Plan

_ALL_LEASES = 1_000_000
FAILING: Final[frozenset[Facade | None]] = frozenset({"tempest"})
"""The APIs in which nobody could look after a run, so that it fails when its leases run out."""


def active_leases(plan: Plan, session_id: str) -> int:
    """Return how many leases of the session have not run out."""
    held = 0
    for task_id, run_id in plan.world.runs_of_session(session_id):
        state = plan.readable_task(task_id)
        held += state is None or state.runs[run_id].leased_at(plan.now)
    return held


def _held(command: LeaseCommand, plan: Plan) -> tuple[TaskState, Run]:
    """Return the run if the session holds it; raises LeaseRejectedError saying what it holds."""
    session_id = command.session_id
    session = plan.session(session_id)
    if session is None or session.concurrency == 1:
        leases = active_leases(plan, session_id)
        if leases > 1:
            raise LeaseRejectedError(
                "AUTONOMY_LEASE_ALREADY_HELD",
                f'session "{session_id}" holds {leases} active leases, expected one',
            )
    task_id = plan.world.task_of_run(command.run_id)
    if task_id is not None:
        run = plan.existing_task(task_id).runs[command.run_id]
        if run.session_id == session_id and run.leased_at(plan.now):
            return plan.require_task(task_id), run
    raise _rejection(command, plan, active_leases(plan, session_id) > 0)


def _rejection(command: LeaseCommand, plan: Plan, holds_other: bool) -> LeaseRejectedError:
    held_before = _held_before(command, plan)
    run_id, session_id = command.run_id, command.session_id
    if held_before is not None:
        return LeaseRejectedError(
            "AUTONOMY_LEASE_EXPIRED",
            f'session "{session_id}" no longer holds task run "{run_id}", {_now(held_before[1])}',
        )
    if holds_other:
        return LeaseRejectedError(
            "AUTONOMY_FOREIGN_RUN",
            f'task run "{run_id}" is not the run session "{session_id}" holds',
        )
    return LeaseRejectedError(
        "AUTONOMY_NO_ACTIVE_LEASE",
        f'session "{session_id}" holds no active lease, expected one on task run "{run_id}"',
    )


def _now(run: Run) -> str:
    """Return what has become of a run whose holder lost it."""
    if run.is_active and run.claim_token_hash:
        return f"whose lease ran out at {rfc3339(run.lease_until)}"
    return f"which is {run.status}"


def _held_before(command: LeaseCommand, plan: Plan) -> tuple[TaskState, Run] | None:
    """Return the run if this session was the last to hold it."""
    task_id = plan.world.task_of_run(command.run_id)
    if task_id is None:
        return None
    run = plan.existing_task(task_id).runs[command.run_id]
    return (plan.require_task(task_id), run) if run.session_id == command.session_id else None


def _held_or_repeated(
    command: LeaseCommand, plan: Plan, outcome: str
) -> tuple[TaskState, Run] | Reply:
    """Return the run if the session holds it, or the reply to the outcome it sent before.

    A holder whose reply was lost may ask again (added). Raises LeaseRejectedError otherwise.
    """
    try:
        return _held(command, plan)
    except LeaseRejectedError:
        before = _held_before(command, plan)
        if before is None or before[1].outcome_hash != outcome:
            raise
        return Reply(task_id=before[0].id, run_id=command.run_id, replayed=True)


def heartbeat(command: Heartbeat, plan: Plan) -> Reply:
    """Let the lease run from now on; it may become shorter by that."""
    seconds = fields.lease_seconds(command.lease_seconds, plan.policy.default_lease_seconds)
    state, run = _held(command, plan)
    plan.emit_task(
        state.id,
        RunLeaseExtended(
            status=run.status,
            task_status=state.task.status,
            lease_until=plan.now + seconds * SECOND,
            heartbeat_at=plan.now,
            claim_token_hash=run.claim_token_hash,
        ),
        run.id,
    )
    return Reply(task_id=state.id, run_id=run.id)


def complete_lease(command: CompleteLease, plan: Plan) -> Reply:
    """End the leased run well; repeating it with the same result gives the first answer."""
    result = fields.json(command.result, "complete_run.result", PAYLOAD_BYTES, secret_free=True)
    outcome = outcome_hash("completed", "", result)
    held = _held_or_repeated(command, plan, outcome)
    if isinstance(held, Reply):
        return held
    state, run = held
    return end_well(plan, state, run, result, request_hash=outcome)


def fail_lease(command: FailLease, plan: Plan) -> Reply:
    """End the leased run badly; repeating it with the same error gives the first answer."""
    error = fields.required(command.error, "fail_run.error")
    metadata = fields.json(command.metadata, "fail_run.metadata", PAYLOAD_BYTES, secret_free=True)
    outcome = outcome_hash("failed", error, metadata)
    held = _held_or_repeated(command, plan, outcome)
    if isinstance(held, Reply):
        return held
    state, run = held
    return end_badly(plan, state, run, error, metadata, request_hash=outcome)


def release_lease(command: ReleaseLease, plan: Plan) -> Reply:
    """Give the run back to the queue; attempt and place in the queue are kept."""
    reason = fields.text(command.reason, "release_run.reason")
    state, run = _held(command, plan)
    released = plan.emit_task(
        state.id,
        RunReleased(
            previous_status=run.status,
            status="queued",
            task_status=status_with(plan, state, run, "queued"),
            reason=reason,
            session_id=run.session_id,
        ),
        run.id,
    )
    settle(plan, state, released)
    return Reply(task_id=state.id, run_id=run.id)


def expire_leases(command: ExpireLeases, plan: Plan) -> Reply:
    """Take back every lease past its deadline; too many expiries take the run off the queue."""
    limit = command.limit or _ALL_LEASES
    for task_id, run_id in plan.world.expired_leases(plan.now, limit):
        state = plan.readable_task(task_id)
        if state is not None:
            _expire(plan, state, state.runs[run_id], command.reason)
    return Reply()


def _expire(plan: Plan, state: TaskState, run: Run, reason: str) -> None:
    expiries = run.expiries + 1
    expired = plan.emit_task(
        state.id,
        RunLeaseExpired(
            previous_status=run.status,
            status="queued",
            task_status=status_with(plan, state, run, "queued"),
            reason=reason,
            session_id=run.session_id,
            lease_until=run.lease_until,
            previous_claim_token_hash=run.claim_token_hash,
            coordination_channel_id=run.coordination_channel_id,
            expiries=expiries,
        ),
        run.id,
    )
    if expiries >= plan.policy.max_lease_expiries:
        give_up = _fail if state.task.facade in FAILING else _take_off_queue
        give_up(plan, state, run, expiries, expired)


def _fail(plan: Plan, before: TaskState, run: Run, expiries: int, _: Recorded) -> None:
    state = plan.existing_task(before.id)
    error = f"lease expired {expiries} times"
    end_badly(plan, state, state.runs[run.id], error, NO_JSON, failure_kind="lease_expired")


def _take_off_queue(plan: Plan, state: TaskState, run: Run, expiries: int, cause: Recorded) -> None:
    attention = plan.emit_task(
        state.id,
        RunNeedsAttention(
            previous_status="queued",
            status="needs_attention",
            diagnostic=f"lease expired {expiries} times; the run is no longer handed out",
            queued_at=run.queued_at,
            coordination_channel=run.coordination_channel_id,
            task_status=status_with(plan, state, run, "needs_attention"),
        ),
        run.id,
        cause,
    )
    settle(plan, state, attention)
