"""The log of an execution: what its steps printed, at an address that is its own permission."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import msgspec

from api.answers import NO_STORE, Headers, Stream
from api.call import Call
from api.facades.addresses import base_url
from api.operations import Operation
from api.routes.common import operation
from domain.errors import PermissionDeniedError, RunNotFoundError
from domain.ona import checks
from domain.task.state import Run, latest_run
from projections.ona.queries import StepStatus, ona_execution
from projections.queries.batches import run_of_document

if TYPE_CHECKING:
    from api.services import Services

LOG_SECONDS: Final = 86_400
"""How long an address is good for being opened."""

_PREFIX: Final = "/api/ona/executions/"
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
_PLAIN: Final = "text/plain"
_HEADERS: Final[Headers] = (
    (b"content-type", b"text/plain; charset=utf-8"),
    NO_STORE,
    (b"x-accel-buffering", b"no"),
)


async def log_address(call: Call, execution_id: str) -> str:
    """Return where the log of an execution is, empty when nothing can be signed."""
    signer = call.services.signer
    await signer.prepare()
    path = f"{_PREFIX}{execution_id}/log"
    query = signer.sign(path, LOG_SECONDS)
    return f"{base_url(call)}{path}?{query}" if query else ""


async def read_log(call: Call) -> Stream:
    """Return what the steps of an execution printed, as they end, until the execution has ended."""
    services = call.services
    await services.signer.prepare()
    path, query = call.scope["raw_path"], call.scope["query_string"]
    if not services.signer.check(path.decode("latin-1"), query.decode("latin-1")):
        raise PermissionDeniedError("this address is not valid, or no longer")
    execution_id = checks.uuid(call.id, "id")
    if ona_execution(services.ledger.reader, execution_id) is None:
        raise RunNotFoundError(f'task execution "{execution_id}"')
    return Stream(_printed(services, execution_id), _HEADERS)


async def _printed(services: "Services", execution_id: str) -> AsyncIterator[bytes]:
    told: set[str] = set()
    while not services.stopping.is_set():
        whole = ona_execution(services.ledger.reader, execution_id)
        assert whole is not None
        over = [each for each in whole.steps if each.begun and each.phase in _ENDED]
        new = [each for each in over if each.core_id not in told]
        for step in new:
            told.add(step.core_id)
            yield _text_of(services, step)
        if new:
            # More may have ended while these went out.
            continue
        if whole.execution.completed_at:
            return
        await services.signal.wait(services.settings.keep_alive_seconds)


def _text_of(services: "Services", step: StepStatus) -> bytes:
    """Return what a step printed, else what came of it, in whole lines."""
    statement = "SELECT doc FROM runs WHERE task_id = ?"
    found = services.ledger.reader.select(statement, (step.core_id,))
    run = latest_run(run_of_document(row[0]) for row in found)
    text = _said(run) if run else step.message
    return f"{text.rstrip(chr(10))}\n".encode() if text else b""


def _said(run: Run) -> str:
    if run.error or not bytes(run.result):
        return run.error
    result = msgspec.json.decode(run.result)
    if isinstance(result, dict) and isinstance(result.get("output"), str):
        return str(result["output"])
    return result if isinstance(result, str) else bytes(run.result).decode()


LOGS: Final[Operation] = operation(
    "GET",
    f"{_PREFIX}{{id}}/log",
    "readOnaExecutionLog",
    read_log,
    tag="ona",
    labels=("id",),
    public=True,
    media_type=_PLAIN,
    reply={"type": "string"},
    statuses=(403, 404, 422),
)
