"""What no event names goes after a while; what one names, or may yet name, stays."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest

from api.services import Services, build
from api.settings import Settings
from domain import world
from domain.events import FACT_BY_TYPE
from domain.registry import SchedulerState
from domain.values import Blob
from replay.blobs.collecting import Collected, CollectError, collect
from replay.blobs.store import Collectable
from tests.replay.blobs import stream
from tests.replay.test_blob_carrying import Kept, append
from tests.support.places import KINDS, place_in

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
ROUNDS: Final = 40


@pytest.fixture(name="place", params=KINDS)
def _place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return place_in(tmp_path, request.param)


@pytest.fixture(name="services")
def _services(place: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setitem(FACT_BY_TYPE, Kept.TYPE, Kept)
    monkeypatch.setitem(world._EVOLVE, "test", lambda state, _: state or SchedulerState())
    with closing(build(Settings(store=place), projectors=())) as services:
        yield services


async def put(services: Services, *contents: bytes) -> list[Blob]:
    blobs = services.ledger.access.blobs()
    try:
        return [await blobs.put(stream(each)) for each in contents]
    finally:
        await blobs.close()


async def here(services: Services, *wanted: Blob) -> list[bool]:
    blobs = services.ledger.access.blobs()
    try:
        return [await blobs.has(each) for each in wanted]
    finally:
        await blobs.close()


async def collected(services: Services, *, dry_run: bool = False) -> Collected:
    blobs = services.ledger.access.blobs()
    return await collect(services.ledger, blobs, DAY, lambda *_: None, dry_run=dry_run)


def age(place: str, *blobs: Blob, seconds: float = DAY) -> None:
    """Let it be so long ago that blobs were put."""
    if place.startswith("sqlite:"):
        folder = Path(f"{place.removeprefix('sqlite:')}.blobs")
        for blob in blobs:
            path = folder / blob.sha256[:2] / blob.sha256
            at = path.stat().st_mtime - seconds
            os.utime(path, (at, at))
        return
    with psycopg.connect(place) as session:
        for blob in blobs:
            session.execute(
                "UPDATE blob_ages SET put_at = put_at - %s WHERE sha256 = %s",
                (int(seconds * 1e6), blob.sha256),
            )


def test_what_no_event_names_goes_when_it_is_old(place: str, services: Services) -> None:
    named, young, old, renewed = asyncio.run(put(services, b"named", b"young", b"old", b"renewed"))
    append(services, Kept(title="a", content=named))
    age(place, named, old, renewed)
    age(place, young, seconds=DAY - HOUR)
    asyncio.run(put(services, b"renewed"))

    found = asyncio.run(collected(services, dry_run=True))
    assert found == Collected(blobs=1, size=len(b"old"), removed=False)
    assert all(asyncio.run(here(services, named, young, old, renewed)))

    assert asyncio.run(collected(services)) == Collected(blobs=1, size=len(b"old"), removed=True)
    assert asyncio.run(here(services, named, young, old, renewed)) == [True, True, False, True]
    assert asyncio.run(collected(services)) == Collected(blobs=0, size=0, removed=True)
    assert asyncio.run(put(services, b"old")) == [old]
    assert asyncio.run(here(services, old)) == [True]


def test_without_blobs_there_is_nothing_to_collect(services: Services) -> None:
    assert asyncio.run(collected(services)) == Collected(blobs=0, size=0, removed=True)


def test_an_event_that_is_not_known_may_name_anything(
    place: str, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, old = asyncio.run(put(services, b"named", b"old"))
    append(services, Kept(title="a", content=named))
    age(place, named, old)
    monkeypatch.delitem(FACT_BY_TYPE, Kept.TYPE)

    with pytest.raises(CollectError, match=r"sequence 1, a test\.kept, is not known"):
        asyncio.run(collected(services))
    assert all(asyncio.run(here(services, named, old)))


def test_an_event_that_cannot_be_read_may_name_anything(place: str, services: Services) -> None:
    (old,) = asyncio.run(put(services, b"old"))
    age(place, old)
    services.ledger.writer.connection.execute(
        "INSERT INTO stored_events VALUES (1, ?, 1, ?, ?)", ("test:1", Kept.TYPE, b"{}")
    )
    services.ledger.writer.commit()

    with pytest.raises(CollectError, match="sequence 1 cannot be read"):
        asyncio.run(collected(services))
    assert asyncio.run(here(services, old)) == [True]


class Between:
    """Blobs that are put again when the collection has found out that no event names them."""

    def __init__(self, blobs: Collectable, content: bytes) -> None:
        self._blobs = blobs
        self._content = content
        self.place = blobs.place

    def aged(self, seconds: float) -> AsyncIterator[Blob]:
        return self._blobs.aged(seconds)

    async def remove(self, blob: Blob, seconds: float) -> bool:
        await self._blobs.put(stream(self._content))
        return await self._blobs.remove(blob, seconds)

    async def close(self) -> None:
        await self._blobs.close()


def test_what_is_put_again_meanwhile_stays(place: str, services: Services) -> None:
    (old,) = asyncio.run(put(services, b"old"))
    age(place, old)

    async def between() -> Collected:
        blobs = Between(services.ledger.access.blobs(), b"old")
        return await collect(services.ledger, blobs, DAY, lambda *_: None)  # type: ignore[arg-type]

    assert asyncio.run(between()) == Collected(blobs=0, size=0, removed=True)
    assert asyncio.run(here(services, old)) == [True]


def test_of_a_put_and_a_removal_at_once_the_bytes_are_there_behind_the_put(
    place: str, services: Services
) -> None:
    (old,) = asyncio.run(put(services, b"old"))

    async def removed() -> bool:
        blobs = services.ledger.access.blobs()
        try:
            return await blobs.remove(old, DAY)
        finally:
            await blobs.close()

    with ThreadPoolExecutor(2) as threads:
        for _ in range(ROUNDS):
            age(place, old)
            again = threads.submit(lambda: asyncio.run(put(services, b"old")))
            gone = threads.submit(lambda: asyncio.run(removed()))
            again.result()
            gone.result()
            assert asyncio.run(here(services, old)) == [True]
