"""What handlers return, and how it goes out: precomputed headers, one body or many chunks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from msgspec import Struct

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

SECURITY: Final[Headers] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
CROSS_ORIGIN: Final[Headers] = (
    (b"access-control-allow-headers", b"Content-Type, Last-Event-ID, Accept"),
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-expose-headers",
        b"Content-Type, Last-Event-ID, x-vercel-ai-ui-message-stream",
    ),
    (b"vary", b"Origin"),
)
NO_STORE: Final = (b"cache-control", b"no-store")
JSON_TYPE: Final = (b"content-type", b"application/json")
EVENT_STREAM: Final = (b"content-type", b"text/event-stream")
REPLAYED: Final[Headers] = ((b"idempotent-replayed", b"true"),)
RETRY: Final[Headers] = ((b"retry-after", b"1"),)

_BASE: Final = [*SECURITY, *CROSS_ORIGIN]
_JSON: Final = [*_BASE, NO_STORE, JSON_TYPE]
_WITHOUT_LENGTH: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Answer(Struct, frozen=True):
    """A whole answer. `content_type` is left out of answers without a body.

    `caching` is for answers that are not JSON; those are never kept.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()
    content_type: tuple[bytes, bytes] = JSON_TYPE
    caching: tuple[bytes, bytes] = NO_STORE


class Stream(Struct, frozen=True):
    """An answer that goes out in chunks; `headers` replace all but the security headers."""

    chunks: AsyncIterator[bytes]
    headers: Headers = (JSON_TYPE, NO_STORE)

    @property
    def follows(self) -> bool:
        """Whether it goes on for as long as the client wants."""
        return EVENT_STREAM in self.headers


NO_CONTENT: Final = Answer(204)


async def send_answer(answer: Answer, send: Any, extra: Headers = ()) -> None:
    """Send a whole answer."""
    body = answer.body
    if answer.content_type is JSON_TYPE and body:
        headers = [*_JSON, (b"content-length", b"%d" % len(body))]
    elif body:
        length = (b"content-length", b"%d" % len(body))
        headers = [*_BASE, answer.caching, answer.content_type, length]
    elif answer.status in _WITHOUT_LENGTH:
        headers = [*_BASE, answer.caching]
    else:
        headers = [*_BASE, answer.caching, (b"content-length", b"0")]
    if answer.headers or extra:
        headers += [*answer.headers, *extra]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_stream(
    stream: Stream,
    receive: Any,
    send: Any,
    extra: Headers = (),
    until: Coroutine[Any, Any, None] | None = None,
) -> None:
    """Send chunks until they end, the client leaves or `until` returns.

    The iterator is closed in any case.
    """
    pump = asyncio.create_task(_pump(stream, send, extra))
    watch = asyncio.create_task(until_disconnected(receive))
    others = [watch] if until is None else [watch, asyncio.create_task(until)]
    try:
        await asyncio.wait({pump, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        finished, left = pump.done(), watch.done()
        for each in (pump, *others):
            each.cancel()
        await asyncio.gather(pump, *others, return_exceptions=True)
    if finished:
        pump.result()
    elif not left:
        await send({"type": "http.response.body", "body": b""})


async def _pump(stream: Stream, send: Any, extra: Headers) -> None:
    headers = [*SECURITY, *CROSS_ORIGIN, *stream.headers, *extra]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for chunk in stream.chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        close = getattr(stream.chunks, "aclose", None)
        if close is not None:
            await close()


async def until_disconnected(receive: Any) -> None:
    """Return when the client has gone, throwing away what it still sends."""
    while (await receive())["type"] != "http.disconnect":
        pass
