"""Operations of agents: claim work under a lease, and report on it."""

import asyncio
import base64
import os
from hashlib import sha256
from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer, until_disconnected
from api.call import Call
from api.operations import WRITE, Operation
from api.parsing import Body
from api.routes.common import operation
from api.waiting import Waiter
from domain import commands as c
from domain.recorded import session_stream
from domain.registry import SessionState
from projections.wire import coordination_channel, run_lease, run_view, task_reference
from replay.batch import AbandonedError
from replay.committer import Outcome

_TOKEN_BYTES: Final = 32


def _claim_token_hash() -> str:
    """Return the hash of a fresh claim token.

    Nobody keeps the token: the holder is known by session and run, and the hash tells its lease
    from any other.
    """
    secret = base64.urlsafe_b64encode(os.urandom(_TOKEN_BYTES)).rstrip(b"=")
    return f"sha256:{sha256(b'agh_claim_' + secret).hexdigest()}"


async def claim_next(call: Call) -> Answer:
    """Claim the best waiting run under a lease; 204 when there is none."""
    body = await call.read(b.ClaimNextAgentTaskRequest)
    caller = call.caller
    command = c.ClaimNext(
        session_id=caller.session_id,
        agent_name=caller.agent_name,
        header_workspace_id=caller.workspace_id,
        workspace_id=body.workspace_id or "",
        capabilities=body.required_capabilities or (),
        priority_min=body.priority_min or 0,
        lease_seconds=body.lease_seconds or 0,
        claim_token_hash=_claim_token_hash(),
    )
    if body.wait:
        return await _claim_waiting(call, command)
    outcome = await call.submit(command)
    return _claim_reply(call, outcome) if outcome.run else NO_CONTENT


async def _claim_waiting(call: Call, command: c.ClaimNext) -> Answer:
    """Try again whenever there may be work, until the longest wait is over or the client leaves."""
    workspace_id = _workspace_of(call, command)
    claims = call.services.claims
    deadline = asyncio.get_running_loop().time() + call.services.settings.claim_wait_seconds
    gone = asyncio.create_task(until_disconnected(call.receive))
    try:
        with claims.waiter(workspace_id) as waiter:
            while True:
                outcome = await call.submit(command, gone=gone.done)
                if outcome.run:
                    claims.settled(waiter)
                    return await _handed_over(call, outcome, gone)
                if waiter.woken.is_set():
                    claims.pass_on(workspace_id, waiter)
                if not await _woken(call, waiter, gone, deadline):
                    return NO_CONTENT
    except AbandonedError:
        return NO_CONTENT
    finally:
        gone.cancel()


async def _handed_over(call: Call, outcome: Outcome, gone: asyncio.Task[None]) -> Answer:
    """Return the claim, or give it back at once when nobody is there to work on it any more."""
    assert outcome.run is not None
    if not gone.done():
        return _claim_reply(call, outcome)
    session_id, reason = call.caller.session_id, "the client went away"
    command = c.ReleaseLease(run_id=outcome.run.id, session_id=session_id, reason=reason)
    await call.submit(command)
    return NO_CONTENT


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


def _workspace_of(call: Call, command: c.ClaimNext) -> str:
    """Return the workspace in which the session will claim."""
    session = call.services.ledger.state(session_stream(command.session_id))
    if isinstance(session, SessionState):
        return session.workspace_id
    return command.header_workspace_id or command.workspace_id.strip()


def _claim_reply(call: Call, outcome: Outcome) -> Answer:
    assert outcome.task is not None
    assert outcome.run is not None
    task, run = outcome.task.task, outcome.run
    channel = coordination_channel(run, task)
    claim = replies.AgentClaim(
        task=task_reference(task, outcome.paused_by),
        run=run_view(run, channel),
        lease=run_lease(run, channel),
        coordination_channel=channel,
    )
    return call.reply(replies.ClaimNextAgentTaskResponse(claim))


def _lease_reply(call: Call, outcome: Outcome) -> Answer:
    assert outcome.run is not None
    reply = replies.LeaseResponse(run_lease(outcome.run))
    return call.reply(reply, replayed=outcome.reply.replayed)


async def heartbeat(call: Call) -> Answer:
    """Extend the lease from now on."""
    body = await call.read(b.HeartbeatAgentTaskRunRequest)
    command = c.Heartbeat(
        run_id=call.id,
        session_id=call.caller.session_id,
        lease_seconds=body.lease_seconds or 0,
    )
    return _lease_reply(call, await call.submit(command))


async def complete_lease(call: Call) -> Answer:
    """End the leased run well."""
    body = await call.read(b.CompleteRunRequest)
    command = c.CompleteLease(run_id=call.id, session_id=call.caller.session_id, result=body.result)
    return _lease_reply(call, await call.submit(command))


async def fail_lease(call: Call) -> Answer:
    """End the leased run badly."""
    body = await call.read(b.FailRunRequest)
    command = c.FailLease(
        run_id=call.id,
        session_id=call.caller.session_id,
        error=body.error or "",
        metadata=body.metadata,
    )
    return _lease_reply(call, await call.submit(command))


async def release_lease(call: Call) -> Answer:
    """Give the leased run back to the queue."""
    body = await call.read(b.ReasonRequest)
    command = c.ReleaseLease(
        run_id=call.id, session_id=call.caller.session_id, reason=body.reason or ""
    )
    return _lease_reply(call, await call.submit(command))


def _on_lease(verb: str, operation_id: str, handle: Any, body: type[Body]) -> Operation:
    return operation(
        "POST",
        f"/api/agent/tasks/{{run_id}}/{verb}",
        operation_id,
        handle,
        tag="agent",
        action=f"agent.task.{verb}",
        body=body,
        what=f"{verb} lease",
        body_required=True,
        reply=replies.LeaseResponse,
        statuses=(403, *WRITE),
        labels=("run_id",),
        agent=True,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "POST",
        "/api/agent/tasks/claim-next",
        "claimNextAgentTask",
        claim_next,
        tag="agent",
        action="agent.task.next",
        body=b.ClaimNextAgentTaskRequest,
        what="claim next",
        reply=replies.ClaimNextAgentTaskResponse,
        empty_success=204,
        statuses=(403, 409, 422),
        agent=True,
        registers_session=True,
    ),
    _on_lease("heartbeat", "heartbeatAgentTaskRun", heartbeat, b.HeartbeatAgentTaskRunRequest),
    _on_lease("complete", "completeAgentTaskRun", complete_lease, b.CompleteRunRequest),
    _on_lease("fail", "failAgentTaskRun", fail_lease, b.FailRunRequest),
    _on_lease("release", "releaseAgentTaskRun", release_lease, b.ReasonRequest),
)
