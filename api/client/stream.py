"""The event stream: follows the ledger, comes back after every interruption, misses nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import httpx2
import msgspec

from api.client.backoff import delays
from api.client.documents import JsonObject, at
from api.client.errors import ClientError, ProtocolError
from api.client.http import (
    CONNECT_SECONDS,
    FIRST_ERROR,
    LedgerClient,
    Unavailable,
    refusal,
    unreachable,
)
from api.client.sse import Frame, FrameParser

LEDGER_STREAM = "/api/stream"
# A frame that only says how far a filtered stream has looked.
CHECKPOINT = "checkpoint"
# The server sends a comment every 15 seconds; silence for three of them is a dead connection.
SILENCE_SECONDS = 45.0
# An answer that ends in good order ends at once again while the server is shutting down.
PAUSE_SECONDS = 0.1


class EventStream:
    """Iterates over timeline items in ledger order, each exactly once, without an end.

    `last` is the sequence of the item given out last; a later stream resumes there. The stream
    gives up only when the server refuses it, or stays unreachable for `patience` seconds.
    """

    def __init__(
        self,
        client: LedgerClient,
        path: str = LEDGER_STREAM,
        *,
        after: int = 0,
        patience: float = float("inf"),
    ) -> None:
        self.last = after
        self.connections = 0
        self._client = client
        self._path = path
        self._patience = patience
        self._heard_at = time.monotonic()

    async def __aiter__(self) -> AsyncIterator[JsonObject]:
        self._heard_at = time.monotonic()
        waits = delays()
        while True:
            before = self._heard_at
            failure: ClientError | None = None
            wait = PAUSE_SECONDS
            try:
                async with aclosing(self._connection()) as items:
                    async for item in items:
                        yield item
            except httpx2.TransportError as error:
                failure = unreachable(self._client.connection.server, error)
            except Unavailable as error:
                failure, wait = error.failure, error.wait
            if self._heard_at > before:
                waits = delays()
            if failure:
                wait = max(wait, next(waits))
                self._give_up(failure, wait)
            await asyncio.sleep(wait)

    def _give_up(self, failure: ClientError, wait: float) -> None:
        if time.monotonic() + wait > self._heard_at + self._patience:
            raise failure

    async def _connection(self) -> AsyncGenerator[JsonObject, None]:
        """Yield the new items of one connection, until it ends."""
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last)}
        timeout = httpx2.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS)
        async with self._client.http.stream(
            "GET", self._path, headers=headers, timeout=timeout
        ) as response:
            await self._check(response)
            self.connections += 1
            parser = FrameParser()
            async for piece in response.aiter_bytes():
                self._heard_at = time.monotonic()
                for item in self._new_items(parser.feed(piece)):
                    yield item

    async def _check(self, response: httpx2.Response) -> None:
        if response.status_code >= FIRST_ERROR:
            await response.aread()
            raise refusal(response)
        kind = response.headers.get("Content-Type", "")
        if not kind.startswith("text/event-stream"):
            raise ProtocolError(f"{self._path} is not an event stream but {kind or 'untyped'}")
        self._heard_at = time.monotonic()

    def _new_items(self, frames: Iterator[Frame]) -> Iterator[JsonObject]:
        """Yield what was not given out before; frames without an id are not ledger events."""
        for frame in frames:
            if frame.id is None:
                continue
            sequence, item = ledger_event(frame)
            if sequence > self.last:
                self.last = sequence
                if item is not None:
                    yield item


async def documents(client: LedgerClient, path: str) -> AsyncGenerator[JsonObject, None]:
    """Yield the data of each frame of a stream that ends by itself.

    Raises ApiError for a refusal and UnreachableError when the server goes away.
    """
    headers = {"Accept": "text/event-stream"}
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=SILENCE_SECONDS)
    try:
        async with client.http.stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code >= FIRST_ERROR:
                await response.aread()
                raise refusal(response)
            parser = FrameParser()
            async for piece in response.aiter_bytes():
                for frame in parser.feed(piece):
                    yield msgspec.json.decode(frame.data)
    except httpx2.TransportError as error:
        raise unreachable(client.connection.server, error) from error


def ledger_event(frame: Frame) -> tuple[int, JsonObject | None]:
    """Return sequence and timeline item of a frame; the item of a checkpoint is None.

    Raises ProtocolError when the frame is malformed.
    """
    identity = frame.id or ""
    if not (identity.isascii() and identity.isdecimal()):
        raise ProtocolError(f"stream frame has the id {identity!r}, not a sequence")
    try:
        data = msgspec.json.decode(frame.data)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"stream frame {identity} holds no JSON: {error}") from error
    if frame.event == CHECKPOINT and at(data, "sequence") == int(identity):
        return int(identity), None
    item = at(data, "timeline")
    said = (at(data, "sequence"), at(data, "type"))
    if said != (int(identity), frame.event) or not isinstance(item, dict):
        raise ProtocolError(f"stream frame {identity} contradicts its own data")
    return int(identity), item
