"""Checks the file of a ledger: the order of its events, and every read model against a rebuild."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

from eventsourcing.persistence import JSONTranscoder

from domain.recorded import Recorded
from domain.task.state import TaskState
from domain.world import Change, State, evolve
from projections.catalog import PROJECTORS
from projections.rows import Projector, Table
from replay.codec import LedgerMapper
from replay.rows import RowBuffer
from tests.support.leases import check_leases

Row: TypeAlias = tuple[Any, ...]

_BUSY_SECONDS = 10.0


def verify(path: Path) -> list[Recorded]:
    """Check everything in the file at once and return its events."""
    with closing(Verifier(path)) as verifier:
        verifier.check()
        return verifier.history


class Verifier:
    """Follows the ledger in a file and rebuilds its read models beside it, from the events alone.

    The file may be in use: each look is one snapshot. Anything wrong raises AssertionError.
    """

    def __init__(self, path: Path, projectors: Iterable[Projector] = PROJECTORS) -> None:
        self.history: list[Recorded] = []
        self.states: dict[str, State | None] = {}
        self._path = path
        self._projectors = tuple(projectors)
        self._names = [each.name for each in self._projectors]
        self._tables = [table for each in self._projectors for table in each.tables]
        self._mapper = LedgerMapper(JSONTranscoder())
        self._digest = hashlib.sha256()
        self._scratch = sqlite3.connect(":memory:", isolation_level=None)
        for table in self._tables:
            for statement in table.ddl:
                self._scratch.execute(statement)
        self._rows = RowBuffer(self._tables)
        self._rows.start(self._scratch)

    def close(self) -> None:
        """Drop the rebuilt read models."""
        self._scratch.close()

    def check(self) -> None:
        """Take in what is new, and check the order of the events and every row of every table."""
        with self._snapshot() as file:
            self._catch_up(file)
            self._check_rows(file)
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        check_order(self.history)
        check_leases(self.history)

    def _catch_up(self, file: sqlite3.Connection) -> None:
        stored = file.execute("SELECT * FROM stored_events ORDER BY notification_id").fetchall()
        known = len(self.history)
        assert _digest(stored[:known]).digest() == self._digest.digest(), "the past has changed"
        self._digest = _digest(stored)
        for row in stored[known:]:
            self._take(self._mapper.decode(*row))
        self._rows.flush()
        self._rows.finish()

    def _check_rows(self, file: sqlite3.Connection) -> None:
        if self.history:
            tracked = dict(file.execute("SELECT application_name, notification_id FROM tracking"))
            positions = {name: tracked.get(name) for name in self._names}
            assert positions == dict.fromkeys(self._names, self.history[-1].sequence)
        for table in self._tables:
            _check_table(table, _rows_of(file, table), _rows_of(self._scratch, table))

    def _take(self, recorded: Recorded) -> None:
        stream = recorded.originator_id
        before = self.states.get(stream)
        after = self.states[stream] = evolve(before, recorded)
        change = Change(
            recorded=recorded,
            before=before,
            after=after,
            task=after if isinstance(after, TaskState) else None,
            paused_by=self._paused_by(after),
        )
        for projector in self._projectors:
            projector.apply(change, self._rows)
        self.history.append(recorded)

    def _paused_by(self, state: State | None) -> str:
        """Return the nearest paused task of a task's lineage."""
        for task_id in state.task.lineage if isinstance(state, TaskState) else ():
            relative = self.states.get(f"task:{task_id}")
            if isinstance(relative, TaskState) and relative.task.paused:
                return task_id
        return ""

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with closing(
            sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as file:
            file.execute("PRAGMA query_only=ON")
            file.execute("BEGIN")
            yield file
            file.rollback()


def check_order(history: list[Recorded]) -> None:
    """Check that positions follow on, globally and in each stream, and that commands are whole."""
    versions: dict[str, int] = {}
    commands: dict[str, int] = {}
    sequence = recorded_at = 0
    for place, past in enumerate(history):
        assert past.sequence > sequence, f"{past.sequence} comes behind {sequence}"
        assert past.recorded_at >= recorded_at, f"time goes back at {past.sequence}"
        expected = versions.get(past.originator_id, 0) + 1
        assert past.originator_version == expected, f"{past.originator_id} has a gap"
        assert commands.get(past.command_id, place - 1) == place - 1, f"{past.command_id} is torn"
        commands[past.command_id] = place
        versions[past.originator_id] = expected
        sequence, recorded_at = past.sequence, past.recorded_at
    assert len({past.event_id for past in history}) == len(history), "an event is there twice"


def _digest(stored: Iterable[Row]) -> "hashlib._Hash":
    digest = hashlib.sha256()
    for row in stored:
        digest.update(repr(row).encode())
    return digest


def _rows_of(connection: sqlite3.Connection, table: Table) -> list[Row]:
    order = ", ".join(table.columns[: table.key_columns])
    columns = ", ".join(table.columns)
    return connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}").fetchall()


def _check_table(table: Table, found: list[Row], rebuilt: list[Row]) -> None:
    for row, expected in zip_longest(found, rebuilt):
        assert row == expected, f"{table.name} holds {row}, a rebuild {expected}"
