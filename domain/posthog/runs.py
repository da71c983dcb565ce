"""Runs: making them, changing them, their logs, messages and artifacts.

What is said about a run after it was made goes into streams beside the task that stands for it.
"""

from typing import Final

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from domain.commands import Reply
from domain.errors import RunNotFoundError, ValidationError
from domain.events import Fact, RunLeaseExtended, TaskCreated
from domain.posthog import commands as c
from domain.posthog import events as e
from domain.posthog.state import PosthogLog, PosthogRun, PosthogTask, log_stream, run_stream
from domain.posthog.status import cut, move, shown_status
from domain.posthog.tasks import require_task
from domain.posthog.values import HEARTBEAT
from domain.task.cascade import queue_run
from domain.task.state import TaskState, latest_run
from domain.uuids import uuid_of
from domain.values import Json
from domain.world import Plan

_ENCODE: Final = msgspec.json.Encoder().encode
_BY_STATUS: Final = frozenset({"status", *c.PosthogRunCommand.__struct_fields__})


def create_run(command: c.CreatePosthogRun, plan: Plan) -> Reply:
    """Make a run of a definition: a task of its own, so that there may be any number at once."""
    definition = require_task(command, plan)
    task_id = plan.new_task_id()
    draft = command.status == "not_started"
    created = TaskCreated(
        scope="workspace",
        workspace_id=definition.workspace_id,
        status="draft" if draft else "ready",
        identifier=definition.slug,
        title=definition.title,
        description=cut(definition.description),
        max_attempts=1,
        metadata=_metadata(definition),
        facade="posthog",
    )
    plan.emit_task(task_id, created)
    about = e.PosthogRunCreated(
        posthog_run_id=uuid_of(task_id),
        posthog_task_id=definition.id,
        environment=command.environment,
        stage=command.stage,
        branch=command.branch,
        error_message=command.error_message,
        output=command.output,
        state=command.state,
    )
    plan.emit(run_stream(uuid_of(task_id)), about, task_id=task_id)
    if not draft:
        queue_run(plan, plan.existing_task(task_id))
        move(plan, task_id, command.status, command.error_message or "")
    return Reply(task_id=task_id)


def _metadata(definition: PosthogTask) -> Json:
    named = {"task": definition.id, "origin_product": definition.origin_product}
    return Json(_ENCODE({"posthog": named}))


def _require_run(command: c.PosthogRunCommand, plan: Plan) -> tuple[PosthogRun, TaskState]:
    """Return a run with the task that stands for it.

    Raises RunNotFoundError, TaskNotFoundError or PermissionDeniedError.
    """
    require_task(command, plan)
    run = plan.state(run_stream(command.posthog_run_id))
    if isinstance(run, PosthogRun) and run.posthog_task_id == command.posthog_task_id:
        state = plan.task(run.task_id)
        if state is not None:
            return run, state
    raise RunNotFoundError(f'run "{command.posthog_run_id}"')


def _tell(plan: Plan, stream: str, state: TaskState, fact: Fact) -> None:
    """Note a fact beside the task that stands for a run."""
    run = latest_run(state.runs.values())
    plan.emit(stream, fact, task_id=state.id, run_id=run.id if run else "")


def update_run(command: c.UpdatePosthogRun, plan: Plan) -> Reply:
    """Change the members that were sent, and bring the run into the status, if one was."""
    run, state = _require_run(command, plan)
    sent = {name: value for name, value in asdict(command).items() if value is not UNSET}
    changes = {name: value for name, value in sent.items() if name not in _BY_STATUS}
    if changes:
        names = tuple(changes)
        fact = e.PosthogRunUpdated(posthog_run_id=run.id, changed_fields=names, **changes)
        _tell(plan, run_stream(run.id), state, fact)
    if command.status is not UNSET:
        move(plan, state.id, command.status, changes.get("error_message") or "")
    return Reply(task_id=state.id)


def start_run(command: c.StartPosthogRun, plan: Plan) -> Reply:
    """Queue a run that has not started; one that waits or is worked on stays as it is."""
    _, state = _require_run(command, plan)
    if shown_status(state) != "in_progress":
        move(plan, state.id, "queued")
    return Reply(task_id=state.id)


def set_output(command: c.SetPosthogOutput, plan: Plan) -> Reply:
    """Replace the output; a run that is to be completed by that must not have ended otherwise."""
    run, state = _require_run(command, plan)
    fact = e.PosthogOutputSet(posthog_run_id=run.id, output=command.output)
    _tell(plan, run_stream(run.id), state, fact)
    if command.completes:
        move(plan, state.id, "completed")
    return Reply(task_id=state.id)


def append_log(command: c.AppendPosthogLog, plan: Plan) -> Reply:
    """Add entries behind all others, and keep the lease of whoever works on the run alive."""
    run, state = _require_run(command, plan)
    before = plan.state(log_stream(run.id))
    log = before if isinstance(before, PosthogLog) else PosthogLog()
    fact = e.PosthogLogAppended(
        posthog_run_id=run.id,
        count=command.count,
        size=command.size,
        total_count=log.count + command.count,
        total_size=log.size + command.size,
        entries=command.entries,
        blob=command.blob,
    )
    _tell(plan, log_stream(run.id), state, fact)
    _heartbeat(plan, state)
    return Reply(task_id=state.id)


def _heartbeat(plan: Plan, state: TaskState) -> None:
    """Let a lease run from now on for as long as its holder wanted, at most once a minute."""
    run = state.open_run
    if run is None or not run.leased_at(plan.now) or plan.now - run.heartbeat_at < HEARTBEAT:
        return
    fact = RunLeaseExtended(
        status=run.status,
        task_status=state.task.status,
        lease_until=plan.now + run.lease_until - run.heartbeat_at,
        heartbeat_at=plan.now,
        claim_token_hash=run.claim_token_hash,
    )
    plan.emit_task(state.id, fact, run.id)


def relay_message(command: c.RelayPosthogMessage, plan: Plan) -> Reply:
    """Put on record what a run says to people, who read it in the timeline."""
    run, state = _require_run(command, plan)
    fact = e.PosthogMessageRelayed(
        posthog_run_id=run.id, relay_id=command.relay_id, text=command.text
    )
    _tell(plan, run_stream(run.id), state, fact)
    return Reply(task_id=state.id)


def receive_upload(command: c.ReceivePosthogUpload, plan: Plan) -> Reply:
    """Note an upload; the last one to a path counts.

    Raises ValidationError for one to the path of an artifact, whose content stays as it is.
    """
    run, state = _require_run(command, plan)
    path, content = command.storage_path, command.content
    attached = run.attached.get(path)
    if attached is not None and attached.content != content:
        raise ValidationError(f'"{path}" is an artifact already, with other content')
    if attached is None:
        fact = e.PosthogUploadReceived(posthog_run_id=run.id, storage_path=path, content=content)
        _tell(plan, run_stream(run.id), state, fact)
    return Reply(task_id=state.id)


def store_artifacts(command: c.StorePosthogArtifacts, plan: Plan) -> Reply:
    """Give the run artifacts, in order; what was uploaded becomes one once.

    Raises ValidationError for one that was not uploaded.
    """
    run, state = _require_run(command, plan)
    for index, artifact in enumerate(command.artifacts):
        if artifact.content is not None or not _is_attached(run, artifact):
            _tell(plan, run_stream(run.id), state, _stored(run, artifact, f"artifacts[{index}]"))
        # The next one may be the same upload.
        run, state = _require_run(command, plan)
    return Reply(task_id=state.id)


def _is_attached(run: PosthogRun, artifact: c.NewArtifact) -> bool:
    """Whether an upload is this artifact already."""
    attached = run.attached.get(artifact.storage_path)
    return attached is not None and attached.artifact_id == artifact.id


def _stored(run: PosthogRun, artifact: c.NewArtifact, path: str) -> e.PosthogArtifactStored:
    content = artifact.content or run.uploads.get(artifact.storage_path)
    if content is None:
        raise ValidationError(f'{path}: nothing was uploaded to "{artifact.storage_path}"')
    return e.PosthogArtifactStored(
        posthog_run_id=run.id,
        artifact_id=artifact.id,
        name=artifact.name,
        type=artifact.type,
        content_type=artifact.content_type,
        source=artifact.source,
        storage_path=artifact.storage_path,
        content=content,
    )
