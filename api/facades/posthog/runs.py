"""Operations on runs."""

from typing import Final

from api.answers import Answer
from api.call import Call
from api.facades.posthog.bodies import PosthogRunCreate, PosthogRunUpdate
from api.facades.posthog.errors import not_found
from api.facades.posthog.links import links_of
from api.facades.posthog.operations import RUN, RUNS, posthog
from api.facades.posthog.paging import page_of
from api.facades.posthog.queries import PosthogPageQuery
from api.facades.posthog.reading import read
from api.facades.posthog.subjects import Subject, reader_of, run_in, task_in
from api.facades.posthog.tasks import task_reply
from api.facades.posthog.views import PosthogRunPage, PosthogRunView, PosthogTaskView, run_views
from api.operations import Operation
from domain.posthog.commands import CreatePosthogRun, StartPosthogRun, UpdatePosthogRun
from domain.uuids import uuid_of
from projections.posthog import queries
from projections.posthog.rows import RunRecord


async def list_runs(call: Call) -> Answer:
    """List the runs of a task, the newest first."""
    task, page = task_in(call), page_of(call)
    reader, links = reader_of(call), await links_of(call, task.workspace_id)
    count, found = queries.posthog_runs(reader, task.id, page.limit, page.offset)
    shown = run_views(reader, found, links.log)
    return call.reply(
        PosthogRunPage(count=count, next=page.next(count), previous=page.previous(), results=shown)
    )


async def run_reply(call: Call, workspace_id: str, run: RunRecord) -> Answer:
    """Return the answer with a run."""
    links = await links_of(call, workspace_id)
    (shown,) = run_views(reader_of(call), (run,), links.log)
    return call.reply(shown)


async def changed(call: Call, subject: Subject) -> Answer:
    """Return the answer with a run that has just been changed; raises RefusalError."""
    return await _stored(call, subject.workspace_id, subject.task.id, subject.run.id)


async def _stored(call: Call, workspace_id: str, task_id: str, run_id: str) -> Answer:
    run = queries.posthog_run(reader_of(call), task_id, run_id)
    if run is None:
        raise not_found()
    return await run_reply(call, workspace_id, run)


async def create_run(call: Call) -> Answer:
    """Make a run of a task, however many there are."""
    task = task_in(call)
    sent = await read(call, PosthogRunCreate)
    command = CreatePosthogRun(workspace_id=task.workspace_id, posthog_task_id=task.id, **sent)
    outcome = await call.submit(command)
    return await _stored(call, task.workspace_id, task.id, uuid_of(outcome.reply.task_id))


async def get_run(call: Call) -> Answer:
    """Return a run."""
    subject = run_in(call)
    return await run_reply(call, subject.workspace_id, subject.run)


async def update_run(call: Call) -> Answer:
    """Change the members of a run that are sent; what has ended stays ended."""
    subject = run_in(call)
    sent = await read(call, PosthogRunUpdate)
    removed: list[str] | None = sent.pop("state_remove_keys", None)
    if removed:
        sent["state_remove_keys"] = tuple(removed)
    await call.submit(UpdatePosthogRun(**subject.ids, **sent))
    return await changed(call, subject)


async def start_run(call: Call) -> Answer:
    """Queue a run that has not started."""
    subject = run_in(call)
    await call.submit(StartPosthogRun(**subject.ids))
    return await task_reply(call, subject.task)


OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog(
        "GET", RUNS, "tasks_runs_list", list_runs, query=PosthogPageQuery, reply=PosthogRunPage
    ),
    posthog(
        "POST",
        RUNS,
        "tasks_runs_create",
        create_run,
        body=PosthogRunCreate,
        success=201,
        reply=PosthogRunView,
    ),
    posthog("GET", RUN, "tasks_runs_retrieve", get_run, reply=PosthogRunView),
    posthog(
        "PATCH",
        RUN,
        "tasks_runs_partial_update",
        update_run,
        body=PosthogRunUpdate,
        reply=PosthogRunView,
    ),
    posthog("POST", f"{RUN}/start", "tasks_runs_start_create", start_run, reply=PosthogTaskView),
)
