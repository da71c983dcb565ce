"""Checks of a log by itself: times, ids, commands that are whole, and who held which run."""

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Literal

from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Struct

from domain.recorded import Recorded
from domain.values import Blob
from replay.blobs.named import blobs_of
from replay.codec import LedgerMapper
from replay.holds import HoldError, Holds
from replay.store import Row

_CACHE_KIB: Final = 64 << 10


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first thing that is wrong; `sequence` is where, 0 when that is not one event."""

    kind: Literal[
        "sequence",
        "version",
        "time",
        "unreadable",
        "id",
        "command",
        "lease",
        "event",
        "row",
        "blob",
        "file",
    ]
    text: str
    sequence: int = 0
    read_model: str = ""


class FoundError(Exception):
    """Something is wrong."""

    def __init__(self, finding: Finding) -> None:
        """Keep what it is."""
        self.finding = finding
        super().__init__(finding.text)


class LogCheck:
    """Takes the events of a log in order. What it has to remember of all of them is in a file."""

    def __init__(self, mapper: LedgerMapper) -> None:
        """Read events as `mapper` does."""
        self._mapper = mapper
        self._seen = sqlite3.connect("", isolation_level=None)
        self._holds = Holds(lambda token: self._is_new("token", token))
        self._before: Recorded | None = None
        self._recorded_at = 0

    def __enter__(self) -> "LogCheck":
        """Begin."""
        for pragma in ("journal_mode=OFF", f"cache_size=-{_CACHE_KIB}"):
            self._seen.execute(f"PRAGMA {pragma}")
        self._seen.execute("BEGIN")
        self._seen.execute(
            "CREATE TABLE seen (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        self._seen.execute(
            "CREATE TABLE blobs (sha256 TEXT, size INTEGER, sequence INTEGER,"
            " PRIMARY KEY (sha256, size))"
        )
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Remove the file."""
        self._seen.close()

    def _is_new(self, kind: str, id_: str) -> bool:
        found = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?,?)", (kind, id_))
        return found.rowcount == 1

    def count_blobs(self) -> tuple[int, int]:
        """Return how many blobs events name, and how many bytes these have together."""
        statement = "SELECT count(*), coalesce(sum(size), 0) FROM blobs"
        blobs, size = self._seen.execute(statement).fetchone()
        return blobs, size

    def blobs(self) -> Iterator[tuple[Blob, int]]:
        """Yield each blob with the sequence of the first event that names it, in that order."""
        for digest, size, sequence in self._seen.execute("SELECT * FROM blobs ORDER BY sequence"):
            yield Blob(digest, size), sequence

    def take(self, row: Row) -> None:
        """Check the next stored event; raises FoundError.

        One of an unknown type is left to the read models, which may have been told to skip it.
        """
        try:
            at = self._mapper.recorded_at(row[4])
        except MapperDeserialisationError as error:
            text = f"sequence {row[0]}, a {row[3]} of {row[1]}: {error}"
            raise FoundError(Finding(kind="unreadable", text=text, sequence=row[0])) from error
        if at < self._recorded_at:
            text = f"recorded_at goes back at sequence {row[0]}"
            raise FoundError(Finding(kind="time", text=text, sequence=row[0]))
        self._recorded_at = at
        try:
            recorded = self._mapper.decode(*row)
        except MapperDeserialisationError:
            self._holds.forget(row[1])
            self._before = None
            return
        self._check(recorded)

    def _check(self, recorded: Recorded) -> None:
        sequence = recorded.sequence
        if not self._is_new("event", recorded.event_id):
            text = f"event id {recorded.event_id} of sequence {sequence} was used before"
            raise FoundError(Finding(kind="id", text=text, sequence=sequence))
        for blob in blobs_of(recorded.fact):
            self._seen.execute(
                "INSERT OR IGNORE INTO blobs VALUES (?,?,?)", (blob.sha256, blob.size, sequence)
            )
        before, self._before = self._before, recorded
        if before is not None and before.command_id == recorded.command_id:
            whole = before.recorded_at == recorded.recorded_at
        else:
            whole = self._is_new("command", recorded.command_id)
        if not whole:
            text = f"command {recorded.command_id} is torn: it goes on at sequence {sequence}"
            raise FoundError(Finding(kind="command", text=text, sequence=sequence))
        try:
            self._holds.take(recorded)
        except HoldError as error:
            what = f"{recorded.type} of {recorded.run_id or recorded.task_id}"
            text = f"{what} at sequence {sequence} cannot be: {error}"
            raise FoundError(Finding(kind="lease", text=text, sequence=sequence)) from error
