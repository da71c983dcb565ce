"""What anybody may ask: is the server alive, is it ready, and where to look."""

import base64
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Final

import msgspec

from api.answers import Answer
from api.call import Call
from api.health import obstacles
from api.operations import Operation
from api.replies import Health
from api.routes.common import operation

_HTML: Final = (b"content-type", b"text/html; charset=utf-8")
_STYLE: Final = (
    ":root{color-scheme:light dark;background:canvas;color:canvastext}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    "code{font-family:ui-monospace,monospace}dt{font-weight:600}dd{margin:0 0 .75rem}"
)
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    b"content-security-policy",
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'".encode(),
)
_PAGE: Final = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>taskledger</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>taskledger {version("taskledger")}</h1>
<p>Every change of a task or a run is one event, and nothing else is the truth.</p>
<dl>
<dt><a href="/openapi.json">/openapi.json</a></dt><dd>the API, for tools and clients</dd>
<dt><a href="/api/tasks">/api/tasks</a></dt><dd>tasks, the latest activity first</dd>
<dt><a href="/api/observe/tasks/dashboard">/api/observe/tasks/dashboard</a></dt>
<dd>how it all stands, in numbers</dd>
<dt><a href="/api/observe/tasks/inbox">/api/observe/tasks/inbox</a></dt><dd>what is for you</dd>
<dt><a href="/api/scheduler">/api/scheduler</a></dt><dd>what waits and what works</dd>
<dt><a href="/api/timeline?limit=100">/api/timeline?limit=100</a></dt>
<dd>the first events of the ledger; <code>next_after</code> leads on</dd>
<dt><a href="/api/stream">/api/stream</a></dt><dd>the ledger as it grows</dd>
<dt><a href="/api/projections">/api/projections</a></dt><dd>how the read models stand</dd>
<dt><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></dt>
<dd>whether the server lives, and whether it can do its work</dd>
</dl>
</body>
</html>
""".encode()


async def home(_: Call) -> Answer:
    """Tell a person where to look."""
    return Answer(200, _PAGE, (_POLICY,), _HTML)


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
    _page("/", "home", home, reply={"type": "string"}, media_type="text/html", public=True),
    _page("/healthz", "healthz", healthz, reply=Health, public=True),
    _page("/readyz", "readyz", readyz, reply=Health, refusal=Health, statuses=(503,), public=True),
    _page("/openapi.json", "openapi", openapi, reply={"type": "object"}, public=True),
)
