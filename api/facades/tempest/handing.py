"""An operation as its app is handed it."""

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from api.facades.tempest.keeping import kept, values_of
from api.facades.tempest.replies import (
    TempestNextResponse,
    TempestOwner,
    TempestTask,
    TempestTaskMetadata,
    TempestVariable,
)
from domain.recorded import workspace_stream
from domain.registry import WorkspaceState
from domain.tempest.state import OperationState, operation_stream
from domain.tempest.values import LIST
from domain.values import NO_JSON, Json
from projections.queries.runs import run_of
from replay.blobs.store import BlobMissingError

if TYPE_CHECKING:
    from api.services import Services

_TASK: Final = msgspec.json.Decoder(TempestTask).decode


class IncompleteError(Exception):
    """Part of an operation is not in this store."""


async def handed_out(services: "Services", task_id: str, run_id: str) -> TempestNextResponse:
    """Return an operation with the values of its variables; raises IncompleteError."""
    operation = services.ledger.state(operation_stream(task_id))
    assert isinstance(operation, OperationState)
    task = _TASK(await request_of(services, operation))
    if operation.request_type != LIST:
        variables = await _variables(services, operation)
        task = replace(task, environment_variables=variables)
    return TempestNextResponse(task=task, task_id=run_id, metadata=_metadata(services, operation))


async def request_of(services: "Services", operation: OperationState) -> Json:
    """Return the JSON of what is asked; raises IncompleteError."""
    if operation.request_blob is None:
        return operation.request
    try:
        return Json(await kept(services, operation.request_blob))
    except BlobMissingError as error:
        raise IncompleteError("the request is not in this store") from error


async def response_of_run(services: "Services", operation: OperationState, run_id: str) -> Json:
    """Return the JSON of what a run came to, absent before; raises IncompleteError."""
    blob = operation.responses.get(run_id)
    if blob is None:
        run = run_of(services.ledger.reader, run_id)
        return run.result if run else NO_JSON
    try:
        return Json(await kept(services, blob))
    except BlobMissingError as error:
        raise IncompleteError("the response is not in this store") from error


async def _variables(
    services: "Services", operation: OperationState
) -> tuple[TempestVariable, ...]:
    values = await values_of(services, operation.secret_id)
    if values is None:
        names = ", ".join(each.name for each in operation.environment)
        raise IncompleteError(f"the values of {names} are not in this store")
    return tuple(
        TempestVariable(name=each.name, value=values[each.name], type=each.type)
        for each in operation.environment
    )


def _metadata(services: "Services", operation: OperationState) -> TempestTaskMetadata:
    author = TempestOwner(email="", name=operation.requested_by.ref, type="user")
    workspace = services.ledger.state(workspace_stream(operation.workspace_id))
    name = workspace.name if isinstance(workspace, WorkspaceState) else ""
    return TempestTaskMetadata(
        owners=(author,),
        author=author,
        project_id=operation.workspace_id,
        project_name=name or operation.workspace_id,
    )
