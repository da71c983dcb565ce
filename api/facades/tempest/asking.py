"""What the ledger adds to the Tempest API: asking something of an app, and looking at that."""

from collections.abc import Awaitable
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from api.answers import Answer
from api.call import Call
from api.facades.tempest.bodies import TempestReportedResource, Text
from api.facades.tempest.callers import check_app
from api.facades.tempest.handing import IncompleteError, request_of, response_of_run
from api.facades.tempest.keeping import forget_values, keep_long, keep_values
from api.facades.tempest.reading import MAX_BYTES, json_object, resource_of
from api.operations import Operation
from api.parsing import Body, Int32, Query, no_json, one_of
from api.routes.common import operation
from domain import fields
from domain.errors import (
    DomainError,
    TaskNotFoundError,
    TempestAppNotFoundError,
    ValidationError,
)
from domain.tempest.commands import QueueOperation
from domain.tempest.values import (
    ACT,
    EXECUTE,
    LIST,
    NO_OBJECT,
    Asked,
    Request,
    Variable,
    VariableType,
)
from domain.values import ID_BYTES, METADATA_BYTES, Json, Priority, RunStatus
from projections.queries import tempest as queries
from projections.wire.json import OptionalJson
from projections.wire.tempest import TempestApp, TempestOperation

_ENCODE: Final = msgspec.json.Encoder().encode
_VALUES_BYTES: Final = 65_536
_USUAL: Final = 50
_MOST: Final = 500


class TempestAskedResource(TempestReportedResource, frozen=True, kw_only=True):
    """The resource that is meant; of one to create only the type is known."""

    external_id: str = ""
    display_name: str = ""


class TempestVariableInput(Struct, frozen=True, kw_only=True):
    """An environment variable; its value is sealed, and enters no event."""

    name: str
    value: str
    type: VariableType = "variable"


class TempestOperationRequest(Body, frozen=True, kw_only=True):
    """What to ask: an operation, or with `action` the one that is named.

    `workspace` is an id, a name or a path. `next` is the page of a list to begin with. With an
    `idempotency_key` the operation is queued once, however often that is asked.
    """

    REQUIRED = ("operation", "resource")
    operation: Annotated[str, one_of(Asked)] | None = None
    action: Text = None
    resource: TempestAskedResource | None = None
    input: Json = msgspec.field(default_factory=no_json)
    metadata: Json = msgspec.field(default_factory=no_json)
    environment_variables: tuple[TempestVariableInput, ...] | None = None
    next: Text = None
    workspace: Text = None
    priority: Annotated[str, one_of(Priority)] | None = None
    idempotency_key: Text = None


class TempestOperationsQuery(Query, frozen=True, kw_only=True):
    """Which operations to list; `before` is the task id of the last one known, the usual is 50."""

    app_id: str = ""
    version: str = ""
    workspace: str = ""
    status: RunStatus | None = None
    before: str = ""
    limit: Int32 = 0


class TempestAppResponse(Struct, frozen=True):
    """A version of an app."""

    app: TempestApp


class ListTempestAppsResponse(Struct, frozen=True):
    """Versions of apps, by name."""

    apps: tuple[TempestApp, ...]


class TempestOperationResponse(Struct, frozen=True):
    """An operation."""

    operation: TempestOperation


class ListTempestOperationsResponse(Struct, frozen=True):
    """Operations, the last queued first."""

    operations: tuple[TempestOperation, ...]


async def queue_operation(call: Call) -> Answer:
    """Queue an operation for a version of an app."""
    app_id, version = call.id, call.value(1)
    body = await call.read(TempestOperationRequest)
    check_app(call, app_id, version)
    request = _request(body)
    values = _values(body.environment_variables or ())
    services = call.services
    task_id = services.new_id("task")
    command = QueueOperation(
        app_id=app_id,
        version=version,
        task_id=task_id,
        request=request,
        request_blob=await keep_long(services, _ENCODE(request), METADATA_BYTES),
        environment=tuple(
            Variable(name=each.name, type=each.type) for each in body.environment_variables or ()
        ),
        secret_id=await keep_values(services, task_id, values),
        workspace=body.workspace or "",
        priority=body.priority or "",
        idempotency_key=body.idempotency_key or "",
    )
    try:
        outcome = await call.submit(command)
    except DomainError:
        await forget_values(services, command.secret_id)
        raise
    if outcome.reply.replayed:
        await forget_values(services, command.secret_id)
    operation = queries.operation_of(services.ledger.reader, outcome.reply.task_id)
    assert operation is not None
    return call.reply(TempestOperationResponse(operation), replayed=outcome.reply.replayed)


def _request(body: TempestOperationRequest) -> Request:
    asked: Asked = fields.choice(body.operation, "operation", Asked)
    if body.resource is None:
        raise ValidationError("resource is required")
    resource = resource_of(body.resource, "resource")
    metadata = json_object(body.metadata, "metadata")
    given = json_object(body.input, "input")
    if asked == "list":
        _check_absent("input", bytes(given), asked)
        _check_absent("action", body.action, asked)
        return Request(
            request_type=LIST, resource=resource, next=body.next or "", metadata=metadata
        )
    _check_absent("next", body.next, asked)
    # The client reads the input without looking whether there is one.
    given = given if bytes(given) else NO_OBJECT
    if asked == "action":
        action = fields.required(body.action, "action", limit=ID_BYTES)
        return Request(
            request_type=ACT, resource=resource, action=action, input=given, metadata=metadata
        )
    _check_absent("action", body.action, asked)
    return Request(
        request_type=EXECUTE, resource=resource, operation=asked, input=given, metadata=metadata
    )


def _check_absent(name: str, value: object, asked: str) -> None:
    if value:
        raise ValidationError(f"{name} must be absent to {asked}")


def _values(variables: tuple[TempestVariableInput, ...]) -> dict[str, str]:
    values = {each.name: each.value for each in variables}
    if len(_ENCODE(values)) > _VALUES_BYTES:
        raise ValidationError(f"environment_variables must not exceed {_VALUES_BYTES} bytes")
    return values


async def list_operations(call: Call) -> Answer:
    """List operations, the last queued first."""
    query = call.query(TempestOperationsQuery)
    workspace_id = query.workspace or call.caller.workspace_limit
    call.require_workspace(workspace_id, f'workspace "{workspace_id}"')
    filters = queries.OperationFilters(
        app_id=query.app_id,
        version=query.version,
        workspace_id=workspace_id,
        status=query.status or "",
        before=query.before,
    )
    limit = min(query.limit or _USUAL, _MOST)
    found = queries.operations(call.services.ledger.reader, filters, limit)
    return call.reply(ListTempestOperationsResponse(tuple(found)))


async def get_operation(call: Call) -> Answer:
    """Return an operation with what was asked and what came of it."""
    reader, task_id = call.services.ledger.reader, call.id
    operation = queries.operation_of(reader, task_id)
    asked = queries.request_of_task(reader, task_id)
    if operation is None or asked is None:
        raise TaskNotFoundError(f'task "{task_id}" is no operation of an app')
    call.require_workspace(operation.workspace_id, f'task "{task_id}"')
    request = await _shown(request_of(call.services, asked))
    response = await _shown(response_of_run(call.services, asked, operation.run_id))
    whole = replace(operation, request=request, response=response)
    return call.reply(TempestOperationResponse(whole))


async def _shown(document: Awaitable[Json]) -> OptionalJson:
    """Return a document, UNSET when there is none or it is not in this store."""
    try:
        found = await document
    except IncompleteError:
        return UNSET
    return found if bytes(found) else UNSET


async def list_apps(call: Call) -> Answer:
    """List the versions of apps, by name."""
    found = queries.apps(call.services.ledger.reader, call.caller.workspace_limit)
    return call.reply(ListTempestAppsResponse(tuple(found)))


async def get_app(call: Call) -> Answer:
    """Return a version of an app: what it looks after, and how that is."""
    app_id, version = call.id, call.value(1)
    app = queries.app_of(call.services.ledger.reader, app_id, version)
    if app is None:
        raise TempestAppNotFoundError(f'app "{app_id}" {version} has never told anything')
    if app.workspace_id:
        call.require_workspace(app.workspace_id, f'app "{app_id}" {version}')
    return call.reply(TempestAppResponse(app))


def _tempest(method: str, path: str, operation_id: str, handle: Any, **more: Any) -> Operation:
    return operation(method, f"/api/tempest{path}", operation_id, handle, tag="tempest", **more)


_APP: Final = "/apps/{app_id}/{version}"
_APP_LABELS: Final = ("app id", "version")

OPERATIONS: Final[tuple[Operation, ...]] = (
    _tempest(
        "GET", "/apps", "listTempestApps", list_apps, statuses=(), reply=ListTempestAppsResponse
    ),
    _tempest(
        "GET",
        _APP,
        "getTempestApp",
        get_app,
        labels=_APP_LABELS,
        statuses=(404, 422),
        reply=TempestAppResponse,
    ),
    _tempest(
        "POST",
        f"{_APP}/operations",
        "queueTempestOperation",
        queue_operation,
        action="tempest.queue_operation",
        body=TempestOperationRequest,
        what="queue operation",
        body_required=True,
        max_body=MAX_BYTES,
        labels=_APP_LABELS,
        success=201,
        reply=TempestOperationResponse,
        statuses=(404, 409, 422),
    ),
    _tempest(
        "GET",
        "/operations",
        "listTempestOperations",
        list_operations,
        query=TempestOperationsQuery,
        statuses=(422,),
        reply=ListTempestOperationsResponse,
    ),
    _tempest(
        "GET",
        "/operations/{id}",
        "getTempestOperation",
        get_operation,
        labels=("task id",),
        reply=TempestOperationResponse,
    ),
)
