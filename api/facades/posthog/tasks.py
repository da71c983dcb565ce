"""Operations on tasks, which are definitions here."""

import re
from typing import Any, Final

from msgspec import Raw

from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.facades.posthog.bodies import PosthogRunOptions, PosthogTaskWrite
from api.facades.posthog.errors import invalid, not_found
from api.facades.posthog.links import links_of
from api.facades.posthog.operations import TASK, TASKS, posthog
from api.facades.posthog.paging import page_of
from api.facades.posthog.queries import PosthogTasksQuery
from api.facades.posthog.reading import members, read, read_object
from api.facades.posthog.subjects import project_of, reader_of, task_in
from api.facades.posthog.views import PosthogTaskPage, PosthogTaskView, task_views
from api.operations import Operation
from domain.posthog.commands import (
    CreatePosthogRun,
    CreatePosthogTask,
    DeletePosthogTask,
    UpdatePosthogTask,
)
from domain.uuids import uuid_of
from projections.posthog import queries
from projections.posthog.queries import PosthogFilters
from projections.posthog.rows import TaskRecord

_REPOSITORY: Final = re.compile(r"[^/\s]+/[^/\s]+")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)


async def list_tasks(call: Call) -> Answer:
    """List the tasks of a project, the newest first."""
    workspace_id = project_of(call)
    query, page = call.query(PosthogTasksQuery), page_of(call)
    if query.created_by and not _INTEGER.fullmatch(query.created_by):
        raise invalid("invalid_input", "A valid integer is required.", "created_by")
    filters = PosthogFilters(
        workspace_id=workspace_id,
        origin_product=query.origin_product,
        stage=query.stage,
        repository=query.repository,
        organization=query.organization,
        creator=int(query.created_by) if query.created_by else None,
    )
    reader, links = reader_of(call), await links_of(call, workspace_id)
    count, found = queries.posthog_tasks(reader, filters, page.limit, page.offset)
    shown = task_views(reader, found, links.log)
    return call.reply(
        PosthogTaskPage(count=count, next=page.next(count), previous=page.previous(), results=shown)
    )


async def task_reply(call: Call, task: TaskRecord) -> Answer:
    """Return the answer with a task."""
    links = await links_of(call, task.workspace_id)
    (shown,) = task_views(reader_of(call), (task,), links.log)
    return call.reply(shown)


async def create_task(call: Call) -> Answer:
    """Define a task."""
    workspace_id = project_of(call)
    sent = _checked(await read(call, PosthogTaskWrite))
    task_id = uuid_of(call.services.new_id("posthog"))
    command = CreatePosthogTask(posthog_task_id=task_id, workspace_id=workspace_id, **sent)
    await call.submit(command)
    return await _changed(call, task_id)


def _checked(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the members with the repository in lower case; raises RefusalError."""
    repository = sent.get("repository")
    if not repository:
        return sent
    if not _REPOSITORY.fullmatch(repository):
        detail = "Format for repository is organization/repository."
        raise invalid("invalid_input", detail, "repository")
    return {**sent, "repository": repository.lower()}


async def _changed(call: Call, task_id: str) -> Answer:
    task = queries.posthog_task(reader_of(call), task_id)
    if task is None:
        raise not_found()
    return await task_reply(call, task)


async def get_task(call: Call) -> Answer:
    """Return a task with its newest run."""
    return await task_reply(call, task_in(call))


async def update_task(call: Call) -> Answer:
    """Change the members of a task that are sent."""
    task = task_in(call)
    sent = _checked(await read(call, PosthogTaskWrite))
    await call.submit(
        UpdatePosthogTask(workspace_id=task.workspace_id, posthog_task_id=task.id, **sent)
    )
    return await _changed(call, task.id)


async def delete_task(call: Call) -> Answer:
    """Remove a task; its open runs are canceled."""
    task = task_in(call)
    await call.submit(DeletePosthogTask(workspace_id=task.workspace_id, posthog_task_id=task.id))
    return NO_CONTENT


async def run_task(call: Call) -> Answer:
    """Queue a run of a task, and keep what was sent in its state."""
    task = task_in(call)
    sent: Raw = await read_object(call)
    branch = members(PosthogRunOptions, sent, "").get("branch")
    await call.submit(
        CreatePosthogRun(
            workspace_id=task.workspace_id,
            posthog_task_id=task.id,
            status="queued",
            branch=branch or None,
            state=sent,
        )
    )
    return await _changed(call, task.id)


OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog("GET", TASKS, "tasks_list", list_tasks, query=PosthogTasksQuery, reply=PosthogTaskPage),
    posthog(
        "POST",
        TASKS,
        "tasks_create",
        create_task,
        body=PosthogTaskWrite,
        success=201,
        reply=PosthogTaskView,
    ),
    posthog("GET", TASK, "tasks_retrieve", get_task, reply=PosthogTaskView),
    posthog(
        "PATCH",
        TASK,
        "tasks_partial_update",
        update_task,
        body=PosthogTaskWrite,
        reply=PosthogTaskView,
    ),
    posthog("PUT", TASK, "tasks_update", update_task, body=PosthogTaskWrite, reply=PosthogTaskView),
    posthog("DELETE", TASK, "tasks_destroy", delete_task, success=204),
    posthog(
        "POST",
        f"{TASK}/run",
        "tasks_run_create",
        run_task,
        body=PosthogRunOptions,
        reply=PosthogTaskView,
    ),
)
