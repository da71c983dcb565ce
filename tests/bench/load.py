"""A load generator that costs little: prebuilt request bytes over raw connections."""

import asyncio
import time
from collections.abc import Generator, Sequence
from functools import partial
from itertools import repeat
from typing import Final, TypeAlias, cast

from msgspec import Struct

HOST: Final = "127.0.0.1"
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_NO_CONTENT: Final = 204


class Step(Struct, frozen=True):
    """One request, ready to be sent, and the status it must be answered with."""

    request: bytes
    status: int


Script: TypeAlias = Generator[Step, bytes, None]
"""Yields requests and is sent the body of each answer."""


class UnexpectedAnswerError(RuntimeError):
    """A request was not answered as it must be, so the measurement means nothing."""


def post(port: int, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return the bytes of a POST; `headers` are whole lines ending in CR LF."""
    return request(port, "POST", path, body, headers)


def request(port: int, method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    """Return the bytes of a request with a JSON body."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def content_length(head: bytes) -> int:
    """Return how long the body of an answer is; 0 when the answer does not say."""
    start = head.lower().find(_LENGTH)
    if start < 0:
        return 0
    start += len(_LENGTH)
    end = head.find(b"\r\n", start)
    return int(head[start : end if end >= 0 else len(head)])


class Connection(asyncio.Protocol):
    """One keep-alive connection that follows its script, one request at a time."""

    def __init__(self, script: Script, *, strict: bool = True) -> None:
        """Wait for `go`; unless it is `strict`, wrong answers are counted and it goes on."""
        self.count = 0
        self.wrong = 0
        self._strict = strict
        self.latencies: list[float] = []
        self._script = script
        self._step = next(script)
        self._buffer = b""
        self._sent_at = 0.0
        self._deadline = 0.0
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(UnexpectedAnswerError("the server closed the connection"))

    def go(self, deadline: float) -> asyncio.Future[None]:
        """Send requests until `deadline`, a value of `time.perf_counter`."""
        self.count = 0
        self.latencies = []
        self._deadline = deadline
        self._done = asyncio.get_running_loop().create_future()
        self._send()
        return self._done

    def close(self) -> None:
        """Hang up."""
        self._done = None
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self._step.request)

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        end = buffer.find(_END)
        if end < 0:
            self._buffer = buffer
            return
        body_at = end + len(_END)
        length = content_length(buffer[:end])
        if len(buffer) < body_at + length:
            self._buffer = buffer
            return
        self._buffer = buffer[body_at + length :]
        self._answered(int(buffer[9:12]), buffer[body_at : body_at + length])

    def _answered(self, status: int, body: bytes) -> None:
        if status != self._step.status and not self._strict:
            self.wrong += 1
        elif status != self._step.status:
            line = self._step.request.partition(b"\r\n")[0].decode()
            message = f"{line}: {status} instead of {self._step.status}: {body.decode()}"
            self._fail(UnexpectedAnswerError(message))
            return
        now = time.perf_counter()
        self.count += 1
        self.latencies.append(now - self._sent_at)
        try:
            self._step = self._script.send(body)
        except StopIteration:
            now = self._deadline
        if now < self._deadline:
            self._send()
        elif self._done is not None and not self._done.done():
            self._done.set_result(None)


class Measured(Struct, frozen=True, kw_only=True):
    """What a round of load came to: answers per second, and how long each took in seconds."""

    rate: float
    latencies: list[float]


class Load:
    """Connections that run their scripts together, a round at a time."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    @classmethod
    async def connect(
        cls, port: int | Sequence[int], scripts: Sequence[Script], *, strict: bool = True
    ) -> "Load":
        """Open one connection for each script: all to one port, or each to its own."""
        loop = asyncio.get_running_loop()
        connections = []
        ports = repeat(port) if isinstance(port, int) else port
        for script, to in zip(scripts, ports, strict=False):
            make = partial(Connection, script, strict=strict)
            _, connection = await loop.create_connection(make, HOST, to)
            connections.append(connection)
        return cls(connections)

    @property
    def wrong(self) -> int:
        """How many answers had another status than they should, since the connections opened."""
        return sum(each.wrong for each in self._connections)

    async def run(self, seconds: float) -> Measured:
        """Send as fast as answers come; raises UnexpectedAnswerError for a wrong status.

        Scripts go on in the next round where this one left them.
        """
        started = time.perf_counter()
        deadline = started + seconds
        await asyncio.gather(*(each.go(deadline) for each in self._connections))
        elapsed = time.perf_counter() - started
        latencies = [found for each in self._connections for found in each.latencies]
        return Measured(rate=len(latencies) / elapsed, latencies=latencies)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()


async def play(port: int, script: Script) -> None:
    """Run one script to its end on a connection of its own."""
    load = await Load.connect(port, [script])
    try:
        await load.run(float("inf"))
    finally:
        load.close()
