"""The places for blobs that the contract is checked on: another one is one more entry."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import pytest

from domain.values import Blob
from replay.blobs.places import bucket_of
from replay.blobs.s3 import S3Blobs
from replay.blobs.store import BlobStore
from replay.ledger import Ledger
from replay.places import environment_of
from tests.support.places import place_in
from tests.support.s3 import ACCESS, s3

T = TypeVar("T")

Work: TypeAlias = Callable[[BlobStore], Any]
MISSING: Final = Blob("0" * 64, 7)


class Place:
    """Where blobs are; each look at it begins anew, as a process does."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened

    def run(self, work: Work) -> Any:
        """Return what a coroutine over the opened store returns."""

        async def running() -> Any:
            blobs = self._opened()
            try:
                return await work(blobs)
            finally:
                await blobs.close()

        return asyncio.run(running())

    def put(self, *chunks: bytes) -> Blob:
        """Keep bytes."""
        found: Blob = self.run(lambda blobs: blobs.put(stream(*chunks)))
        return found

    def read(self, blob: Blob, start: int = 0, stop: int | None = None) -> bytes:
        """Return bytes."""
        found: bytes = self.run(lambda blobs: joined(blobs.read(blob, start, stop)))
        return found

    def has(self, blob: Blob) -> bool:
        """Return whether bytes are there."""
        found: bool = self.run(lambda blobs: blobs.has(blob))
        return found


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield chunks as a request does."""
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    """Return all pieces together."""
    return b"".join([piece async for piece in pieces])


@contextmanager
def _of_the_ledger(folder: Path, kind: str) -> Iterator[Place]:
    with closing(Ledger(environment_of(place_in(folder, kind)))) as ledger:
        yield Place(ledger.access.blobs)


@contextmanager
def files(folder: Path) -> Iterator[Place]:
    """Open what is beside the SQLite file in a folder."""
    with _of_the_ledger(folder, "sqlite") as place:
        yield place


@contextmanager
def large_objects(folder: Path) -> Iterator[Place]:
    """Open the large objects of the database that belongs to a folder."""
    with _of_the_ledger(folder, "postgresql") as place:
        yield place


@contextmanager
def bucket(_folder: Path) -> Iterator[Place]:
    """Open a new bucket."""
    found = bucket_of(s3().bucket())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ACCESS.items():
            patch.setenv(name, value)
        yield Place(lambda: S3Blobs(found))


PLACES: Final = {"files": files, "large objects": large_objects, "bucket": bucket}
