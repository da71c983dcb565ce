"""Requests over bare connections, for clients that leave before they are answered."""

import contextlib
import socket
import time
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def hanging_up(url: str, request: bytes) -> Iterator[None]:
    """Send a request, and leave at the end of the block without reading the answer."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request)
        yield


def raw(path: str, body: bytes, **headers: str) -> bytes:
    """Return the bytes of a POST."""
    named = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()]
    return f"POST {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body


def until(condition: Any, seconds: float = 30) -> None:
    """Return when the condition holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)
