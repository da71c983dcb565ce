"""Operations of agents: report on a lease."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from api import bodies as b
from api import replies
from api.answers import Answer
from api.call import Call
from api.errors import error_of, status_of
from api.operations import WRITE, Operation
from api.parsing import Body, BodyReader
from api.routes.common import operation
from domain import commands as c
from domain import fields
from domain.errors import DomainError, ValidationError
from domain.values import MAX_CLAIMS, Json, LeaseAction
from projections.wire import run_lease
from replay.committer import Outcome

_STATUSES: Final = (403, *WRITE)
_ITEM: Final = BodyReader(b.ReportItem, "report item", required=True)


class _Name(Struct, frozen=True):
    run_id: str = ""
    action: str = ""


_decode_name: Final = msgspec.json.Decoder(_Name).decode


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


def _command(item: b.ReportItem, session_id: str) -> c.LeaseCommand:
    """Return what a report asks for; raises ValidationError."""
    action: LeaseAction = fields.choice(item.action, "report.action", LeaseAction)
    holder = {
        "run_id": fields.required(item.run_id or "", "report.run_id"),
        "session_id": session_id,
    }
    match action:
        case "heartbeat":
            return c.Heartbeat(**holder, lease_seconds=item.lease_seconds or 0)
        case "complete":
            return c.CompleteLease(**holder, result=item.result)
        case "fail":
            return c.FailLease(**holder, error=item.error or "", metadata=item.metadata)
        case "release":
            return c.ReleaseLease(**holder, reason=item.reason or "")


async def report(call: Call) -> Answer:
    """Report on several leases; bad reports are refused alone, the others are one commit."""
    body = await call.read(b.ReportAgentTaskRunsRequest)
    items = body.items or ()
    if not 1 <= len(items) <= MAX_CLAIMS:
        message = f"report.items must have 1 to {MAX_CLAIMS} items: {len(items)}"
        raise ValidationError(message)
    read = [_read_item(item, call.caller.session_id) for item in items]
    commands = [each for _, each in read if not isinstance(each, DomainError)]
    outcomes = iter(await call.submit_together(commands) if commands else ())
    results = (
        _result(item, each if isinstance(each, DomainError) else next(outcomes))
        for item, each in read
    )
    return call.reply(replies.ReportAgentTaskRunsResponse(tuple(results)))


def _read_item(sent: Json, session_id: str) -> tuple[b.ReportItem, c.LeaseCommand | DomainError]:
    """Return one report with its command, or with why it is refused already."""
    item = None
    try:
        item = _ITEM.read(bytes(sent))
        return item, _command(item, session_id)
    except ValidationError as refusal:
        return item or _named(bytes(sent)), refusal


def _named(sent: bytes) -> b.ReportItem:
    """Return what an unreadable report still says about what it was meant for."""
    try:
        named = _decode_name(sent)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b.ReportItem()
    return b.ReportItem(run_id=named.run_id, action=named.action)


def _result(item: b.ReportItem, found: Outcome | DomainError) -> replies.ReportResult:
    run_id, action = item.run_id or "", item.action or ""
    if isinstance(found, DomainError):
        status = status_of(found, _STATUSES)
        error = error_of(status, found)
        return replies.ReportResult(
            run_id=run_id, action=action, ok=False, status=status, error=error
        )
    assert found.run is not None
    lease, replayed = run_lease(found.run), found.reply.replayed
    return replies.ReportResult(
        run_id=run_id, action=action, ok=True, status=200, replayed=replayed, lease=lease
    )


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
        statuses=_STATUSES,
        labels=("run_id",),
        agent=True,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _on_lease("heartbeat", "heartbeatAgentTaskRun", heartbeat, b.HeartbeatAgentTaskRunRequest),
    _on_lease("complete", "completeAgentTaskRun", complete_lease, b.CompleteRunRequest),
    _on_lease("fail", "failAgentTaskRun", fail_lease, b.FailRunRequest),
    _on_lease("release", "releaseAgentTaskRun", release_lease, b.ReasonRequest),
    operation(
        "POST",
        "/api/agent/tasks/report",
        "reportAgentTaskRuns",
        report,
        tag="agent",
        action="agent.task.report",
        body=b.ReportAgentTaskRunsRequest,
        what="report",
        body_required=True,
        reply=replies.ReportAgentTaskRunsResponse,
        statuses=(403, 422),
        agent=True,
    ),
)
