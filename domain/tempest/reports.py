"""What app versions tell of the operations they were handed."""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from domain import fields
from domain.commands import Reply
from domain.errors import ValidationError
from domain.task.outcomes import end_badly, end_well, outcome_hash
from domain.task.state import TaskState
from domain.tempest import events as e
from domain.tempest.commands import ReportOperation
from domain.tempest.operations import Queued, held_operation, operation_of, queue
from domain.tempest.state import OperationState, operation_stream
from domain.tempest.values import (
    EXECUTE,
    LIST,
    MAX_PAGES,
    ReportStatus,
    Request,
    Response,
)
from domain.values import NO_JSON, Blob, Json
from domain.world import Plan

_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Request).decode
_UNSAID: Final = "the app reported an error without a message"
_MESSAGE_LETTERS: Final = 16_000
_TOKEN_LETTERS: Final = 4_000
"""A longer page token leads on no further."""


class _Kept(Struct, frozen=True, kw_only=True):
    """What the result of a run says when the response is kept beside the ledger."""

    response_type: str
    response_blob: Blob


def report_operation(command: ReportOperation, plan: Plan) -> Reply:
    """End an operation as its app version says; saying the same again changes nothing.

    Raises RunNotFoundError for an operation that the app version does not hold, ValidationError
    for a response that does not fit.
    """
    status: ReportStatus = fields.choice(command.status, "status", ReportStatus)
    error = _message(command.message) if status == "error" else ""
    response = command.response if status == "ok" else None
    result = _result(response, command.response_blob)
    outcome = outcome_hash(status, error, result)
    _, run, operation = operation_of(plan, command.run_id)
    if run.outcome_hash == outcome:
        return Reply(task_id=operation.task_id, run_id=run.id, replayed=True)
    state, run, operation = held_operation(plan, command.run_id)
    if status == "error":
        return end_badly(plan, state, run, error, NO_JSON, request_hash=outcome)
    _check(response, operation)
    assert response is not None
    if command.response_blob:
        kept = e.TempestResponseKept(response=command.response_blob)
        plan.emit(operation_stream(state.id), kept, task_id=state.id, run_id=run.id)
    reply = end_well(plan, state, run, result, request_hash=outcome)
    _go_on(plan, state, operation, response)
    return reply


def _message(said: str) -> str:
    """Return the text of an error; too long a one is cut, since nobody would send it again."""
    return said.replace("\x00", "").strip()[:_MESSAGE_LETTERS].strip() or _UNSAID


def _result(response: Response | None, blob: Blob | None) -> Json:
    if response is None:
        return NO_JSON
    if blob is not None:
        return Json(_ENCODE(_Kept(response_type=response.response_type, response_blob=blob)))
    return Json(_ENCODE(response))


def _check(response: Response | None, operation: OperationState) -> None:
    """Refuse a response that is missing or answers something else than was asked."""
    asked = operation.request_type
    if response is None:
        raise ValidationError('response is required when status is "ok"')
    if response.response_type != asked:
        raise ValidationError(f'response.response_type must be "{asked}"')
    if asked == EXECUTE and response.resource is None:
        raise ValidationError("response.resource is required")


def _go_on(plan: Plan, state: TaskState, operation: OperationState, response: Response) -> None:
    """Queue the next page of a list, for whoever asked for the first one."""
    if operation.request_type != LIST:
        return
    request: Request = _DECODE(operation.request)
    token = response.next or ""
    stuck = token in {"", request.next} or len(token) > _TOKEN_LETTERS
    if stuck or operation.page >= MAX_PAGES:
        return
    queued = Queued(
        app_id=operation.app_id,
        version=operation.app_version,
        workspace_id=state.task.workspace_id,
        request=replace(request, next=token),
        requested_by=operation.requested_by,
        priority=state.task.priority,
        previous=operation,
    )
    queue(plan, queued)
