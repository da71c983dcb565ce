"""Snapshots: the read models at some sequences, each a file beside the store.

A snapshot is never written again once it is there. Its name says which sequence it is of, which
history and projectors it was folded from, and the digest of its bytes, so that a stale or damaged
one is known. Folds that begin with it write on top of it in a transaction that never commits.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from replay.batch import Projector
from replay.errors import StoreInUseError
from replay.fold import PAGE
from replay.ledger import Ledger
from replay.lock import StoreLock
from replay.past import PastFold, create, fingerprint
from replay.rows import RowBuffer

MOST: Final = 16
_POWERS: Final = 40
_DIGEST_BYTES: Final = 16
_CHUNK: Final = 1 << 20
_CACHE_KIB: Final = 64 << 10
_PAUSE: Final = 0.1
_UNFINISHED: Final = "unfinished"
_EVENT: Final = "SELECT state FROM stored_events WHERE notification_id = ?"


class Snapshot(NamedTuple):
    """A file with the read models at a sequence."""

    sequence: int
    path: Path

    @property
    def size(self) -> int:
        """How many bytes it has, 0 when it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def is_sound(self) -> bool:
        """Whether the bytes are those that were written."""
        try:
            return digest_of(self.path) == self.path.stem.rpartition("-")[2]
        except OSError:
            return False


class StoppedError(Exception):
    """Somebody asked to stop."""


class Shelf:
    """The snapshots of one store, in a folder of their own."""

    def __init__(self, folder: Path, ledger: Ledger, projectors: Iterable[Projector]) -> None:
        """Know those that these projectors made of this ledger."""
        self.folder = folder
        self._ledger = ledger
        self._projectors = tuple(projectors)

    def snapshots(self) -> list[Snapshot]:
        """Return those that fit, the oldest moment first; stale ones are removed."""
        mark = fingerprint(self._ledger, self._projectors)
        found = []
        for path in self.folder.glob("*.db"):
            sequence, stamp, _ = (*path.stem.split("-"), "", "", "")[:3]
            if sequence.isdigit() and stamp == self._stamp(int(sequence), mark):
                found.append(Snapshot(int(sequence), path))
            else:
                path.unlink(missing_ok=True)
        return sorted(found)

    def _stamp(self, sequence: int, mark: str) -> str:
        """Return what tells one history up to a sequence, and its projectors, from another."""
        rows = self._ledger.reader.select(_EVENT, (sequence,))
        digest = hashlib.blake2b(mark.encode(), digest_size=_DIGEST_BYTES)
        digest.update(rows[0][0] if rows else b"")
        return digest.hexdigest()

    def make(
        self,
        points: Sequence[int],
        base: Snapshot | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make the snapshots that are missing at some sequences, in order, from an older one.

        Raises StoppedError as soon as `stopping` says so, OSError and sqlite3.Error.
        """
        self.folder.mkdir(exist_ok=True)
        with self._alone(stopping):
            known = {each.sequence for each in self.snapshots()}
            self._make([each for each in points if each not in known], base, stopping)

    @contextmanager
    def _alone(self, stopping: Callable[[], bool]) -> Iterator[None]:
        """Wait until no other process makes snapshots."""
        while True:
            try:
                lock = StoreLock(str(self.folder / "making"))
                break
            except StoreInUseError:
                if stopping():
                    raise StoppedError from None
                time.sleep(_PAUSE)
        try:
            yield
        finally:
            lock.release()

    def _make(
        self, points: Sequence[int], base: Snapshot | None, stopping: Callable[[], bool]
    ) -> None:
        work = self.folder / _UNFINISHED
        for path in self.folder.glob(f"{_UNFINISHED}*"):
            path.unlink()
        if base is not None and base.path.exists():
            copy(base.path, work)
        mark = fingerprint(self._ledger, self._projectors)
        for point in points:
            self._fold(work, point, stopping)
            finished, digest = work, ""
            if point != points[-1]:
                finished = work.with_name(f"{_UNFINISHED}-copy")
                digest = copy(work, finished)
            name = f"{point}-{self._stamp(point, mark)}-{digest or digest_of(work)}.db"
            finished.replace(self.folder / name)

    def _fold(self, work: Path, upto: int, stopping: Callable[[], bool]) -> None:
        with closing(sqlite3.connect(work, isolation_level=None)) as connection:
            # What a crash takes away is known by its digest.
            for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            create(connection, self._projectors)
            rows = RowBuffer(table for each in self._projectors for table in each.tables)
            rows.start(connection)
            fold = PastFold(self._ledger, self._projectors, rows)
            for _ in fold.pages(self._ledger.reader, upto, PAGE):
                if stopping():
                    raise StoppedError
            connection.commit()


def digest_of(path: Path) -> str:
    """Return the digest of a file; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _hasher).hexdigest()


def _hasher() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=_DIGEST_BYTES)


def copy(source: Path, target: Path) -> str:
    """Copy a file and return its digest; raises OSError."""
    digest = _hasher()
    with source.open("rb") as read, target.open("wb") as written:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            written.write(chunk)
    return digest.hexdigest()


def thinned(sequences: Iterable[int], most: int) -> list[int]:
    """Return at most so many sequences, the newest among them, ever fewer towards the past.

    The gap that is left behind is small beside how long ago it is.
    """
    kept = sorted(set(sequences))
    while len(kept) > max(most, 1):
        newest = kept[-1]
        around = zip([0, *kept], kept, kept[1:], strict=False)
        weights = [(after - before) / (newest - each) for before, each, after in around]
        del kept[weights.index(min(weights))]
    return kept


def opened(snapshot: Snapshot | None, projectors: Iterable[Projector]) -> sqlite3.Connection:
    """Return a connection to the rows of a snapshot, or to none; nothing may be committed on it.

    What is written stays in memory and is gone with the connection, because the file is the base
    of others as well. Raises sqlite3.Error.
    """
    uri = f"{snapshot.path.resolve().as_uri()}?nolock=1&mode=rw" if snapshot else ":memory:"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=OFF", "cache_spill=OFF", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    if snapshot is None:
        create(connection, projectors)
    return connection


def points_between(after: int, upto: int, interval: int) -> Iterator[int]:
    """Yield whole intervals behind a sequence: the last ones before another, then ever fewer."""
    steps = [*range(MOST), *(1 << power for power in range(MOST.bit_length() - 1, _POWERS))]
    for step in reversed(steps):
        point = (upto // interval - step) * interval
        if point > after:
            yield point
