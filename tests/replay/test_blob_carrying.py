"""Blobs go wherever the events go that name them, and are checked with them."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from api.services import Services, build
from api.settings import Settings
from domain import world
from domain.events import FACT_BY_TYPE
from domain.fact import Fact
from domain.recorded import Recorded
from domain.registry import SchedulerState
from domain.values import LOCAL_USER, Blob, Origin
from replay.appending import Appender
from replay.blobs.carrying import Carrier
from replay.blobs.files import FileBlobs
from replay.blobs.named import blobs_of, may_name
from replay.blobs.store import BlobStore
from replay.copying import Copied, CopyRefusedError, copy
from replay.export import export_lines, line_of
from replay.importing import Importer, ImportRefusedError, Skips
from replay.verify import Verified, verify
from tests.replay.blobs import MISSING, joined, stream
from tests.support.places import KINDS, place_in

FIRST: Final = b"first" * 100_000
SECOND: Final = b"second"


class Part(Struct, frozen=True):
    """Something with a blob in it."""

    name: str
    content: Blob | None = None


class Kept(Fact, frozen=True, kw_only=True):
    """A fact that names blobs in every way."""

    TYPE = "test.kept"
    title: str
    content: Blob
    extra: tuple[Blob, ...] = ()
    other: Blob | None = None
    parts: tuple[Part, ...] = ()


class Plain(Fact, frozen=True, kw_only=True):
    """A fact that names none."""

    TYPE = "test.plain"
    title: str
    sizes: tuple[int, ...] = ()


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    for fact in (Kept, Plain):
        monkeypatch.setitem(FACT_BY_TYPE, fact.TYPE, fact)
    monkeypatch.setitem(world._EVOLVE, "test", lambda state, _: state or SchedulerState())


def put(blobs: BlobStore, content: bytes) -> Blob:
    async def putting() -> Blob:
        try:
            return await blobs.put(stream(content))
        finally:
            await blobs.close()

    return asyncio.run(putting())


def content_of(blobs: BlobStore, blob: Blob) -> bytes:
    async def reading() -> bytes:
        try:
            return await joined(blobs.read(blob))
        finally:
            await blobs.close()

    return asyncio.run(reading())


def recorded_as(sequence: int, fact: Fact) -> Recorded:
    """Return a fact of one stream, by a command of its own."""
    return Recorded(
        sequence=sequence,
        originator_id="test:1",
        originator_version=sequence,
        event_id=f"evt-{sequence}",
        fact=fact,
        actor=LOCAL_USER,
        origin=Origin("cli", "test"),
        occurred_at=sequence,
        recorded_at=sequence,
        command_id=f"cmd-{sequence}",
    )


def append(services: Services, *facts: Fact) -> None:
    """Commit facts."""
    rows = []
    for sequence, fact in enumerate(facts, services.ledger.head + 1):
        state = services.ledger.mapper.encode(recorded_as(sequence, fact))
        rows.append((sequence, "test:1", sequence, fact.TYPE, state))
    Appender(services.ledger, ()).append(rows)


@contextmanager
def opened(place: str) -> Iterator[Services]:
    with closing(build(Settings(store=place), projectors=())) as services:
        yield services


def story(services: Services) -> tuple[Blob, Blob]:
    """Record facts that name two blobs, one of them twice."""
    first, second = put(services.blobs, FIRST), put(services.blobs, SECOND)
    append(
        services,
        Plain(title="a"),
        Kept(title="b", content=first),
        Plain(title="c"),
        Kept(title="d", content=second, extra=(first, second)),
    )
    return first, second


def verified(services: Services) -> Verified:
    return verify(services.ledger, ())


def damage(blobs: BlobStore, blob: Blob, content: bytes) -> None:
    """Let a file have other bytes."""
    assert isinstance(blobs, FileBlobs)
    Path(blobs.place, blob.sha256[:2], blob.sha256).write_bytes(content)


def test_blobs_are_found_wherever_a_fact_has_them() -> None:
    one, two, three, four = (Blob(f"{n}" * 64, n) for n in range(4))
    fact = Kept(
        title="a",
        content=one,
        extra=(two, one),
        other=three,
        parts=(Part("p"), Part("q", four)),
    )

    assert blobs_of(fact) == (one, two, one, three, four)
    assert blobs_of(Kept(title="a", content=one)) == (one,)
    assert blobs_of(Plain(title="a", sizes=(1, 2))) == ()
    assert (may_name("test.kept"), may_name("test.plain"), may_name("other")) == (
        True,
        False,
        False,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_verify_reads_every_blob_once(kind: str, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    with opened(place_in(tmp_path, kind)) as services:
        story(services)
        found = verify(
            services.ledger,
            (),
            lambda what, done, target: told.append((done, target)) if what == "blobs" else None,
        )

    assert (found.finding, found.blobs) == (None, 2)
    total = len(FIRST) + len(SECOND)
    assert told[-1] == (total, total)


@pytest.mark.parametrize(
    ("content", "text"), [(b"x" * len(FIRST), "damaged"), (FIRST[:-1], "are not in"), (b"", "not")]
)
def test_verify_names_the_first_event_whose_blob_is_not_in_order(
    content: bytes, text: str, tmp_path: Path
) -> None:
    with opened(place_in(tmp_path, "sqlite")) as services:
        first, second = story(services)
        damage(services.blobs, first, content)
        damage(services.blobs, second, b"")
        finding = verified(services).finding

    assert finding is not None
    assert (finding.kind, finding.sequence) == ("blob", 2)
    assert text in finding.text
    assert first.sha256 in finding.text


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_copy_brings_the_blobs(source: str, target: str, tmp_path: Path) -> None:
    with (
        opened(place_in(tmp_path / "one", source)) as ours,
        opened(place_in(tmp_path / "two", target)) as theirs,
    ):
        story(ours)
        done = copied(ours, theirs)
        assert (done.copied, done.blobs, done.finding) == (4, 2, None)
        assert content_of(theirs.blobs, put(ours.blobs, FIRST)) == FIRST

        third = put(ours.blobs, b"third")
        append(ours, Kept(title="e", content=third, other=third))
        done = copied(ours, theirs)
        assert (done.copied, done.blobs, done.finding) == (1, 1, None)


def copied(source: Services, target: Services) -> Copied:
    carrier = Carrier(source.blobs, target.blobs)
    return copy(source.ledger, target.ledger, (), lambda *_: None, carrier)


@pytest.mark.parametrize("content", [b"x" * len(SECOND), b""])
def test_a_copy_stops_before_the_event_whose_blob_is_not_in_order(
    content: bytes, tmp_path: Path
) -> None:
    with (
        opened(place_in(tmp_path / "one", "sqlite")) as ours,
        opened(place_in(tmp_path / "two", "sqlite")) as theirs,
    ):
        _, second = story(ours)
        damage(ours.blobs, second, content)
        with pytest.raises(CopyRefusedError, match=f"sequence 4: .*{second.sha256}"):
            copied(ours, theirs)
        assert theirs.ledger.head == 0

        put(ours.blobs, SECOND)
        assert copied(ours, theirs).finding is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_import_brings_the_blobs_before_the_events(kind: str, tmp_path: Path) -> None:
    with (
        opened(place_in(tmp_path / "one", "sqlite")) as ours,
        opened(place_in(tmp_path / "two", kind)) as theirs,
    ):
        first, second = story(ours)
        lines = [line for _, line in export_lines(ours.ledger)]
        carrier = Carrier(ours.blobs, theirs.blobs)
        importer = Importer(theirs.ledger, (), carrier, Skips())

        damage(ours.blobs, second, b"x" * second.size)
        with pytest.raises(ImportRefusedError, match=f"line 4: .*{second.sha256}.* damaged"):
            importer.take(lines, lambda _: None)
        assert theirs.ledger.head == 0

        damage(ours.blobs, second, SECOND)
        importer.take(lines, lambda _: None)
        assert importer.imported == 4
        found = verified(theirs)
        assert (found.finding, found.blobs) == (None, 2)
        assert content_of(theirs.blobs, first) == FIRST


def test_a_line_with_an_impossible_digest_is_refused(tmp_path: Path) -> None:
    line = line_of(recorded_as(1, Kept(title="a", content=Blob("../../../etc/passwd", 7))))
    with opened(place_in(tmp_path, "sqlite")) as services:
        importer = Importer(services.ledger, (), Carrier(services.blobs, services.blobs), Skips())
        with pytest.raises(ImportRefusedError, match=r"line 1: .*sha256"):
            importer.take([line], lambda _: None)


def test_a_blob_that_nobody_has_is_said_to_be_missing(tmp_path: Path) -> None:
    with opened(place_in(tmp_path, "sqlite")) as services:
        append(services, Kept(title="a", content=MISSING))
        finding = verified(services).finding

    assert finding is not None
    assert f"sequence 1 names a blob: the 7 bytes with the SHA-256 {MISSING.sha256}" in finding.text
