"""Requests written to a socket byte by byte, for what no HTTP library would send."""

import contextlib
import http.client
import socket
from collections.abc import Iterator, Mapping

from tests.faults.client import Reply

SECONDS = 20.0
_PIECE = 1 << 16


def ask(
    port: int,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    chunked: bool = False,
) -> Reply:
    """Return the answer; of an event stream only the head.

    A server that has heard enough may answer before the body ends: then the rest is not sent.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(_head(method, target, body, headers or {}, chunked=chunked))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in _pieces(body or b"", chunked=chunked):
                connection.sendall(piece)
        answer = http.client.HTTPResponse(connection, method=method)
        with contextlib.closing(answer):
            answer.begin()
            found = {name.lower(): value for name, value in answer.getheaders()}
            streaming = found.get("content-type") == "text/event-stream"
            text = b"" if streaming else answer.read()
            return Reply(status=answer.status, headers=found, body=text)


def _head(
    method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, chunked: bool
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        lines += ["Content-Type: application/json", length]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _pieces(body: bytes, *, chunked: bool) -> Iterator[bytes]:
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"
