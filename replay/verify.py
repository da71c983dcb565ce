"""Proof that a store is in order: its log, its blobs, and every read model against a rebuild.

Everything is read from one snapshot, so a server may go on writing. Memory does not grow with
history: rows are rebuilt in temporary databases and compared in key order.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import zip_longest
from typing import Final, TypeAlias

from msgspec import Struct

from replay import tables
from replay.batch import Projector
from replay.blobs.carrying import fault_of
from replay.blobs.store import BlobStore
from replay.fold import PAGE
from replay.ledger import Ledger
from replay.log_check import Finding, FoundError, LogCheck
from replay.past import PastFold, create
from replay.read_models import READ_MODELS, Standing, position_of, standings
from replay.rows import RowBuffer, Table
from replay.statements import HEAD
from replay.store import Connection, Row, SqlReader

Told: TypeAlias = Callable[[str, int, int], None]
"""Gets what is checked, how far that is, and how far it goes."""

_LOG: Final = "log"
_BLOBS: Final = "blobs"
_ROWS: Final = "read models"
_PAGE_OF_LOG: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
)
_PAGE_OF_STREAMS: Final = (
    "SELECT originator_id, originator_version, notification_id FROM stored_events"
    " WHERE (originator_id, originator_version) > (?, ?)"
    " ORDER BY originator_id, originator_version LIMIT ?"
)


class Verified(Struct, frozen=True, kw_only=True):
    """What was checked, in order, and the first difference if there is one."""

    head: int
    events: int
    blobs: int
    read_models: tuple[str, ...]
    finding: Finding | None


def _nobody(_what: str, _done: int, _target: int) -> None:
    """Tell nobody."""


def verify(
    ledger: Ledger,
    projectors: Iterable[Projector],
    told: Told = _nobody,
    blobs: BlobStore | None = None,
) -> Verified:
    """Check the log, its blobs and these read models; returns the first difference.

    Blobs are beside the events unless it is said where. Raises one of DATABASE_ERRORS when the
    store cannot be read, and StoreUnavailableError for the blobs.
    """
    found = blobs or ledger.access.blobs()
    with ledger.access.snapshot(large=True) as connection:
        return _Check(ledger, connection, told, found).all(tuple(projectors))


class _Check:
    """One look at one snapshot."""

    def __init__(
        self, ledger: Ledger, connection: Connection, told: Told, blobs: BlobStore
    ) -> None:
        self._ledger = ledger
        self._blob_store = blobs
        self._connection = connection
        self._source = SqlReader(connection)
        self._told = told
        self._head = self._source.select(HEAD)[0][0] or 0
        self._events = self._blobs = 0
        self._checked: list[str] = []

    def all(self, projectors: tuple[Projector, ...]) -> Verified:
        finding = None
        try:
            self._check_file()
            self._check_log()
            self._check_streams()
            self._check_read_models(projectors)
        except FoundError as found:
            finding = found.finding
        return Verified(
            head=self._head,
            events=self._events,
            blobs=self._blobs,
            read_models=tuple(self._checked),
            finding=finding,
        )

    def _check_file(self) -> None:
        """Check what holds the tables, so that damage counts also where nothing is read."""
        if damage := self._ledger.access.damage(self._connection):
            raise FoundError(Finding(kind="file", text=f"the file is damaged: {damage}"))

    def _check_log(self) -> None:
        """Check that sequences follow on, and each event against those before it."""
        last = 0
        with LogCheck(self._ledger.mapper) as log:
            while page := self._source.select(_PAGE_OF_LOG, (last, PAGE)):
                for row in page:
                    if row[0] != last + 1:
                        text = f"sequence {last + 1} is missing: {row[0]} comes behind {last}"
                        raise FoundError(Finding(kind="sequence", text=text, sequence=last + 1))
                    log.take(row)
                    last = row[0]
                self._events = last
                self._told(_LOG, last, self._head)
            blobs, size = log.count_blobs()
            if blobs:
                asyncio.run(self._check_blobs(log, size))

    async def _check_blobs(self, log: LogCheck, target: int) -> None:
        """Check that each blob that an event names is there, and has its digest."""
        read = 0

        def told(size: int) -> None:
            nonlocal read
            read += size
            self._told(_BLOBS, read, target)

        try:
            for blob, sequence in log.blobs():
                if fault := await fault_of(self._blob_store, blob, told):
                    text = f"sequence {sequence} names a blob: {fault}"
                    raise FoundError(Finding(kind="blob", text=text, sequence=sequence))
                self._blobs += 1
        finally:
            await self._blob_store.close()

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
                    raise FoundError(Finding(kind="version", text=text, sequence=position))
                version, sequence = number, position

    def _check_read_models(self, projectors: tuple[Projector, ...]) -> None:
        """Check that the rows are those a rebuild up to the same sequence gives."""
        positions = {each.name: self._position(each) for each in projectors}
        for upto in dict.fromkeys(positions.values()):
            group = tuple(each for each in projectors if positions[each.name] == upto)
            with closing(sqlite3.connect("", isolation_level=None)) as rebuilt:
                self._rebuild(group, rebuilt, upto)
                for each in group:
                    for table in each.tables:
                        self._compare(each.name, table, rebuilt)
                    self._checked.append(each.name)

    def _position(self, projector: Projector) -> int:
        name = projector.name
        standing = self._standings().get(name)
        text, upto = "", 0
        if standing is None:
            text = "is not in the store: no server of this release has run on it yet"
        elif standing.version != projector.version:
            text = (
                f"has rows of version {standing.version}, this release gives it version"
                f" {projector.version}: no server of this release has rebuilt it yet"
            )
        elif not tables.complete(self._connection, projector.tables):
            text = "has no tables"
        else:
            upto = position_of(self._connection, name)
            if upto != self._head and standing.state == "live":
                text = f"stands at {upto}, the head at {self._head}"
        if text:
            text = f"read model {name} {text}"
            raise FoundError(Finding(kind="row", text=text, sequence=upto, read_model=name))
        return upto

    def _standings(self) -> dict[str, Standing]:
        found = tables.exists(self._connection, READ_MODELS)
        return standings(self._connection) if found else {}

    def _rebuild(
        self, projectors: tuple[Projector, ...], target: sqlite3.Connection, upto: int
    ) -> None:
        rows = RowBuffer(table for each in projectors for table in each.tables)
        rows.start(target)
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("BEGIN")
        create(target, projectors, indexes=False)
        fold = PastFold(self._ledger, projectors, rows)
        for position in fold.pages(self._source, upto, PAGE):
            self._told(_ROWS, position, upto)
        for each in projectors:
            if (error := fold.failures.get(each.name)) is not None:
                text = f"read model {each.name}: {error}"
                finding = Finding(
                    kind="event", text=text, sequence=error.sequence, read_model=each.name
                )
                raise FoundError(finding) from error

    def _compare(self, name: str, table: Table, rebuilt: sqlite3.Connection) -> None:
        pairs = zip_longest(_in_order(self._connection, table), _in_order(rebuilt, table))
        for stored, expected in pairs:
            if stored == expected:
                continue
            text = f"table {table.name}: {_difference(table, stored, expected)}"
            raise FoundError(Finding(kind="row", text=text, read_model=name))


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
