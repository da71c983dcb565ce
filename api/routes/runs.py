"""Operations on runs, for people and other operators."""

from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import WRITE, Operation
from api.parsing import Body
from api.routes.common import operation, run_reply
from domain import commands as c
from domain.errors import StaleChannelError
from replay.committer import Outcome


async def claim_run(call: Call) -> Answer:
    """Claim a given run without a lease."""
    body = await call.read(b.IdempotencyRequest)
    command = c.ClaimRun(run_id=call.id, idempotency_key=body.idempotency_key or "")
    return run_reply(call, await call.submit(command))


async def start_run(call: Call) -> Answer:
    """Start a claimed run, in the given session, the bound one or a new one."""
    body = await call.read(b.StartRunRequest)
    command = c.StartRun(
        run_id=call.id,
        idempotency_key=body.idempotency_key or "",
        session_id=body.session_id or "",
    )
    return _bound_reply(call, await call.submit(command))


async def attach_session(call: Call) -> Answer:
    """Bind a registered session to a claimed run."""
    body = await call.read(b.AttachTaskRunSessionRequest)
    command = c.AttachSession(run_id=call.id, session_id=body.session_id or "")
    return _bound_reply(call, await call.submit(command))


def _bound_reply(call: Call, outcome: Outcome) -> Answer:
    """Return the answer with the run; raises StaleChannelError for a refusal that is on record."""
    channel = outcome.reply.stale_channel
    if channel:
        message = f'task run "{call.id}" has channel "{channel}", which another workspace holds'
        raise StaleChannelError(message)
    return run_reply(call, outcome)


async def complete_run(call: Call) -> Answer:
    """End a running run well."""
    body = await call.read(b.CompleteRunRequest)
    return run_reply(call, await call.submit(c.CompleteRun(run_id=call.id, result=body.result)))


async def fail_run(call: Call) -> Answer:
    """End a starting or running run badly."""
    body = await call.read(b.FailRunRequest)
    command = c.FailRun(run_id=call.id, error=body.error or "", metadata=body.metadata)
    return run_reply(call, await call.submit(command))


async def cancel_run(call: Call) -> Answer:
    """Give up a run."""
    body = await call.read(b.ReasonMetadataRequest)
    command = c.CancelRun(run_id=call.id, reason=body.reason or "", metadata=body.metadata)
    return run_reply(call, await call.submit(command))


def _on_run(
    end: str,
    operation_id: str,
    handle: Any,
    action: str,
    body: type[Body],
    *,
    required: bool = False,
    statuses: tuple[int, ...] = WRITE,
) -> Operation:
    return operation(
        "POST",
        f"/api/task-runs/{{id}}/{end}",
        operation_id,
        handle,
        tag="runs",
        action=f"tasks.{action}",
        body=body,
        what=action.replace("_", " "),
        body_required=required,
        reply=replies.RunResponse,
        statuses=statuses,
        labels=("task run id",),
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _on_run(
        "claim",
        "claimTaskRun",
        claim_run,
        "claim_run",
        b.IdempotencyRequest,
        statuses=(403, *WRITE),
    ),
    _on_run("start", "startTaskRun", start_run, "start_run", b.StartRunRequest),
    _on_run(
        "attach-session",
        "attachTaskRunSession",
        attach_session,
        "attach_run_session",
        b.AttachTaskRunSessionRequest,
        required=True,
    ),
    _on_run("complete", "completeTaskRun", complete_run, "complete_run", b.CompleteRunRequest),
    _on_run("fail", "failTaskRun", fail_run, "fail_run", b.FailRunRequest, required=True),
    _on_run("cancel", "cancelTaskRun", cancel_run, "cancel_run", b.ReasonMetadataRequest),
)
