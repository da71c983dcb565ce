"""Checks the store of a ledger as an auditor does, and that nothing of its past changes."""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from eventsourcing.persistence import JSONTranscoder

from domain.recorded import Recorded
from projections.catalog import PROJECTORS
from projections.rows import Projector
from replay.codec import LedgerMapper
from replay.ledger import Ledger
from replay.places import environment_of
from replay.verify import verify as verify_store

Row: TypeAlias = tuple[Any, ...]

_BUSY_SECONDS = 10.0


def verify(path: Path) -> list[Recorded]:
    """Check everything in the file at once and return its events."""
    verifier = Verifier(path)
    verifier.check()
    return verifier.history


def prove(place: str) -> None:
    """Check a store of any kind as an auditor does."""
    with closing(Ledger(environment_of(place))) as ledger:
        found = verify_store(ledger, PROJECTORS)
    assert found.finding is None, found.finding


class Verifier:
    """Follows the ledger in a file, which may be in use. Anything wrong raises AssertionError."""

    def __init__(self, path: Path, projectors: Iterable[Projector] = PROJECTORS) -> None:
        self.history: list[Recorded] = []
        self._path = path
        self._projectors = tuple(projectors)
        self._mapper = LedgerMapper(JSONTranscoder())
        self._digest = hashlib.sha256()

    def check(self) -> None:
        """Take in what is new, and check the log and every row of every table."""
        with closing(Ledger({"SQLITE_DBNAME": str(self._path)})) as ledger:
            found = verify_store(ledger, self._projectors)
        assert found.finding is None, found.finding
        with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS)) as file:
            file.execute("PRAGMA query_only=ON")
            self._catch_up(file)
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert found.head <= len(self.history)
        assert found.read_models or not self._projectors

    def _catch_up(self, file: sqlite3.Connection) -> None:
        stored = file.execute("SELECT * FROM stored_events ORDER BY notification_id").fetchall()
        known = len(self.history)
        assert _digest(stored[:known]).digest() == self._digest.digest(), "the past has changed"
        self._digest = _digest(stored)
        self.history += [self._mapper.decode(*row) for row in stored[known:]]


def _digest(stored: Iterable[Row]) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for row in stored:
        digest.update(repr(row).encode())
    return digest
