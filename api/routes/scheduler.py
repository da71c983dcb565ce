"""Operations on the scheduler."""

from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import Answer
from api.call import Call
from api.drain import drain
from api.operations import Operation
from api.parsing import Body
from api.queries import BacklogQuery
from api.routes.common import operation
from domain import commands as c
from domain.errors import InvalidScopeBindingError
from projections.queries.scheduler import backlog_page


def _status_reply(call: Call) -> Answer:
    return call.reply(replies.SchedulerResponse(call.services.scheduler_status()))


async def get_scheduler(call: Call) -> Answer:
    """Return whether claiming is stopped, and how much waits and works."""
    return _status_reply(call)


async def pause_scheduler(call: Call) -> Answer:
    """Stop claiming everywhere."""
    body = await call.read(b.ReasonRequest)
    await call.submit(c.PauseScheduler(reason=body.reason or ""))
    return _status_reply(call)


async def resume_scheduler(call: Call) -> Answer:
    """Let claiming go on."""
    body = await call.read(b.ReasonRequest)
    await call.submit(c.ResumeScheduler(reason=body.reason or ""))
    return _status_reply(call)


async def drain_scheduler(call: Call) -> Answer:
    """Stop claiming everywhere and wait for the active claims to end; it stays paused."""
    body = await call.read(b.DrainSchedulerRequest)
    return call.reply(await drain(call, body.reason or "", body.timeout_seconds))


async def get_backlog(call: Call) -> Answer:
    """Return the runs that wait, in the order in which they are handed out."""
    query = call.query(BacklogQuery)
    if query.scope == "global" and query.workspace:
        raise InvalidScopeBindingError('workspace must be empty when scope is "global"')
    workspace_id = query.workspace or call.caller.workspace_limit
    call.require_workspace(workspace_id, f'workspace "{workspace_id}"')
    backlog = backlog_page(
        call.services.ledger.reader,
        limit=query.limit,
        scope=query.scope or "",
        workspace_id=workspace_id,
        include_paused=query.include_paused,
    )
    return call.reply(replies.GetSchedulerBacklogResponse(backlog))


def _control(end: str, operation_id: str, handle: Any, body: type[Body], reply: Any) -> Operation:
    return operation(
        "POST",
        f"/api/scheduler/{end}",
        operation_id,
        handle,
        tag="scheduler",
        action=f"tasks.scheduler_{end}",
        scope="admin",
        body=body,
        what=f"scheduler {end}",
        body_expected=False,
        reply=reply,
        statuses=(403, 422),
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/api/scheduler",
        "getScheduler",
        get_scheduler,
        tag="scheduler",
        action="tasks.scheduler_status",
        reply=replies.SchedulerResponse,
        statuses=(403,),
    ),
    _control(
        "pause", "pauseScheduler", pause_scheduler, b.ReasonRequest, replies.SchedulerResponse
    ),
    _control(
        "resume", "resumeScheduler", resume_scheduler, b.ReasonRequest, replies.SchedulerResponse
    ),
    _control(
        "drain",
        "drainScheduler",
        drain_scheduler,
        b.DrainSchedulerRequest,
        replies.DrainSchedulerResponse,
    ),
    operation(
        "GET",
        "/api/scheduler/backlog",
        "getSchedulerBacklog",
        get_backlog,
        tag="scheduler",
        action="tasks.scheduler_backlog",
        query=BacklogQuery,
        reply=replies.GetSchedulerBacklogResponse,
        statuses=(403, 422),
    ),
)
