"""How calls come in and answers go out (Connect protocol, unary calls, and plain JSON).

An answer has the codec of its request. Bodies may be compressed; read-only methods may also be
called by GET, with the message in the query.
"""

import zlib
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from api.answers import Answer
from api.call import BodyTooLargeError, Call
from api.facades.ona.errors import failure
from api.facades.ona.messages import Message, Request
from api.operations import JSON
from api.parsing import MAX_BODY, Query
from domain.errors import ValidationError

R = TypeVar("R", bound=Request)

PROTO: Final = "application/proto"
_ACCEPTED: Final = ((b"accept-post", f"{JSON}, {PROTO}".encode()),)
_PROTO_TYPE: Final = (b"content-type", PROTO.encode())
_GZIP_WINDOW: Final = 31
_ENCODE: Final = msgspec.json.Encoder().encode


class OnaQuery(Query, frozen=True, kw_only=True):
    """A call by GET: the message as text or, with `base64`, in the URL-safe alphabet."""

    connect: str = ""
    encoding: str = ""
    message: str = ""
    base64: str = ""
    compression: str = ""


class UnsupportedError(Exception):
    """The call comes in a form that is not spoken here."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        self.answer = answer
        super().__init__(answer.status)


class _Sent(Struct, frozen=True):
    """A message that came in, not yet read."""

    body: bytes
    binary: bool


async def unary(call: Call, kind: type[R], act: Callable[[Call, R], Awaitable[Message]]) -> Answer:
    """Return the answer to a call, in the codec that it came in."""
    # The library takes its time to load, and most servers never need it.
    from api.facades.ona import protocol  # noqa: PLC0415

    try:
        sent = _queried(call) if call.scope["method"] == "GET" else await _posted(call)
    except UnsupportedError as error:
        return error.answer
    reply = await act(call, protocol.read(kind, sent.body, binary=sent.binary))
    if not sent.binary:
        return Answer(200, _ENCODE(reply))
    body = protocol.written(reply)
    # Clients check the type of a message that takes no bytes as well.
    return Answer(200, body, content_type=_PROTO_TYPE, headers=() if body else (_PROTO_TYPE,))


async def _posted(call: Call) -> _Sent:
    kind = (
        call.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    )
    if kind not in {JSON, PROTO}:
        raise UnsupportedError(Answer(415, headers=_ACCEPTED))
    coding = call.headers.get(b"content-encoding", b"identity").decode("latin-1")
    return _Sent(_expanded(await call.body(), coding.strip().lower()), kind == PROTO)


def _queried(call: Call) -> _Sent:
    query = call.query(OnaQuery)
    if query.encoding not in {"json", "proto"}:
        raise UnsupportedError(Answer(415, headers=_ACCEPTED))
    body = query.message.encode()
    if query.base64 == "1":
        try:
            body = b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise ValidationError(f"message must be in URL-safe base64: {error}") from None
    return _Sent(_expanded(body, query.compression or "identity"), query.encoding == "proto")


def _expanded(body: bytes, coding: str) -> bytes:
    """Return a body without its compression; raises BodyTooLargeError, however small it came."""
    if coding == "identity":
        return body
    if coding != "gzip":
        text = f'bodies may come with "gzip" or "identity", not "{coding[:40]}"'
        raise UnsupportedError(failure("unimplemented", 501, text))
    expander = zlib.decompressobj(_GZIP_WINDOW)
    try:
        expanded = expander.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise ValidationError(f"the body must be gzip: {error}") from None
    if len(expanded) > MAX_BODY:
        raise BodyTooLargeError
    if not expander.eof:
        raise ValidationError("the body must be gzip: it ends too early")
    return expanded
