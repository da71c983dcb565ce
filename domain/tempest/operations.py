"""Operations: tasks that ask something of an app version, each with a run that it is handed."""

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

from domain import fields
from domain.commands import Reply
from domain.errors import (
    ConflictError,
    PayloadTooLargeError,
    RunNotFoundError,
    WorkspaceNotFoundError,
)
from domain.events import RunClaimed, RunNeedsAttention, RunReleased, TaskCreated
from domain.instants import SECOND
from domain.task.cascade import queue_run, settle, status_with
from domain.task.state import Run, TaskState
from domain.tempest import events as e
from domain.tempest.apps import app_name, known_app, reached_app
from domain.tempest.commands import (
    GiveBackOperation,
    QueueOperation,
    SetAsideOperation,
    TakeOperation,
)
from domain.tempest.requests import check_request
from domain.tempest.state import AppState, OperationState, operation_stream
from domain.tempest.values import LIST, Request, Variable, actor_of
from domain.values import (
    DEFAULT_PRIORITY,
    METADATA_BYTES,
    NO_JSON,
    Actor,
    Blob,
    Json,
    Owner,
    Priority,
)
from domain.world import KeySlot, Plan

_ENCODE: Final = msgspec.json.Encoder().encode


class _Subject(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the metadata of the task tells of its operation."""

    app_id: str
    version: str
    operation: str
    resource_type: str
    external_id: str


class Queued(Struct, frozen=True, kw_only=True):
    """A checked operation to queue; `previous` is the page of a list that it goes on from."""

    app_id: str
    version: str
    workspace_id: str
    request: Request
    requested_by: Actor
    priority: Priority
    task_id: str = ""
    request_blob: Blob | None = None
    environment: tuple[Variable, ...] = ()
    secret_id: str = ""
    previous: OperationState | None = None


def queue_operation(command: QueueOperation, plan: Plan) -> Reply:
    """Queue an operation; with a key it is queued once, however often that is asked.

    Raises TempestAppNotFoundError, WorkspaceNotFoundError, PermissionDeniedError, ConflictError
    for a key that stands for another request, and ValidationError.
    """
    app_id, version = app_name(command)
    app = known_app(plan, app_id, version)
    check_request(command.request, command.environment, app, f'app "{app_id}" {version}')
    if command.request_blob and command.request.request_type == LIST:
        raise PayloadTooLargeError(f"a request to list must not exceed {METADATA_BYTES} bytes")
    key = fields.identifier(command.idempotency_key, "idempotency_key")
    queued = Queued(
        app_id=app_id,
        version=version,
        workspace_id=_workspace(command.workspace, app, plan),
        request=command.request,
        requested_by=plan.context.actor,
        priority=fields.choice(command.priority, "priority", Priority, DEFAULT_PRIORITY),
        task_id=command.task_id,
        request_blob=command.request_blob,
        environment=command.environment,
        secret_id=command.secret_id,
    )
    request_hash = _hash(queued)
    earlier = _earlier(plan, key, request_hash) if key else None
    return earlier or queue(plan, queued, key, request_hash)


def _workspace(given: str, app: AppState | None, plan: Plan) -> str:
    """Return the workspace of an operation: that of the app, else the one given."""
    ref = fields.identifier(given, "workspace")
    own = app.workspace_id if app else ""
    found = plan.world.workspace_of_ref(ref) if ref else own or plan.context.workspace_limit
    if found is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    if own and found != own:
        raise ConflictError(f'the app version belongs to workspace "{own}", not to "{found}"')
    plan.check_reach(found, "the new operation")
    return found


def _hash(queued: Queued) -> str:
    """Return what tells the same request from any other; the values of variables have no part."""
    same = msgspec.structs.replace(queued, task_id="", secret_id="")
    return hashlib.sha256(_ENCODE(same)).hexdigest()[:32]


def _earlier(plan: Plan, key: str, request_hash: str) -> Reply | None:
    """Return the reply to the same request with the same key; raises ConflictError for another."""
    slot = KeySlot(key=key, origin=plan.context.origin, actor=plan.context.actor)
    bound = plan.world.run_of_key(slot)
    if bound is None:
        return None
    task_id, run_id = bound
    if plan.existing_task(task_id).runs[run_id].request_hash != request_hash:
        message = f'idempotency key "{key}" stands for another request (run "{run_id}")'
        raise ConflictError(message)
    return Reply(task_id=task_id, run_id=run_id, replayed=True)


def queue(plan: Plan, queued: Queued, key: str = "", request_hash: str = "") -> Reply:
    """Note the task of an operation, what it asks, and its run."""
    task_id = plan.new_task_id(queued.task_id)
    request, resource = queued.request, queued.request.resource
    subject = _Subject(
        app_id=queued.app_id,
        version=queued.version,
        operation=request.what,
        resource_type=resource.type,
        external_id=resource.external_id,
    )
    created = TaskCreated(
        scope="workspace" if queued.workspace_id else "global",
        workspace_id=queued.workspace_id,
        status="ready",
        owner=Owner("extension", actor_of(queued.app_id, queued.version).ref),
        title=" ".join(filter(None, (request.what, resource.type, _name_of(request)))),
        priority=queued.priority,
        max_attempts=1,
        metadata=Json(_ENCODE({"tempest": subject})),
        facade="tempest",
    )
    plan.emit_task(task_id, created)
    previous = queued.previous
    fact = e.TempestOperationQueued(
        app_id=queued.app_id,
        version=queued.version,
        workspace_id=queued.workspace_id,
        request_type=request.request_type,
        operation=request.what,
        resource_type=resource.type,
        external_id=resource.external_id,
        requested_by=queued.requested_by,
        page=previous.page + 1 if previous else 1,
        previous_task_id=previous.task_id if previous else "",
        request=NO_JSON if queued.request_blob else Json(_ENCODE(request)),
        request_blob=queued.request_blob,
        environment=queued.environment,
        secret_id=queued.secret_id,
    )
    plan.emit(operation_stream(task_id), fact, task_id=task_id)
    state = plan.existing_task(task_id)
    return Reply(task_id=task_id, run_id=queue_run(plan, state, key=key, request_hash=request_hash))


def _name_of(request: Request) -> str:
    return request.resource.display_name or request.resource.external_id


def take_operation(command: TakeOperation, plan: Plan) -> Reply:
    """Hand the best waiting operation to its app version; a reply without a run when none waits.

    Nobody else is handed it until it is reported on or its lease ends. Raises
    PermissionDeniedError for the app version of another workspace, ValidationError.
    """
    app_id, version, _ = reached_app(command, plan)
    if plan.scheduler().paused:
        return Reply()
    actor = actor_of(app_id, version)
    for task_id, run_id in plan.world.tempest_operations(actor.ref):
        state = plan.readable_task(task_id)
        if state is not None:
            _claim(plan, state, state.runs[run_id], command)
            return Reply(task_id=task_id, run_id=run_id)
    return Reply()


def _claim(plan: Plan, state: TaskState, run: Run, command: TakeOperation) -> None:
    fact = RunClaimed(
        status="claimed",
        task_status=status_with(plan, state, run, "claimed"),
        claimed_by=plan.context.actor,
        claim_token_hash=command.claim_token_hash,
        lease_until=plan.now + command.lease_seconds * SECOND,
    )
    plan.emit_task(state.id, fact, run.id)


def held_operation(plan: Plan, run_id: str) -> tuple[TaskState, Run, OperationState]:
    """Return an operation that the calling app version holds under a lease.

    Raises RunNotFoundError for anything else, PermissionDeniedError for another workspace.
    """
    state, run, operation = operation_of(plan, run_id)
    if run.claimed_by != plan.context.actor or not run.leased_at(plan.now):
        raise RunNotFoundError(f'operation "{run_id}" is {run.status}, and not in your hands')
    return state, run, operation


def operation_of(plan: Plan, run_id: str) -> tuple[TaskState, Run, OperationState]:
    """Return an operation with its run; raises RunNotFoundError or PermissionDeniedError."""
    state, run = plan.require_run(run_id)
    operation = plan.state(operation_stream(state.id))
    if not isinstance(operation, OperationState):
        raise RunNotFoundError(f'"{run_id}" is no operation of an app')
    return state, run, operation


def give_back_operation(command: GiveBackOperation, plan: Plan) -> Reply:
    """Put an operation back into the queue; raises RunNotFoundError when it is not held."""
    state, run, _ = held_operation(plan, command.run_id)
    released = plan.emit_task(
        state.id,
        RunReleased(
            previous_status=run.status,
            status="queued",
            task_status=status_with(plan, state, run, "queued"),
            reason=command.reason,
        ),
        run.id,
    )
    settle(plan, state, released)
    return Reply(task_id=state.id, run_id=run.id)


def set_aside_operation(command: SetAsideOperation, plan: Plan) -> Reply:
    """Take an operation off the queue that could not be handed out whole; nothing of it is lost.

    Raises RunNotFoundError when the app version no longer holds it.
    """
    reply = give_back_operation(command, plan)
    state, run = plan.require_run(reply.run_id)
    attention = RunNeedsAttention(
        previous_status="queued",
        status="needs_attention",
        diagnostic=command.reason,
        queued_at=run.queued_at,
        coordination_channel=run.coordination_channel_id,
        task_status=status_with(plan, state, run, "needs_attention"),
    )
    settle(plan, state, plan.emit_task(state.id, attention, run.id))
    return reply
