"""The read models as they were at a sequence: the same projectors, folded up to there.

A fold begins with the rows of an earlier sequence, or with none. One whose projector raises is left
behind at that event, so each read model has a position of its own beside its rows.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from domain.world import Change
from replay.attach import skipped_by
from replay.batch import Projector
from replay.fold import Fold, FoldError, Source
from replay.ledger import Ledger
from replay.rows import RowBuffer

_POSITIONS: Final = (
    "CREATE TABLE IF NOT EXISTS past_positions"
    " (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID"
)


def fingerprint(ledger: Ledger, projectors: Iterable[Projector]) -> str:
    """Return a text that is another one whenever the same events could give other rows."""
    parts = []
    for each in projectors:
        tables = [table.ddl for table in each.tables]
        parts.append((each.name, each.version, tables, skipped_by(ledger, each.name)))
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def create(
    connection: sqlite3.Connection, projectors: Iterable[Projector], *, indexes: bool = True
) -> None:
    """Make what is missing of the tables that a fold writes, and of their indexes."""
    connection.execute(_POSITIONS)
    for projector in projectors:
        for table in projector.tables:
            for statement in table.ddl if indexes else table.ddl[:1]:
                connection.execute(statement)


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
        """What left read models behind, by their names."""

    def pages(self, source: Source, upto: int, limit: int) -> Iterator[int]:
        """Fold `limit` events at a time, and yield the position reached; the rows are flushed."""
        groups: dict[int, list[Projector]] = {}
        for each in self._projectors:
            groups.setdefault(self._position(each), []).append(each)
        for position, group in groups.items():
            yield from self._fold(group, source, position, upto, limit)

    def _position(self, projector: Projector) -> int:
        found = self._rows.connection.execute(
            "SELECT position FROM past_positions WHERE name = ?", (projector.name,)
        ).fetchone()
        return found[0] if found else 0

    def _put_positions(self, projectors: Iterable[Projector], position: int) -> None:
        self._rows.connection.executemany(
            "REPLACE INTO past_positions VALUES (?,?)",
            [(each.name, position) for each in projectors],
        )

    def _fold(
        self, group: list[Projector], source: Source, after: int, upto: int, limit: int
    ) -> Iterator[int]:
        several = Several(group, self._skipped)
        fold = Fold(self._decode, several, skipped=several.skipped)
        while after < upto:
            try:
                after, _ = fold.page(source, self._rows, after, upto, limit)
            except FoldError as error:
                self._rows.discard()
                if len(group) > 1:
                    # Whose event this is shows when each goes on by itself.
                    for each in group:
                        yield from self._fold([each], source, after, upto, limit)
                    return
                # Nothing of the page is written yet: it is folded again, up to that event.
                upto = error.sequence - 1
                self.failures[group[0].name] = error
                continue
            self._rows.flush()
            self._rows.finish()
            yield after
        self._put_positions(group, after)
