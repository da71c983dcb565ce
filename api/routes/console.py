"""The console: one page for people, and what it is made of."""

import re
from typing import Final

from api.answers import Answer
from api.call import Call
from api.console import PAGE, Asset, assets
from api.errors import error_body
from api.operations import Operation
from api.routes.common import operation

_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    b"require-trusted-types-for 'script'; trusted-types 'none'",
)
# Not where its weight is 0.
_GZIP: Final = re.compile(rb"(?i)\bgzip\b(?! *; *q=0(\.0*)? *(,|$))")
# Pages of others that open it cannot reach into its window.
_ALONE: Final = (b"cross-origin-opener-policy", b"same-origin")
# Asked for again each time: a page of one release never meets the parts of another.
_ASKED_AGAIN: Final = (b"cache-control", b"no-cache")


async def home(call: Call) -> Answer:
    """Return the console, the page for people."""
    return _sent(call, assets()[PAGE], _POLICY, _ALONE)


async def console_asset(call: Call) -> Answer:
    """Return a part of the console by its name."""
    found = assets().get(call.id)
    if found is None:
        return Answer(404, error_body(404, f"the console has no part {call.id!r}"))
    return _sent(call, found)


def _sent(call: Call, asset: Asset, *headers: tuple[bytes, bytes]) -> Answer:
    headers = (*headers, (b"etag", asset.tag), (b"vary", b"accept-encoding"))
    if asset.tag in call.headers.get(b"if-none-match", b""):
        return Answer(304, headers=headers, caching=_ASKED_AGAIN)
    body = asset.plain
    if _GZIP.search(call.headers.get(b"accept-encoding", b"")):
        body = asset.gzipped
        headers = (*headers, (b"content-encoding", b"gzip"))
    kind = (b"content-type", asset.media_type)
    return Answer(200, body, headers, kind, _ASKED_AGAIN)


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/",
        "home",
        home,
        tag="console",
        reply={"type": "string"},
        media_type="text/html",
        public=True,
        statuses=(),
        bare=(304,),
    ),
    operation(
        "GET",
        "/console/{name}",
        "console_asset",
        console_asset,
        tag="console",
        reply={"type": "string"},
        media_type="text/javascript",
        also=("text/css", "image/svg+xml"),
        labels=("name",),
        public=True,
        statuses=(404,),
        bare=(304,),
    ),
)
