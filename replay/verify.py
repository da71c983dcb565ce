"""Proof that a store is in order: its log, and every read model against a rebuild.

Everything is read from one snapshot, so a server may go on writing. Memory does not grow with
history: rows are rebuilt in temporary databases and compared in key order.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import zip_longest
from typing import Final, Literal, TypeAlias

from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Struct

from replay import tables
from replay.attach import skipped_by
from replay.batch import Projector
from replay.fold import PAGE, Fold, FoldError
from replay.ledger import Ledger
from replay.read_models import position_of, standing_of
from replay.rows import RowBuffer, Table
from replay.statements import HEAD
from replay.store import Connection, Row, SqlReader

Told: TypeAlias = Callable[[str, int, int], None]
"""Gets what is checked, how far that is, and how far it goes."""

_LOG: Final = "log"
_PAGE_OF_LOG: Final = (
    "SELECT notification_id, state FROM stored_events WHERE notification_id > ?"
    " ORDER BY notification_id LIMIT ?"
)
_PAGE_OF_STREAMS: Final = (
    "SELECT originator_id, originator_version, notification_id FROM stored_events"
    " WHERE (originator_id, originator_version) > (?, ?)"
    " ORDER BY originator_id, originator_version LIMIT ?"
)


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first thing that is wrong; `sequence` is where, 0 when that is not one event."""

    kind: Literal["sequence", "version", "time", "unreadable", "event", "row"]
    text: str
    sequence: int = 0
    read_model: str = ""


class Verified(Struct, frozen=True, kw_only=True):
    """What was checked, in order, and the first difference if there is one."""

    head: int
    events: int
    read_models: tuple[str, ...]
    finding: Finding | None


class _FoundError(Exception):
    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        super().__init__(finding.text)


def _nobody(_what: str, _done: int, _target: int) -> None:
    """Tell nobody."""


def verify(ledger: Ledger, projectors: Iterable[Projector], told: Told = _nobody) -> Verified:
    """Check the log and these read models; returns the first difference, never raises for one.

    Raises sqlite3.Error when the store cannot be read.
    """
    with ledger.access.snapshot(large=True) as connection:
        return _Check(ledger, connection, told).all(tuple(projectors))


class _Check:
    """One look at one snapshot."""

    def __init__(self, ledger: Ledger, connection: Connection, told: Told) -> None:
        self._ledger = ledger
        self._connection = connection
        self._source = SqlReader(connection)
        self._told = told
        self._head = self._source.select(HEAD)[0][0] or 0
        self._events = 0
        self._checked: list[str] = []

    def all(self, projectors: tuple[Projector, ...]) -> Verified:
        finding = None
        try:
            self._check_log()
            self._check_streams()
            for projector in projectors:
                self._check_read_model(projector)
                self._checked.append(projector.name)
        except _FoundError as found:
            finding = found.finding
        return Verified(
            head=self._head,
            events=self._events,
            read_models=tuple(self._checked),
            finding=finding,
        )

    def _check_log(self) -> None:
        """Check that sequences follow on, times never decrease and every event can be read."""
        last = recorded_at = 0
        while page := self._source.select(_PAGE_OF_LOG, (last, PAGE)):
            for sequence, state in page:
                if sequence != last + 1:
                    text = f"sequence {last + 1} is missing: {sequence} comes behind {last}"
                    raise _FoundError(Finding(kind="sequence", text=text, sequence=last + 1))
                recorded_at = self._later(sequence, state, recorded_at)
                last = sequence
            self._events = last
            self._told(_LOG, last, self._head)

    def _later(self, sequence: int, state: bytes, before: int) -> int:
        try:
            found = self._ledger.mapper.recorded_at(state)
        except MapperDeserialisationError as error:
            finding = Finding(kind="unreadable", text=str(error), sequence=sequence)
            raise _FoundError(finding) from error
        if found < before:
            text = f"recorded_at goes back at sequence {sequence}"
            raise _FoundError(Finding(kind="time", text=text, sequence=sequence))
        return found

    def _check_streams(self) -> None:
        """Check that the versions of each stream count from 1 along the sequence."""
        stream, version, sequence = "", 0, 0
        while page := self._source.select(_PAGE_OF_STREAMS, (stream, version, PAGE)):
            for found, number, position in page:
                if found != stream:
                    stream, version, sequence = found, 0, 0
                if number != version + 1 or position < sequence:
                    text = (
                        f"stream {stream} has version {number} at sequence {position}"
                        f" behind version {version} at sequence {sequence}"
                    )
                    raise _FoundError(Finding(kind="version", text=text, sequence=position))
                version, sequence = number, position

    def _check_read_model(self, projector: Projector) -> None:
        """Check that the rows are those a rebuild up to the same sequence gives."""
        name = projector.name
        if not tables.complete(self._connection, projector.tables):
            text = f"read model {name} has no tables"
            raise _FoundError(Finding(kind="row", text=text, read_model=name))
        upto = position_of(self._connection, name)
        if upto != self._head and standing_of(self._connection, name).state == "live":
            text = f"read model {name} stands at {upto}, the head at {self._head}"
            raise _FoundError(Finding(kind="row", text=text, sequence=upto, read_model=name))
        with closing(sqlite3.connect("", isolation_level=None)) as rebuilt:
            self._rebuild(projector, rebuilt, upto)
            for table in projector.tables:
                self._compare(name, table, rebuilt)

    def _rebuild(self, projector: Projector, target: sqlite3.Connection, upto: int) -> None:
        rows = RowBuffer(projector.tables)
        rows.start(target)
        for table in projector.tables:
            target.execute(table.ddl[0])
        skipped = skipped_by(self._ledger, projector.name)
        fold = Fold(self._ledger.mapper.decode, projector, skipped=skipped)
        after = 0
        while after < upto:
            target.execute("BEGIN")
            try:
                after, count = fold.page(self._source, rows, after, upto)
            except FoldError as error:
                text = f"read model {projector.name}: {error}"
                finding = Finding(
                    kind="event", text=text, sequence=error.sequence, read_model=projector.name
                )
                raise _FoundError(finding) from error
            rows.flush()
            target.commit()
            rows.finish()
            self._told(projector.name, after, upto)
            if not count:
                break

    def _compare(self, name: str, table: Table, rebuilt: sqlite3.Connection) -> None:
        pairs = zip_longest(_in_order(self._connection, table), _in_order(rebuilt, table))
        for stored, expected in pairs:
            if stored == expected:
                continue
            text = f"table {table.name}: {_difference(table, stored, expected)}"
            raise _FoundError(Finding(kind="row", text=text, read_model=name))


def _in_order(connection: Connection, table: Table) -> Iterator[Row]:
    keys = ",".join(table.columns[: table.key_columns])
    columns = ",".join(table.columns)
    return iter(connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {keys}"))


def _difference(table: Table, stored: Row | None, expected: Row | None) -> str:
    """Return how two rows at the same place differ; a place without a row has None."""
    keys = table.key_columns
    if expected is None or (stored is not None and stored[:keys] < expected[:keys]):
        assert stored is not None
        return f"row {_key(table, stored)} is stored, but a rebuild has none"
    if stored is None or stored[:keys] != expected[:keys]:
        return f"row {_key(table, expected)} is missing"
    pairs = zip(table.columns, stored, expected, strict=True)
    column, found, right = next(each for each in pairs if each[1] != each[2])
    return f"row {_key(table, stored)} has {column} {_shown(found)}, a rebuild {_shown(right)}"


def _key(table: Table, row: Row) -> str:
    return ", ".join(_shown(value) for value in row[: table.key_columns])


def _shown(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)
