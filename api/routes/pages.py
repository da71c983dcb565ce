"""What anybody may ask: is the server alive, is it ready, and what does it serve."""

from typing import Any, Final

import msgspec

from api.answers import Answer
from api.call import Call
from api.health import obstacles
from api.operations import Operation
from api.replies import Health
from api.routes.common import operation


async def healthz(call: Call) -> Answer:
    """Tell that the server lives."""
    return call.reply(Health("ok"))


async def readyz(call: Call) -> Answer:
    """Tell whether the server can do its work, and why not."""
    found = obstacles(call.services)
    if found:
        return Answer(503, msgspec.json.encode(Health("unavailable", found)))
    return call.reply(Health("ok", notices=call.services.projections.notices()))


async def openapi(call: Call) -> Answer:
    """Return this document."""
    return Answer(200, call.services.document)


def _page(path: str, operation_id: str, handle: Any, **more: Any) -> Operation:
    return operation("GET", path, operation_id, handle, **{"tag": "server", "statuses": (), **more})


OPERATIONS: Final[tuple[Operation, ...]] = (
    _page("/healthz", "healthz", healthz, reply=Health, public=True),
    _page("/readyz", "readyz", readyz, reply=Health, refusal=Health, statuses=(503,), public=True),
    _page("/openapi.json", "openapi", openapi, reply={"type": "object"}, public=True),
)
