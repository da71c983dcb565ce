"""Blobs from one place to another, each checked against its digest on the way."""

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Final

from domain.values import Blob
from replay.blobs.store import BlobMissingError, BlobStore
from replay.errors import ReplayError

_AT_ONCE: Final = 4


class CarryError(ReplayError):
    """A blob cannot be brought; `number` is what it was asked for with."""

    def __init__(self, number: int, text: str) -> None:
        """Keep the number."""
        self.number = number
        super().__init__(text)


class Carrier:
    """Brings blobs to where they are not yet. It is for commands, which have no event loop.

    `carried` counts what it brought.
    """

    def __init__(self, source: BlobStore, target: BlobStore) -> None:
        """Carry from one to the other; they are open only while something is brought."""
        self.source = source
        self.target = target
        self.carried = 0

    def bring(self, named: Iterable[tuple[int, Blob]]) -> None:
        """Bring blobs that are asked for with a number each; they are durable by then.

        Raises CarryError for what the source does not have as it should, and
        StoreUnavailableError.
        """
        wanted: dict[Blob, int] = {}
        for number, blob in named:
            wanted.setdefault(blob, number)
        if wanted:
            asyncio.run(self._bring(wanted))

    async def _bring(self, wanted: dict[Blob, int]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(blob: Blob) -> None:
            async with slots:
                await self._bring_one(wanted[blob], blob)

        try:
            async with asyncio.TaskGroup() as group:
                for blob in wanted:
                    group.create_task(one(blob))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            await self.source.close()
            await self.target.close()

    async def _bring_one(self, number: int, blob: Blob) -> None:
        if await self.target.renew(blob):
            return
        try:
            found = await self.target.put(self.source.read(blob))
        except BlobMissingError as error:
            raise CarryError(number, str(error)) from error
        if found != blob:
            raise CarryError(number, _damaged(blob, self.source))
        self.carried += 1


def _damaged(blob: Blob, store: BlobStore) -> str:
    return f"the bytes with the SHA-256 {blob.sha256} are damaged in {store.place}"


async def fault_of(store: BlobStore, blob: Blob, told: Callable[[int], None]) -> str:
    """Return what is wrong with a blob, empty when nothing is; `told` gets how much was read.

    Raises StoreUnavailableError.
    """
    digest = sha256()
    try:
        async for piece in store.read(blob):
            digest.update(piece)
            told(len(piece))
    except BlobMissingError as error:
        return str(error)
    if digest.hexdigest() != blob.sha256:
        return _damaged(blob, store)
    return ""
