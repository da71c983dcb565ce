"""The four calls of the Tempest CLI on behalf of an app version."""

import asyncio
from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from api.answers import NO_CONTENT, Answer, until_disconnected
from api.call import Call
from api.facades.tempest import bodies as b
from api.facades.tempest import replies
from api.facades.tempest.blanking import blanked, blanked_response
from api.facades.tempest.callers import as_app, check_app
from api.facades.tempest.errors import DIALECT, TempestErrorResponse
from api.facades.tempest.handing import IncompleteError, handed_out
from api.facades.tempest.keeping import keep_long, values_of
from api.facades.tempest.reading import MAX_BYTES, definition_of, health_of, response_of
from api.operations import Operation
from api.parsing import Body
from api.routes.claims import claim_token_hash
from api.routes.common import operation
from domain import fields
from domain.errors import RunNotFoundError, ValidationError
from domain.tempest.commands import (
    ConnectVersion,
    GiveBackOperation,
    ReportHealth,
    ReportOperation,
    SetAsideOperation,
    TakeOperation,
)
from domain.values import ID_BYTES, PAYLOAD_BYTES
from projections.queries.tempest import operation_of_run
from replay.batch import AbandonedError

_ENCODE: Final = msgspec.json.Encoder().encode
_TURNS: Final = 5
_DONE: Final = replies.TempestStandardResponse(status="ok")


def _app_of(body: b.TempestAppRequest) -> tuple[str, str]:
    return (body.app_id or "").strip(), (body.version or "").strip()


async def next_operation(call: Call) -> Answer:
    """Hand the next operation to an app version; 204 when none waits.

    The CLI waits for a few seconds only. Who has left by then is handed nothing.
    """
    app = _app_of(await call.read(b.TempestAppRequest))
    gone = asyncio.create_task(until_disconnected(call.receive))
    try:
        found = await _taken(call, app, gone)
    except AbandonedError:
        found = None
    finally:
        gone.cancel()
    return NO_CONTENT if found is None else call.reply(found)


async def _taken(
    call: Call, app: tuple[str, str], gone: asyncio.Task[None]
) -> replies.TempestNextResponse | None:
    """Return the first waiting operation that can be handed out whole, None when there is none."""
    committer = call.services.committer
    while True:
        command = TakeOperation(
            app_id=app[0],
            version=app[1],
            lease_seconds=call.services.settings.tempest_lease_seconds,
            claim_token_hash=claim_token_hash(),
        )
        outcome = await committer.submit(command, as_app(call, *app), gone=gone.done)
        task_id, run_id = outcome.reply.task_id, outcome.reply.run_id
        if not run_id:
            return None
        back: GiveBackOperation = GiveBackOperation(run_id=run_id, reason="the client went away")
        try:
            found = await handed_out(call.services, task_id, run_id)
            # A commit may have kept the loop busy; what the connection told meanwhile comes first.
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if not gone.done():
                return found
        except IncompleteError as error:
            # Whoever looks after it finds out why; the others are handed out as ever.
            back = SetAsideOperation(run_id=run_id, reason=str(error))
        await committer.submit(back, as_app(call, *app))


async def report(call: Call) -> Answer:
    """End an operation as its app version says."""
    body = await call.read(b.TempestReportRequest)
    run_id = fields.short_text(body.task_id, "task_id", ID_BYTES)
    if not run_id:
        raise ValidationError("task_id is required")
    asked = operation_of_run(call.services.ledger.reader, run_id)
    if asked is None:
        raise RunNotFoundError(f'"{run_id}" is no operation of an app')
    values = (await values_of(call.services, asked.secret_id) or {}).values()
    response = blanked_response(response_of(body.response), values)
    document = _ENCODE(response) if response and body.status == "ok" else b""
    command = ReportOperation(
        run_id=run_id,
        status=body.status or "",
        message=blanked(body.message or "", values),
        response=response,
        response_blob=await keep_long(call.services, document, PAYLOAD_BYTES),
    )
    context = as_app(call, asked.app_id, asked.app_version)
    outcome = await call.services.committer.submit(command, context)
    return call.reply(_DONE, replayed=outcome.reply.replayed)


async def connect(call: Call) -> Answer:
    """Note what an app version looks after."""
    body = await call.read(b.TempestConnectRequest)
    app_id, version = _app_of(body)
    check_app(call, app_id, version)
    if body.resources is UNSET:
        raise ValidationError("resources is required")
    found = body.resources or ()
    command = ConnectVersion(
        app_id=app_id,
        version=version,
        resources=tuple(
            definition_of(each, f"resources[{index}]") for index, each in enumerate(found)
        ),
    )
    await call.submit(command)
    reply = replies.TempestStandardResponse(
        status="ok",
        message=f"connected {app_id} {version}: resource types {len(found)}",
        metadata=replies.TempestMetadata(tempest_app_url=_url(call, app_id, version)),
    )
    return call.reply(reply)


def _url(call: Call, app_id: str, version: str) -> str:
    """Return where this server tells of an app version."""
    settings = call.services.settings
    host = call.headers.get(b"host", f"{settings.host}:{settings.port}".encode())
    path = f"/api/tempest/apps/{quote(app_id, safe='')}/{quote(version, safe='')}"
    return f"{call.scope['scheme']}://{host.decode('latin-1')}{path}"


async def report_health(call: Call) -> Answer:
    """Note how the resources of an app version are."""
    body = await call.read(b.TempestHealthRequest)
    app_id, version = _app_of(body)
    if body.health_reports is UNSET:
        raise ValidationError("health_reports is required")
    command = ReportHealth(
        app_id=app_id, version=version, reports=tuple(map(health_of, body.health_reports or ()))
    )
    await call.services.committer.submit(command, as_app(call, app_id, version))
    return call.reply(_DONE)


def _tempest(
    action: str, operation_id: str, handle: Any, body: type[Body], **more: Any
) -> Operation:
    return operation(
        "POST",
        f"/api/v1/{action}",
        operation_id,
        handle,
        tag="tempest",
        scope="task:write",
        action=action,
        body=body,
        what=action,
        body_required=True,
        dialect=DIALECT,
        refusal=TempestErrorResponse,
        **{"statuses": (400,), "reply": replies.TempestStandardResponse, **more},
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _tempest(
        "apps.operations.next",
        "postAppsOperationsNext",
        next_operation,
        b.TempestAppRequest,
        reply=replies.TempestNextResponse,
        empty_success=204,
    ),
    _tempest(
        "apps.operations.report",
        "postAppsOperationsReport",
        report,
        b.TempestReportRequest,
        statuses=(400, 404),
        max_body=MAX_BYTES,
    ),
    _tempest("apps.version.connect", "postAppsVersionConnect", connect, b.TempestConnectRequest),
    _tempest(
        "apps.versions.health", "postAppsVersionsHealth", report_health, b.TempestHealthRequest
    ),
)
