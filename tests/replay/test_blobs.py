"""What every place for blobs does: bytes by their digest, whole or not at all."""

import asyncio
import os
import random
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from domain.values import Blob
from replay.blobs.store import PIECE, BlobMissingError, BlobStore
from replay.errors import StoreUnavailableError
from tests.replay.blobs import MISSING, PLACES, Place, joined, stream
from tests.support.places import place_in
from tests.support.s3 import ACCESS, s3

MANY = 8


@pytest.fixture(name="place", params=PLACES)
def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as place:
        yield place


def some_bytes(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_what_was_put_is_read_by_its_digest(place: Place, size: int) -> None:
    content = some_bytes(size)

    blob = place.put(content[: size // 3], content[size // 3 :])

    assert blob == Blob(sha256(content).hexdigest(), size)
    assert place.has(blob)
    assert place.read(blob) == content


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, 0),
        (0, 1),
        (5, 5),
        (PIECE - 1, PIECE + 1),
        (PIECE, None),
        (2 * PIECE + 8, None),
        (2 * PIECE + 9, None),
        (1, 1 << 40),
        (1 << 40, None),
        (7, 3),
    ],
)
def test_a_range_is_read(place: Place, start: int, stop: int | None) -> None:
    content = some_bytes(2 * PIECE + 9)
    blob = place.put(content)

    assert place.read(blob, start, stop) == content[start:stop]


def test_the_same_bytes_are_kept_once_however_they_come(place: Place) -> None:
    content = some_bytes(1000)

    async def many(blobs: BlobStore) -> list[Blob]:
        puts = (blobs.put(stream(content[:n], content[n:])) for n in range(MANY))
        return await asyncio.gather(*puts)

    assert len(set(place.run(many))) == 1
    assert place.put(content) == Blob(sha256(content).hexdigest(), 1000)
    assert place.read(place.put(content)) == content


def test_many_at_once_do_not_meet(place: Place) -> None:
    contents = [some_bytes(PIECE + n, n) for n in range(MANY)]

    async def many(blobs: BlobStore) -> list[bytes]:
        kept = await asyncio.gather(*(blobs.put(stream(each)) for each in contents))
        return await asyncio.gather(*(joined(blobs.read(blob)) for blob in kept))

    assert place.run(many) == contents


@pytest.mark.parametrize("known", [MISSING, Blob(sha256(b"here").hexdigest(), 5)])
def test_bytes_that_are_not_here_are_said_to_be_missing(place: Place, known: Blob) -> None:
    place.put(b"here")

    assert not place.has(known)
    with pytest.raises(BlobMissingError, match=known.sha256):
        place.read(known)


def test_what_the_sender_raises_leaves_nothing(place: Place) -> None:
    content = some_bytes(2 * PIECE)

    async def breaking() -> AsyncIterator[bytes]:
        yield content
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        place.run(lambda blobs: blobs.put(breaking()))

    assert not place.has(Blob(sha256(content).hexdigest(), len(content)))


def test_a_put_that_is_given_up_leaves_nothing(place: Place) -> None:
    content = some_bytes(2 * PIECE)

    async def given_up(blobs: BlobStore) -> None:
        reached, never = asyncio.Event(), asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            yield content
            reached.set()
            await never.wait()

        task = asyncio.create_task(blobs.put(stalling()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    place.run(given_up)

    assert not place.has(Blob(sha256(content).hexdigest(), len(content)))


def test_a_read_may_end_early(place: Place) -> None:
    content = some_bytes(3 * PIECE)
    blob = place.put(content)

    async def first(blobs: BlobStore) -> bytes:
        pieces = blobs.read(blob)
        piece = await anext(pieces)
        await pieces.aclose()  # type: ignore[attr-defined]
        return piece + await joined(blobs.read(blob, len(piece)))

    assert place.run(first) == content


def test_what_was_put_counts_as_put_again_when_it_is_renewed(place: Place) -> None:
    blob = place.put(b"here")

    async def renewed(blobs: BlobStore) -> list[bool]:
        wanted = (blob, MISSING, Blob(blob.sha256, 5))
        return [await blobs.renew(each) for each in wanted]

    assert place.run(renewed) == [True, False, False]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """Let no file grow behind so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_to_be_one_and_leaves_nothing(place: Place) -> None:
    content = some_bytes(2 * PIECE)
    place.put(b"before")

    with files_end_at(PIECE), pytest.raises(StoreUnavailableError, match="File too large"):
        place.put(content)

    assert not place.has(Blob(sha256(content).hexdigest(), len(content)))
    assert place.has(place.put(content))


MEMORY = """
import asyncio, resource, sys
from replay.blobs.places import blobs_at
from replay.ledger import Ledger
from replay.places import environment_of

async def chunks(n):
    for number in range(n):
        yield number.to_bytes(4) * (1 << 14)

async def put_and_read(blobs, n):
    blob = await blobs.put(chunks(n))
    assert blob.size == n << 16
    assert blob.size == sum([len(piece) async for piece in blobs.read(blob)])

async def main():
    ledger = Ledger(environment_of(sys.argv[1]))
    blobs = blobs_at(sys.argv[2], ledger.access)
    await put_and_read(blobs, 320)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await put_and_read(blobs, 1280)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    await blobs.close()
    ledger.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("name", PLACES)
def test_memory_does_not_grow_with_a_blob(name: str, tmp_path: Path) -> None:
    store = place_in(tmp_path, "postgresql" if name == "large objects" else "sqlite")
    blobs = s3().bucket() if name == "bucket" else ""

    done = subprocess.run(
        [sys.executable, "-c", MEMORY, store, blobs],
        env={**os.environ, **ACCESS},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    grown_kib = int(done.stdout)
    assert grown_kib < 30_000
