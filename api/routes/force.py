"""Operations by hand on runs, whoever has them: release, fail, retry and recover."""

from collections.abc import Iterable
from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import Answer
from api.call import Call
from api.errors import error_of, status_of
from api.operations import WRITE, Operation
from api.parsing import Body
from api.routes.common import operation, run_reply
from domain import force_commands as f
from domain.commands import Command
from domain.errors import DomainError
from domain.task.force import bulk_run_ids, required_reason
from projections.wire import run_view
from replay.committer import Outcome

_STATUSES: Final = (403, *WRITE, 429)


async def release_run(call: Call) -> Answer:
    """Take a claimed run back into the queue."""
    body = await call.read(b.ReasonMetadataRequest)
    command = f.ReleaseRun(run_id=call.id, reason=body.reason or "", metadata=body.metadata)
    return run_reply(call, await call.submit(command))


async def fail_run(call: Call) -> Answer:
    """End a run badly that waits, is merely claimed or needs attention."""
    body = await call.read(b.RequiredReasonRequest)
    command = f.ForceFailRun(run_id=call.id, reason=body.reason or "", metadata=body.metadata)
    return run_reply(call, await call.submit(command))


async def retry_run(call: Call) -> Answer:
    """Queue a successor of a failed run."""
    body = await call.read(b.MetadataRequest)
    command = f.RetryRun(run_id=call.id, metadata=body.metadata)
    return _chain_reply(call, await call.submit(command))


async def recover_run(call: Call) -> Answer:
    """Queue a successor of a run that needs attention, or the run itself again."""
    body = await call.read(b.RecoverRunRequest)
    command = f.RecoverRun(
        run_id=call.id,
        reason=body.reason or "",
        metadata=body.metadata,
        in_place=bool(body.in_place),
    )
    return _chain_reply(call, await call.submit(command))


def _chain_reply(call: Call, outcome: Outcome) -> Answer:
    assert outcome.task is not None
    assert outcome.run is not None
    source = outcome.task.runs[call.id]
    return call.reply(replies.RunChainResponse(run_view(source), run_view(outcome.run)))


async def bulk_release_runs(call: Call) -> Answer:
    """Take several claimed runs back into the queue; each row fails on its own."""
    body = await call.read(b.BulkForceRunRequest)
    run_ids = bulk_run_ids(body.run_ids or (), "bulk_force_release_runs")
    reason, metadata = body.reason or "", body.metadata
    commands = (f.ReleaseRun(run_id=each, reason=reason, metadata=metadata) for each in run_ids)
    return await _bulk_reply(call, run_ids, commands)


async def bulk_fail_runs(call: Call) -> Answer:
    """End several runs badly; each row fails on its own."""
    body = await call.read(b.BulkForceRunRequest)
    run_ids = bulk_run_ids(body.run_ids or (), "bulk_force_fail_runs")
    reason = required_reason(body.reason or "", "bulk_force_fail_runs")
    metadata = body.metadata
    commands = (f.ForceFailRun(run_id=each, reason=reason, metadata=metadata) for each in run_ids)
    return await _bulk_reply(call, run_ids, commands)


async def _bulk_reply(call: Call, run_ids: tuple[str, ...], commands: Iterable[Command]) -> Answer:
    """Return the answer with one row per run; what was accepted is one commit."""
    outcomes = await call.submit_together(commands)
    rows = tuple(map(_row, run_ids, outcomes))
    return call.reply(replies.BulkForceRunResponse(rows))


def _row(run_id: str, found: Outcome | DomainError) -> replies.BulkForceRunItem:
    if isinstance(found, DomainError):
        error = error_of(status_of(found, _STATUSES), found)
        return replies.BulkForceRunItem(run_id=run_id, ok=False, error=error)
    assert found.run is not None
    return replies.BulkForceRunItem(run_id=run_id, ok=True, run=run_view(found.run))


def _by_hand(
    path: str, operation_id: str, handle: Any, action: str, body: type[Body], **more: Any
) -> Operation:
    usual = {"reply": replies.RunResponse, "statuses": _STATUSES}
    return operation(
        "POST",
        f"/api/runs/{path}",
        operation_id,
        handle,
        tag="force-operations",
        action=f"tasks.{action}",
        body=body,
        what=action.replace("_", " "),
        labels=("task run id",),
        **{**usual, **more},
    )


_CHAIN: Final = {"reply": replies.RunChainResponse, "success": 201}
_BULK: Final = {
    "reply": replies.BulkForceRunResponse,
    "statuses": (403, 422, 429),
    "body_required": True,
}

OPERATIONS: Final[tuple[Operation, ...]] = (
    _by_hand(
        "{id}/release",
        "forceReleaseTaskRun",
        release_run,
        "force_release_run",
        b.ReasonMetadataRequest,
    ),
    _by_hand(
        "{id}/fail",
        "forceFailTaskRun",
        fail_run,
        "force_fail_run",
        b.RequiredReasonRequest,
        body_required=True,
    ),
    _by_hand("{id}/retry", "retryTaskRun", retry_run, "retry_run", b.MetadataRequest, **_CHAIN),
    _by_hand(
        "{id}/recover", "recoverTaskRun", recover_run, "recover_run", b.RecoverRunRequest, **_CHAIN
    ),
    _by_hand(
        "bulk/release",
        "bulkForceReleaseTaskRuns",
        bulk_release_runs,
        "bulk_release_runs",
        b.BulkForceRunRequest,
        **_BULK,
    ),
    _by_hand(
        "bulk/fail",
        "bulkForceFailTaskRuns",
        bulk_fail_runs,
        "bulk_fail_runs",
        b.BulkForceRunRequest,
        **_BULK,
    ),
)
