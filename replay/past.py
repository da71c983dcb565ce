"""The read models as they were at a sequence: the same projectors, folded up to there.

A fold begins with the rows of an earlier sequence, or with none. An event that cannot be taken
holds its stream back where the read model allows it, else the whole read model, as with live rows.
So each read model has a position and holds of its own beside its rows.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final, NamedTuple

from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Struct

from domain.world import Change
from replay.attach import skipped_by
from replay.batch import Projector, separable
from replay.fold import Fold, FoldError, Source
from replay.ledger import Ledger
from replay.rows import RowBuffer

_POSITIONS: Final = (
    "CREATE TABLE IF NOT EXISTS past_positions"
    " (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID"
)
_HOLDS: Final = (
    "CREATE TABLE IF NOT EXISTS past_holds (name TEXT, stream TEXT, sequence INTEGER NOT NULL,"
    " PRIMARY KEY (name, stream)) WITHOUT ROWID"
)
_POSITION: Final = "SELECT position FROM past_positions WHERE name = ?"
_HELD: Final = "SELECT stream, sequence FROM past_holds WHERE name = ? ORDER BY stream"
_MISSED: Final = (
    "SELECT * FROM stored_events WHERE originator_id = ? AND notification_id >= ?"
    " AND notification_id <= ? ORDER BY originator_version"
)


def fingerprint(ledger: Ledger, projectors: Iterable[Projector]) -> str:
    """Return a text that is another one whenever the same events could give other rows."""
    parts: list[object] = [_POSITIONS, _HOLDS]
    for each in projectors:
        tables = [table.ddl for table in each.tables]
        parts.append((each.name, each.version, tables, skipped_by(ledger, each.name)))
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def create(
    connection: sqlite3.Connection, projectors: Iterable[Projector], *, indexes: bool = True
) -> None:
    """Make what is missing of the tables that a fold writes, and of their indexes."""
    connection.execute(_POSITIONS)
    connection.execute(_HOLDS)
    for projector in projectors:
        for table in projector.tables:
            for statement in table.ddl if indexes else table.ddl[:1]:
                connection.execute(statement)


class Stuck(Struct, frozen=True, kw_only=True):
    """The event that a read model as a whole stands still at, and why."""

    stream: str
    sequence: int
    text: str


class _Place(NamedTuple):
    """How far read models are, and which streams they stand still for since which sequence."""

    position: int
    held: tuple[tuple[str, int], ...]


class Several:
    """Projectors that get each change together, so that it is decoded and evolved once.

    Each passes over the events it was told to skip; one that is named in `only` takes the events of
    those streams alone. `skipped` are the events that all of them pass over.
    """

    name = ""
    version = 0

    def __init__(
        self,
        projectors: Iterable[Projector],
        skipped: Mapping[str, Collection[int]],
        only: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """Join projectors."""
        projectors = tuple(projectors)
        self.tables = tuple(table for each in projectors for table in each.tables)
        sets = [frozenset(skipped[each.name]) for each in projectors]
        self.skipped = frozenset.intersection(*sets) if sets else frozenset[int]()
        streams = only or {}
        self._takers = tuple(
            (each.apply, sequences, streams.get(each.name))
            for each, sequences in zip(projectors, sets, strict=True)
        )

    def apply(self, change: Change, rows: RowBuffer) -> None:
        """Bring the rows of all of them up to date with one change."""
        sequence, stream = change.recorded.sequence, change.recorded.originator_id
        for apply, skipped, only in self._takers:
            if sequence not in skipped and (only is None or stream in only):
                apply(change, rows)


class PastFold:
    """Brings the rows behind `rows`, which a transaction has begun on, up to a sequence."""

    def __init__(self, ledger: Ledger, projectors: Iterable[Projector], rows: RowBuffer) -> None:
        """Fold these read models; `rows` has the tables of all of them."""
        self._decode = ledger.mapper.decode
        self._projectors = tuple(projectors)
        self._skipped = {each.name: skipped_by(ledger, each.name) for each in self._projectors}
        self._rows = rows
        self.failures: dict[str, FoldError] = {}
        """What held read models back, or streams of those that can be held by stream."""

    @property
    def stuck(self) -> dict[str, Stuck]:
        """The read models that stand still as a whole, by name."""
        return {
            each.name: Stuck(stream=error.stream, sequence=error.sequence, text=str(error))
            for each in self._projectors
            if (error := self.failures.get(each.name)) is not None and not separable(each)
        }

    def pages(self, source: Source, upto: int, limit: int) -> Iterator[int]:
        """Fold `limit` events at a time, and yield the position reached; the rows are flushed."""
        groups: dict[_Place, list[Projector]] = {}
        for each in self._projectors:
            groups.setdefault(self._place(each), []).append(each)
        for place, group in groups.items():
            yield from self._fold(group, source, place, upto, limit)

    def _place(self, projector: Projector) -> _Place:
        select = self._rows.connection.execute
        position = select(_POSITION, (projector.name,)).fetchone()
        held = select(_HELD, (projector.name,)).fetchall()
        return _Place(position[0] if position else 0, tuple(held))

    def _put_place(self, projectors: Iterable[Projector], place: _Place) -> None:
        connection = self._rows.connection
        for each in projectors:
            connection.execute(
                "REPLACE INTO past_positions VALUES (?,?)", (each.name, place.position)
            )
            connection.execute("DELETE FROM past_holds WHERE name = ?", (each.name,))
            connection.executemany(
                "INSERT INTO past_holds VALUES (?,?,?)", [(each.name, *held) for held in place.held]
            )

    def _fold(
        self, group: list[Projector], source: Source, place: _Place, upto: int, limit: int
    ) -> Iterator[int]:
        after, held = place.position, self._bring_up(group, source, place)
        fold = self._fold_for(group, held)
        while after < upto:
            try:
                after, _ = fold.page(source, self._rows, after, upto, limit)
            except FoldError as error:
                self._rows.discard()
                parts = self._parts(group, error)
                if len(parts) > 1:
                    place = _Place(after, tuple(held.items()))
                    for part in parts:
                        yield from self._fold(part, source, place, upto, limit)
                    return
                self._note(group, error)
                # Nothing of the page is written yet: it is folded again, without that stream.
                if separable(group[0]):
                    held[error.stream] = error.sequence
                    fold.hold(error.stream, error.sequence)
                else:
                    upto = error.sequence - 1
                continue
            self._flush()
            yield after
        self._put_place(group, _Place(after, tuple(held.items())))

    def _fold_for(self, group: list[Projector], held: Mapping[str, int]) -> Fold:
        several = Several(group, self._skipped)
        return Fold(self._decode, several, skipped=several.skipped, held=held)

    def _bring_up(self, group: list[Projector], source: Source, place: _Place) -> dict[str, int]:
        """Let streams go that can go on by now; return the others, and where each stands still."""
        held = dict(place.held)
        for stream, sequence in place.held:
            others = {name: since for name, since in held.items() if name != stream}
            missed = source.select(_MISSED, (stream, sequence, place.position))
            try:
                self._fold_for(group, others).apply_alone(missed, source, self._rows)
            except FoldError as error:
                self._rows.discard()
                self._note(group, error)
            else:
                self._flush()
                held = others
        return held

    def _parts(self, group: list[Projector], error: FoldError) -> list[list[Projector]]:
        """Return who goes on together behind an event that a group cannot take.

        An unreadable one is as bad for each, else it shows when each goes on by itself.
        """
        if not isinstance(error.__cause__, MapperDeserialisationError):
            return [[each] for each in group]
        parts: dict[tuple[str, bool], list[Projector]] = {}
        for each in group:
            alone = "" if separable(each) else each.name
            skips = error.sequence in self._skipped[each.name]
            parts.setdefault((alone, skips), []).append(each)
        return list(parts.values())

    def _note(self, group: list[Projector], error: FoldError) -> None:
        for each in group:
            self.failures.setdefault(each.name, error)

    def _flush(self) -> None:
        self._rows.flush()
        self._rows.finish()
