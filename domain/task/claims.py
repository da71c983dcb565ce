"""Claiming under a lease: which of the waiting runs a session is handed (task API, claim-next)."""

from collections.abc import Iterator, Sequence
from itertools import islice

from domain import fields
from domain.commands import Claim, ClaimNext, ClaimSeveral, Reply
from domain.eligibility import claimant
from domain.errors import ActiveLeaseError, ValidationError
from domain.events import RunClaimed
from domain.instants import SECOND, rfc3339
from domain.recorded import Recorded
from domain.registry import SessionState
from domain.session import claiming_session
from domain.task.cascade import status_with
from domain.task.leases import active_leases
from domain.task.state import Run, TaskState
from domain.values import Actor, Soul
from domain.world import Plan


def claim_next(command: ClaimNext, plan: Plan) -> Reply:
    """Claim the best run this session may have; a reply without a run when there is none.

    Raises ActiveLeaseError while the session holds as many runs as it may, PermissionDeniedError
    for another workspace or capabilities it is not registered for.
    """
    return _claim(command, plan, (command.claim_token_hash,))


def claim_several(command: ClaimSeveral, plan: Plan) -> Reply:
    """Claim the best runs, as many as the session may still hold; the reply names the first.

    Raises as `claim_next` does.
    """
    return _claim(command, plan, command.claim_token_hashes)


def _claim(command: Claim, plan: Plan, token_hashes: Sequence[str]) -> Reply:
    offered = fields.capabilities(command.capabilities, "claim_next.required_capabilities")
    if command.priority_min < 0:
        message = f"claim_next.priority_min must not be negative: {command.priority_min}"
        raise ValidationError(message)
    seconds = fields.lease_seconds(command.lease_seconds, plan.policy.default_lease_seconds)
    session = claiming_session(command, plan, offered, len(token_hashes))
    plan.check_reach(session.workspace_id, f'session "{session.id}"')
    most = _free(plan, session)
    if plan.scheduler().paused:
        return Reply(session_id=session.id)
    first: Recorded | None = None
    found = islice(_claimable(plan, session, offered, command), most)
    for token_hash, (state, run) in zip(token_hashes, found, strict=False):
        fact = RunClaimed(
            status="claimed",
            task_status=status_with(plan, state, run, "claimed"),
            claimed_by=Actor("agent_session", session.id),
            claim_token_hash=token_hash,
            lease_until=plan.now + seconds * SECOND,
            session_id=session.id,
            soul=_soul(session, plan.now),
        )
        claimed = plan.emit_task(state.id, fact, run.id)
        first = first or claimed
    if first is None:
        return Reply(session_id=session.id)
    return Reply(task_id=first.task_id, run_id=first.run_id, session_id=session.id)


def _soul(session: SessionState, now: int) -> Soul | None:
    """Return the mark that a session with a soul leaves on what it claims."""
    if not session.soul_digest:
        return None
    return Soul(
        snapshot_id=session.soul_snapshot_id,
        digest=session.soul_digest,
        agent_name=session.agent_name,
        captured_at=rfc3339(now),
    )


def _free(plan: Plan, session: SessionState) -> int:
    """Return how many leases more the session may hold; raises ActiveLeaseError for none."""
    held = active_leases(plan, session.id)
    if held < session.concurrency:
        return session.concurrency - held
    owned = "an active task-run lease" if held == 1 else f"{held} active task-run leases"
    message = f'session "{session.id}" already owns {owned}'
    raise ActiveLeaseError(message)


def _claimable(
    plan: Plan, session: SessionState, offered: tuple[str, ...], command: Claim
) -> Iterator[tuple[TaskState, Run]]:
    query = claimant(session, offered, command.priority_min)
    for task_id, run_id in plan.world.claimable_runs(query):
        state = plan.readable_task(task_id)
        if state is not None and state.runs[run_id].status == "queued":
            yield state, state.runs[run_id]
