"""The nine methods of gitpod.v1.EnvironmentAutomationService."""

from typing import Any, Final

from api.answers import Answer
from api.call import Call
from api.dialects import Dialect
from api.facades.ona import messages as m
from api.facades.ona import parsing
from api.facades.ona.errors import DIALECT, ENVIRONMENTS, OnaError
from api.facades.ona.logs import LOGS, log_address
from api.facades.ona.paging import OnaPageQuery, page_of
from api.facades.ona.views import execution_view, task_view
from api.facades.ona.wire import PROTO, OnaQuery, unary
from api.operations import Handler, Operation, TokenScope
from api.routes.common import operation
from domain.errors import RunNotFoundError, TaskNotFoundError
from domain.ona import checks
from domain.ona.commands import DeleteOnaTask, StartOnaTask, StopOnaExecution
from domain.ona.state import OnaTask
from domain.uuids import uuid_of
from projections.ona import queries

_DONE: Final = m.OnaEmptyResponse()


async def create_task(call: Call) -> Answer:
    """Define an Ona task in an environment."""
    return await unary(call, m.OnaCreateTaskRequest, _create_task)


async def _create_task(call: Call, request: m.OnaCreateTaskRequest) -> m.OnaTaskResponse:
    outcome = await call.submit(parsing.creation(request))
    created = outcome.changes[-1].after
    assert isinstance(created, OnaTask)
    return m.OnaTaskResponse(task=task_view(created))


async def get_task(call: Call) -> Answer:
    """Return an Ona task."""
    return await unary(call, m.OnaIdRequest, _get_task)


async def _get_task(call: Call, request: m.OnaIdRequest) -> m.OnaTaskResponse:
    task_id = checks.uuid(request.id, "id")
    found = queries.ona_task(call.services.ledger.reader, task_id)
    if found is None:
        raise TaskNotFoundError(f'Ona task "{task_id}"')
    call.require_workspace(found.workspace_id, f'Ona task "{task_id}"')
    return m.OnaTaskResponse(task=task_view(found))


async def list_tasks(call: Call) -> Answer:
    """Return a page of Ona tasks."""
    return await unary(call, m.OnaListTasksRequest, _list_tasks)


async def _list_tasks(call: Call, request: m.OnaListTasksRequest) -> m.OnaListTasksResponse:
    filters = parsing.task_filters(request.filter, call.caller.workspace_limit)
    page = page_of(request.pagination, _page_query(call), "tasks", filters)
    with call.services.ledger.snapshot() as reader:
        found = queries.ona_tasks(reader, filters, page.after, page.size + 1)
    shown = found[: page.size]
    last = (shown[-1].created_at, shown[-1].id) if len(found) > page.size else None
    return m.OnaListTasksResponse(
        pagination=m.OnaPage(next_token=page.token_behind(last) if last else ""),
        tasks=tuple(map(task_view, shown)),
    )


def _page_query(call: Call) -> OnaPageQuery:
    return OnaPageQuery() if call.scope["method"] == "GET" else call.query(OnaPageQuery)


async def update_task(call: Call) -> Answer:
    """Change an Ona task; executions under way keep what they were started with."""
    return await unary(call, m.OnaUpdateTaskRequest, _update_task)


async def _update_task(call: Call, request: m.OnaUpdateTaskRequest) -> m.OnaEmptyResponse:
    await call.submit(parsing.update(request))
    return _DONE


async def delete_task(call: Call) -> Answer:
    """Remove an Ona task; its open executions are stopped."""
    return await unary(call, m.OnaIdRequest, _delete_task)


async def _delete_task(call: Call, request: m.OnaIdRequest) -> m.OnaEmptyResponse:
    await call.submit(DeleteOnaTask(ona_task_id=request.id))
    return _DONE


async def start_task(call: Call) -> Answer:
    """Begin an execution of an Ona task and of all it depends on."""
    return await unary(call, m.OnaIdRequest, _start_task)


async def _start_task(call: Call, request: m.OnaIdRequest) -> m.OnaExecutionResponse:
    outcome = await call.submit(StartOnaTask(ona_task_id=request.id))
    return await _execution(call, uuid_of(outcome.reply.task_id))


async def _execution(call: Call, execution_id: str) -> m.OnaExecutionResponse:
    with call.services.ledger.snapshot() as reader:
        found = queries.ona_execution(reader, execution_id)
    if found is None:
        raise RunNotFoundError(f'task execution "{execution_id}"')
    call.require_workspace(found.execution.workspace_id, f'task execution "{execution_id}"')
    shown = execution_view(found, await log_address(call, execution_id))
    return m.OnaExecutionResponse(task_execution=shown)


async def get_task_execution(call: Call) -> Answer:
    """Return an execution of an Ona task."""
    return await unary(call, m.OnaIdRequest, _get_task_execution)


async def _get_task_execution(call: Call, request: m.OnaIdRequest) -> m.OnaExecutionResponse:
    return await _execution(call, checks.uuid(request.id, "id"))


async def list_task_executions(call: Call) -> Answer:
    """Return a page of executions of Ona tasks."""
    return await unary(call, m.OnaListExecutionsRequest, _list_task_executions)


async def _list_task_executions(
    call: Call, request: m.OnaListExecutionsRequest
) -> m.OnaListExecutionsResponse:
    filters = parsing.execution_filters(request.filter, call.caller.workspace_limit)
    page = page_of(request.pagination, _page_query(call), "executions", filters)
    with call.services.ledger.snapshot() as reader:
        found = queries.ona_executions(reader, filters, page.after, page.size + 1)
    shown = found[: page.size]
    last = shown[-1].execution if len(found) > page.size else None
    token = page.token_behind((last.created_at, last.id)) if last else ""
    return m.OnaListExecutionsResponse(
        pagination=m.OnaPage(next_token=token),
        task_executions=tuple(
            [execution_view(each, await log_address(call, each.execution.id)) for each in shown]
        ),
    )


async def stop_task_execution(call: Call) -> Answer:
    """Stop an execution at once, with whatever runs of it."""
    return await unary(call, m.OnaIdRequest, _stop_task_execution)


async def _stop_task_execution(call: Call, request: m.OnaIdRequest) -> m.OnaEmptyResponse:
    await call.submit(StopOnaExecution(execution_id=request.id))
    return _DONE


async def create_logs_token(call: Call) -> Answer:
    """Return what clients send along when they read logs, whose addresses are signed anyway."""
    return await unary(call, m.OnaLogsTokenRequest, _create_logs_token)


async def _create_logs_token(call: Call, request: m.OnaLogsTokenRequest) -> m.OnaLogsTokenResponse:
    environment_id = checks.uuid(request.environment_id, "environmentId")
    call.require_workspace(environment_id, f'environment "{environment_id}"')
    return m.OnaLogsTokenResponse(access_token="signed")


def _method(
    name: str, handle: Handler, body: type[Any] | None, reply: Any, **more: Any
) -> Operation:
    scope: TokenScope = more.pop("scope", "task:write")
    dialect: Dialect = more.pop("dialect", DIALECT)
    return operation(
        more.pop("verb", "POST"),
        dialect.prefix + name,
        more.pop("id", f"ona{name}"),
        handle,
        tag="ona",
        action=f"ona.{name}",
        scope=scope,
        body=body,
        what=name,
        reply=reply,
        also=(PROTO,),
        statuses=more.pop("statuses", (400, 404, 501)),
        bare=(415,),
        refusal=OnaError,
        dialect=dialect,
        **more,
    )


def _reading(name: str, handle: Handler, body: Any, reply: Any, **more: Any) -> list[Operation]:
    """Return a method that changes nothing, which may also be called by GET."""
    posted = _method(name, handle, body, reply, scope="task:read", **more)
    got = _method(
        name,
        handle,
        None,
        reply,
        scope="task:read",
        verb="GET",
        id=f"ona{name}ByGet",
        query=OnaQuery,
    )
    return [posted, got]


_WRITE: Final = {"statuses": (400, 404, 409, 501)}

OPERATIONS: Final[tuple[Operation, ...]] = (
    _method("CreateTask", create_task, m.OnaCreateTaskRequest, m.OnaTaskResponse, **_WRITE),
    *_reading("GetTask", get_task, m.OnaIdRequest, m.OnaTaskResponse),
    *_reading(
        "ListTasks", list_tasks, m.OnaListTasksRequest, m.OnaListTasksResponse, query=OnaPageQuery
    ),
    _method("UpdateTask", update_task, m.OnaUpdateTaskRequest, m.OnaEmptyResponse),
    _method("DeleteTask", delete_task, m.OnaIdRequest, m.OnaEmptyResponse),
    _method("StartTask", start_task, m.OnaIdRequest, m.OnaExecutionResponse),
    *_reading("GetTaskExecution", get_task_execution, m.OnaIdRequest, m.OnaExecutionResponse),
    *_reading(
        "ListTaskExecutions",
        list_task_executions,
        m.OnaListExecutionsRequest,
        m.OnaListExecutionsResponse,
        query=OnaPageQuery,
    ),
    _method("StopTaskExecution", stop_task_execution, m.OnaIdRequest, m.OnaEmptyResponse),
    _method(
        "CreateEnvironmentLogsToken",
        create_logs_token,
        m.OnaLogsTokenRequest,
        m.OnaLogsTokenResponse,
        scope="task:read",
        dialect=ENVIRONMENTS,
    ),
    LOGS,
)
