"""Server-sent events: the ledger from a sequence on, first from the store, then live.

A subscription is made before the store is read and always released; whoever reads slowly is moved
back to the store by the hub, so nothing is lost and nothing piles up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from api.answers import EVENT_STREAM, Headers
from replay.errors import StoreUnavailableError
from replay.feed import Behind, Live, Match, Subscription, sse_frame

if TYPE_CHECKING:
    from api.services import Services

StoredFrame: TypeAlias = tuple[int, str, bytes]
ReadPage: TypeAlias = Callable[[int, int], tuple[list[StoredFrame], int]]
"""Takes (after, upto); gives frames in order and the sequence up to which it has looked."""

PAGE: Final = 500
HEADERS: Final[Headers] = (
    EVENT_STREAM,
    (b"cache-control", b"no-cache"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_RETRY_SECONDS: Final = 1.0


async def events(
    services: "Services", match: Match, after: int, read_page: ReadPage, *, checkpoints: bool
) -> AsyncIterator[bytes]:
    """Yield events behind `after` for ever, and a comment when nothing happens for a while.

    A store that cannot be read is waited for. With `checkpoints` a position that matched nothing is
    told as well, so that a client that comes back does not look through it again.
    """
    wake = asyncio.Event()
    subscription = services.hub.subscribe(match, after, wake.set)
    services.bells.add(wake)
    try:
        told, due = after, checkpoints
        while not services.stopping.is_set():
            wake.clear()
            try:
                chunk, told = await _next_chunk(subscription, read_page, told)
            except StoreUnavailableError:
                # The position is kept: what is missed is read once the store is there again.
                await _rung(wake, _RETRY_SECONDS)
                yield _KEEP_ALIVE
                continue
            if not chunk and due and services.hub.head > told:
                told, due = services.hub.head, False
                subscription.advance(told)
                chunk = checkpoint(told)
            if not chunk and not await _rung(wake, services.settings.keep_alive_seconds):
                due = checkpoints
                chunk = _KEEP_ALIVE
            if chunk:
                yield chunk
    finally:
        services.bells.discard(wake)
        subscription.close()


async def _next_chunk(
    subscription: Subscription, read_page: ReadPage, told: int
) -> tuple[bytes, int]:
    """Return what comes next, nothing when all is told, and the last sequence it holds."""
    while True:
        match subscription.take():
            case Live(frames=frames):
                told = frames[-1].sequence if frames else told
                return b"".join([frame.sse for frame in frames]), told
            case Behind(after=after, upto=upto):
                stored, looked = read_page(after, upto)
                subscription.advance(looked)
                # Others get their turn between two pages.
                await asyncio.sleep(0)
                if stored:
                    return b"".join([sse_frame(*frame) for frame in stored]), stored[-1][0]


async def _rung(wake: asyncio.Event, seconds: float) -> bool:
    """Return whether the bell rang in time."""
    try:
        await asyncio.wait_for(wake.wait(), seconds)
    except TimeoutError:
        return False
    return True


def checkpoint(sequence: int) -> bytes:
    """Return the event that only moves a client's position."""
    return b'id: %d\nevent: checkpoint\ndata: {"sequence":%d}\n\n' % (sequence, sequence)
