"""Bytes on their way into a store: in a file, because their digest is known at their end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from typing import IO

from domain.values import Blob
from replay.blobs.store import PIECE, failing_as_unavailable


@asynccontextmanager
async def spooled(
    chunks: AsyncIterator[bytes], open_file: Callable[[], IO[bytes]]
) -> AsyncIterator[tuple[IO[bytes], Blob]]:
    """Yield a file with all the bytes, flushed, and what they are named by; it is closed after.

    Raises StoreUnavailableError, and what `chunks` raises.
    """
    digest, size = sha256(), 0

    def take(pieces: list[bytes]) -> None:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
        file.flush()

    with failing_as_unavailable():
        file = await asyncio.to_thread(open_file)
    try:
        async for pieces in _gathered(chunks):
            with failing_as_unavailable():
                await asyncio.to_thread(take, pieces)
            size += sum(map(len, pieces))
        yield file, Blob(digest.hexdigest(), size)
    finally:
        # A thread that still writes, because the caller gave up, is waited for in there.
        with suppress(OSError):
            file.close()


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Yield chunks together until they are worth a thread's while."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield held
            held, size = [], 0
    if held:
        yield held
