"""Operations that read tasks and runs."""

from collections.abc import Iterable, Iterator
from typing import Final

from api import replies
from api.answers import Answer, Stream
from api.call import Call
from api.operations import Operation
from api.paging import list_reply
from api.queries import ListRunsQuery, ListTasksQuery
from api.routes.common import operation
from domain import fields
from domain.errors import (
    InvalidScopeBindingError,
    RunNotFoundError,
    TaskNotFoundError,
    WorkspaceNotFoundError,
)
from domain.task.state import Task
from projections.lookup import workspace_of_ref
from projections.queries.batches import task_of
from projections.queries.runs import list_runs, run_detail
from projections.queries.tasks import TaskFilters, task_detail, task_tree
from projections.queries.tasks import list_tasks as task_pages
from projections.rows import Reader
from projections.wire import Run, TaskSummary


def require_task(call: Call, task_id: str) -> Task:
    """Return a task the caller may read; raises TaskNotFound or PermissionDenied."""
    task = task_of(call.services.ledger.reader, task_id)
    if task is None:
        raise TaskNotFoundError(f'task "{task_id}"')
    call.require_workspace(task.workspace_id, f'task "{task_id}"')
    return task


def detail_reply(call: Call, task_id: str) -> Answer:
    """Return the answer with everything about a task; raises TaskNotFound or PermissionDenied."""
    detail = task_detail(call.services.ledger.reader, task_id)
    if detail is None:
        raise TaskNotFoundError(f'task "{task_id}"')
    call.require_workspace(detail.task.workspace_id, f'task "{task_id}"')
    return call.reply(replies.TaskDetailResponse(detail))


async def get_task(call: Call) -> Answer:
    """Return everything about a task."""
    return detail_reply(call, call.id)


async def list_tasks(call: Call) -> Answer | Stream:
    """List tasks, the latest activity first."""
    filters = _filters(call, call.query(ListTasksQuery))

    def pages(reader: Reader) -> Iterator[list[TaskSummary]]:
        return task_pages(reader, filters)

    return await list_reply(call, b"tasks", pages)


def _filters(call: Call, query: ListTasksQuery) -> TaskFilters:
    if query.scope == "global" and query.workspace:
        raise InvalidScopeBindingError('workspace must be empty when scope is "global"')
    if query.scope == "workspace" and not query.workspace:
        raise InvalidScopeBindingError('workspace is required when scope is "workspace"')
    if query.scope == "global":
        call.require_workspace("", "the global scope")
    return TaskFilters(
        scope=query.scope or "",
        workspace_id=_workspace_id(call, query.workspace),
        status=query.status or "",
        priority=query.priority or "",
        include_drafts=query.include_drafts,
        approval_state=query.approval_state or "",
        owner_kind=query.owner_kind or "",
        owner_ref=query.owner_ref,
        parent_task_id=query.parent_task_id,
        network_channel=fields.channel(query.network_channel, "network_channel"),
        query=query.query,
        limit=query.limit,
    )


def _workspace_id(call: Call, ref: str) -> str:
    """Return the workspace to list: the one that is named, else the only one the token reaches."""
    if not ref:
        return call.caller.workspace_limit
    found = workspace_of_ref(call.services.ledger.reader, ref)
    if found is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    call.require_workspace(found, f'workspace "{found}"')
    return found


async def get_tree(call: Call) -> Answer:
    """Return a task and everything below it."""
    task = require_task(call, call.id)
    tree = task_tree(call.services.ledger.reader, task.id)
    assert tree is not None
    return call.reply(replies.GetTaskTreeResponse(tree))


async def list_task_runs(call: Call) -> Answer | Stream:
    """List the runs of a task, the newest first."""
    query = call.query(ListRunsQuery)
    task_id = require_task(call, call.id).id

    def pages(reader: Reader) -> Iterable[list[Run]]:
        yield list_runs(
            reader,
            task_id,
            status=query.status or "",
            session_id=query.session_id,
            limit=query.limit,
        )

    return await list_reply(call, b"runs", pages)


async def get_run(call: Call) -> Answer:
    """Return everything about a run."""
    detail = run_detail(call.services.ledger.reader, call.id)
    if detail is None:
        raise RunNotFoundError(f'task run "{call.id}"')
    call.require_workspace(detail.task.workspace_id, f'task run "{call.id}"')
    return call.reply(replies.GetTaskRunResponse(detail))


_TASK_ID: Final = ("task id",)

OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/api/tasks",
        "listTasks",
        list_tasks,
        tag="tasks",
        action="tasks.list",
        query=ListTasksQuery,
        reply=replies.ListTasksResponse,
    ),
    operation(
        "GET",
        "/api/tasks/{id}",
        "getTask",
        get_task,
        tag="tasks",
        action="tasks.get",
        reply=replies.TaskDetailResponse,
        labels=_TASK_ID,
    ),
    operation(
        "GET",
        "/api/tasks/{id}/tree",
        "getTaskTree",
        get_tree,
        tag="tasks",
        action="tasks.tree",
        reply=replies.GetTaskTreeResponse,
        labels=_TASK_ID,
    ),
    operation(
        "GET",
        "/api/tasks/{id}/runs",
        "listTaskRuns",
        list_task_runs,
        tag="tasks",
        action="tasks.list_runs",
        query=ListRunsQuery,
        reply=replies.ListTaskRunsResponse,
        labels=_TASK_ID,
    ),
    operation(
        "GET",
        "/api/task-runs/{id}",
        "getTaskRun",
        get_run,
        tag="runs",
        action="tasks.get_run",
        reply=replies.GetTaskRunResponse,
        labels=("task run id",),
    ),
)
