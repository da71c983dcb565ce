"""Operations on the read models (added): how they stand, rebuild, cancel, rollback, skip."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.answers import Answer, Stream
from api.bodies import Text
from api.call import Call
from api.operations import EVENTS, Operation
from api.parsing import Body, SignedInt64
from api.projection_status import ProjectionStatus
from api.routes.common import operation
from api.sse import HEADERS

_STEP_SECONDS: Final = 0.25
_encode: Final = msgspec.json.Encoder().encode


class RebuildProjectionRequest(Body, frozen=True, kw_only=True):
    """`dry_run` only compares; `repair` also replaces rows that differ from live ones."""

    dry_run: bool | None = None
    repair: bool | None = None


class SkipEventRequest(Body, frozen=True, kw_only=True):
    """Which event the read model is to pass over, and why."""

    REQUIRED = ("sequence", "reason")
    sequence: SignedInt64 | None = None
    reason: Text = None


class ProjectionResponse(Struct, frozen=True):
    """How a read model stands."""

    projection: ProjectionStatus


class ListProjectionsResponse(Struct, frozen=True):
    """How the read models stand."""

    projections: tuple[ProjectionStatus, ...]


def _reply(call: Call) -> Answer:
    return call.reply(ProjectionResponse(call.services.projections.status(call.id)))


async def list_projections(call: Call) -> Answer:
    """List the read models and how each stands."""
    return call.reply(ListProjectionsResponse(call.services.projections.statuses()))


async def rebuild_projection(call: Call) -> Answer:
    """Begin to rebuild a read model beside the live rows, or to compare it with them."""
    body = await call.read(RebuildProjectionRequest)
    usual = "repair" if body.repair else "rebuild"
    work: Any = "check" if body.dry_run else usual
    await call.services.projections.start(call.id, work, call.context())
    return _reply(call)


async def cancel_projection(call: Call) -> Answer:
    """Give up the rebuild of a read model; the live rows stay."""
    await call.services.projections.cancel(call.id, call.context())
    return _reply(call)


async def roll_back_projection(call: Call) -> Answer:
    """Put the rows before the last rebuild back in place, brought up to date."""
    await call.services.projections.roll_back(call.id, call.context())
    return _reply(call)


async def skip_projection_event(call: Call) -> Answer:
    """Have a read model pass over an event that it cannot take; any other is refused.

    Rebuilds pass over it as well, for good.
    """
    body = await call.read(SkipEventRequest)
    await call.services.projections.skip(
        call.id, body.sequence or 0, body.reason or "", call.context()
    )
    return _reply(call)


async def stream_projection(call: Call) -> Stream:
    """Stream how a read model stands, whenever that changes, until no work is under way."""
    call.services.projections.status(call.id)
    return Stream(_changes(call, call.id), HEADERS)


async def _changes(call: Call, name: str) -> AsyncIterator[bytes]:
    services, told = call.services, b""
    while not services.stopping.is_set():
        status = services.projections.status(name)
        text = _encode(status)
        if text != told:
            yield b"event: projection\ndata: %b\n\n" % text
            told = text
        if status.work is None:
            return
        await asyncio.sleep(_STEP_SECONDS)


def _one(method: str, end: str, handle: Any, **more: Any) -> Operation:
    return operation(
        method,
        f"/api/projections/{{name}}/{end}",
        f"{end}Projection",
        handle,
        tag="projections",
        action=f"projections.{end}",
        scope="admin",
        labels=("projection name",),
        **more,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/api/projections",
        "listProjections",
        list_projections,
        tag="projections",
        action="projections.list",
        scope="admin",
        reply=ListProjectionsResponse,
        statuses=(),
    ),
    _one(
        "POST",
        "rebuild",
        rebuild_projection,
        body=RebuildProjectionRequest,
        what="rebuild projection",
        body_expected=False,
        success=202,
        reply=ProjectionResponse,
        statuses=(403, 404, 409, 422),
    ),
    _one(
        "POST",
        "cancel",
        cancel_projection,
        reply=ProjectionResponse,
        statuses=(403, 404, 409, 422),
    ),
    _one(
        "POST",
        "rollback",
        roll_back_projection,
        reply=ProjectionResponse,
        statuses=(403, 404, 409, 422),
    ),
    _one(
        "POST",
        "skip",
        skip_projection_event,
        body=SkipEventRequest,
        what="skip projection event",
        body_required=True,
        reply=ProjectionResponse,
        statuses=(403, 404, 409, 422),
    ),
    _one(
        "GET",
        "stream",
        stream_projection,
        reply=ProjectionStatus,
        media_type=EVENTS,
        statuses=(404, 422),
    ),
)
