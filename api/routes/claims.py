"""Operations of agents: claim work under a lease, at once or when there is some."""

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer, until_disconnected
from api.call import Call
from api.operations import Operation
from api.routes.common import operation
from api.waiting import Waiter
from domain import commands as c
from domain import fields
from domain.eligibility import claimant, suits
from domain.events import RunClaimed
from domain.recorded import session_stream, task_stream
from domain.registry import SessionState
from domain.task.state import TaskState
from domain.values import MAX_CLAIMS
from domain.world import Change
from projections.wire import coordination_channel, run_lease, run_view, task_reference
from replay.batch import AbandonedError
from replay.committer import Outcome

_TOKEN_BYTES: Final = 32


def claim_token_hash() -> str:
    """Return the hash of a fresh claim token.

    Nobody keeps the token: the holder is known by session and run, and the hash tells its lease
    from any other.
    """
    secret = base64.urlsafe_b64encode(os.urandom(_TOKEN_BYTES)).rstrip(b"=")
    return f"sha256:{sha256(b'agh_claim_' + secret).hexdigest()}"


async def claim_next(call: Call) -> Answer:
    """Claim the best waiting run under a lease; 204 when there is none."""
    body = await call.read(b.ClaimNextAgentTaskRequest)
    command = c.ClaimNext(**_criteria(call, body), claim_token_hash=claim_token_hash())
    outcome = await _claimed(call, command, wait=bool(body.wait))
    if outcome is None:
        return NO_CONTENT
    (claim,) = _claims(outcome)
    return call.reply(replies.ClaimNextAgentTaskResponse(claim))


async def claim_several(call: Call) -> Answer:
    """Claim the best waiting runs under leases, up to the session's concurrency; 204 for none."""
    body = await call.read(b.ClaimAgentTasksRequest)
    most = 1 if body.max_claims is None else body.max_claims
    most = fields.at_least_one(most, "claim.max_claims", MAX_CLAIMS)
    hashes = tuple(claim_token_hash() for _ in range(most))
    command = c.ClaimSeveral(**_criteria(call, body), claim_token_hashes=hashes)
    outcome = await _claimed(call, command, wait=bool(body.wait))
    if outcome is None:
        return NO_CONTENT
    return call.reply(replies.ClaimAgentTasksResponse(tuple(_claims(outcome))))


def _criteria(call: Call, body: b.ClaimNextAgentTaskRequest) -> dict[str, Any]:
    """Return what both kinds of claim say."""
    caller = call.caller
    return {
        "session_id": caller.session_id,
        "agent_name": caller.agent_name,
        "header_workspace_id": caller.workspace_id,
        "workspace_id": body.workspace_id or "",
        "capabilities": body.required_capabilities or (),
        "priority_min": body.priority_min or 0,
        "lease_seconds": body.lease_seconds or 0,
    }


async def _claimed(call: Call, command: c.Claim, *, wait: bool) -> Outcome | None:
    """Return the outcome of a claim that got something, None for one that did not."""
    if wait:
        return await _claim_waiting(call, command)
    outcome = await call.submit(command)
    return outcome if outcome.run else None


async def _claim_waiting(call: Call, command: c.Claim) -> Outcome | None:
    """Try again whenever there may be work, until the longest wait is over or the client leaves."""
    workspace_id = _workspace_of(call, command)
    claims = call.services.claims
    deadline = asyncio.get_running_loop().time() + call.services.settings.claim_wait_seconds
    gone = asyncio.create_task(until_disconnected(call.receive))
    try:
        with claims.waiter(workspace_id, _suiting(call, command)) as waiter:
            while True:
                waiter.begin()
                outcome = await call.submit(command, gone=gone.done)
                if outcome.run:
                    claims.settled(waiter, (each.recorded.task_id for each in _claiming(outcome)))
                    return await _handed_over(call, outcome, gone)
                claims.missed(workspace_id, waiter)
                if not await _woken(call, waiter, gone, deadline):
                    return None
    except AbandonedError:
        return None
    finally:
        gone.cancel()


async def _handed_over(call: Call, outcome: Outcome, gone: asyncio.Task[None]) -> Outcome | None:
    """Return the claim, or give it back at once when nobody is there to work on it any more."""
    if not gone.done():
        return outcome
    session_id, reason = call.caller.session_id, "the client went away"
    released = [
        c.ReleaseLease(run_id=change.recorded.run_id, session_id=session_id, reason=reason)
        for change in _claiming(outcome)
    ]
    await call.submit_together(released)
    return None


async def _woken(call: Call, waiter: Waiter, gone: asyncio.Task[None], deadline: float) -> bool:
    """Return whether to try again; False when the wait is over."""
    left = deadline - asyncio.get_running_loop().time()
    if left <= 0 or gone.done() or call.services.stopping.is_set():
        return False
    woken = asyncio.create_task(waiter.woken.wait())
    stopping = asyncio.create_task(call.services.stopping.wait())
    waiting = {woken, stopping, gone}
    try:
        await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()
        stopping.cancel()
    return waiter.woken.is_set() and not gone.done()


def _suiting(call: Call, command: c.Claim) -> Callable[[str], bool]:
    """Return what tells whether the run of a task may be for the claim.

    It looks at states in memory alone, because it is asked while everybody waits for a commit.
    """
    known = call.services.ledger.cache
    offered = [name.strip() for name in command.capabilities]

    def suiting(task_id: str) -> bool:
        state = known.get(task_stream(task_id))
        session = known.get(session_stream(command.session_id))
        if not isinstance(state, TaskState) or not isinstance(session, SessionState):
            return True
        run = state.open_run
        if run is None or run.status != "queued":
            return False
        claim = claimant(session, offered, command.priority_min)
        return suits(state.task, run, claim)

    return suiting


def _workspace_of(call: Call, command: c.Claim) -> str:
    """Return the workspace in which the session will claim."""
    session = call.services.ledger.state(session_stream(command.session_id))
    if isinstance(session, SessionState):
        return session.workspace_id
    return command.header_workspace_id or command.workspace_id.strip()


def _claiming(outcome: Outcome) -> Iterator[Change]:
    """Yield the changes that hand out a run."""
    return (change for change in outcome.changes if isinstance(change.recorded.fact, RunClaimed))


def _claims(outcome: Outcome) -> Iterator[replies.AgentClaim]:
    """Yield what was claimed, the best first."""
    for change in _claiming(outcome):
        assert change.task is not None
        task, run = change.task.task, change.task.runs[change.recorded.run_id]
        channel = coordination_channel(run, task)
        yield replies.AgentClaim(
            task=task_reference(task, change.paused_by),
            run=run_view(run, channel),
            lease=run_lease(run, channel),
            coordination_channel=channel,
        )


def _operation(path: str, operation_id: str, handle: Any, **more: Any) -> Operation:
    return operation(
        "POST",
        path,
        operation_id,
        handle,
        tag="agent",
        empty_success=204,
        statuses=(403, 409, 422),
        agent=True,
        registers_session=True,
        **more,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _operation(
        "/api/agent/tasks/claim-next",
        "claimNextAgentTask",
        claim_next,
        action="agent.task.next",
        body=b.ClaimNextAgentTaskRequest,
        what="claim next",
        reply=replies.ClaimNextAgentTaskResponse,
    ),
    _operation(
        "/api/agent/tasks/claim",
        "claimAgentTasks",
        claim_several,
        action="agent.task.claim",
        body=b.ClaimAgentTasksRequest,
        what="claim",
        reply=replies.ClaimAgentTasksResponse,
    ),
)
