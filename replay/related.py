"""The rows that answers about one task need, folded from the streams of that task and its kin.

What it costs is bounded by the length of those streams, however long the log is.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from heapq import merge
from typing import Any, Final, Literal, TypeAlias

from domain.recorded import Recorded, session_stream, streams_beside, task_stream
from domain.task.state import TaskState
from domain.world import State, evolve
from replay.attach import skipped_by
from replay.batch import Projector, separable
from replay.fold import Fold, FoldError, Source
from replay.ledger import Ledger
from replay.past import Several
from replay.rows import RowBuffer
from replay.store import Row

Kin: TypeAlias = Literal["detail", "tree", "runs", "run"]
"""Whose streams are needed beside those of the task and its ancestors: the children and whatever
they and the task depend on, everything below, nobody's, the sessions of its runs."""

FRAMES: Final = "timeline"
"""The read model of which only the events of the task itself are needed."""

SLICE: Final = 25
_MOST_KNOWN: Final = 2_000
_ROWS_AHEAD: Final = 20_000
_LARGEST_PAGE: Final = 500
_PAGE: Final = (
    "SELECT * FROM stored_events WHERE originator_id = ? AND originator_version > ?"
    " AND notification_id <= ? ORDER BY originator_version LIMIT ?"
)


class Pad:
    """Tables in memory for the rows of a few streams, used again and again."""

    def __init__(self, projectors: Iterable[Projector]) -> None:
        """Make the tables of these read models."""
        self.projectors = tuple(projectors)
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        tables = [table for each in self.projectors for table in each.tables]
        for table in tables:
            # The rows are few, so nobody needs an index.
            self.connection.execute(table.ddl[0])
        self.rows = RowBuffer(tables)
        self.rows.start(self.connection)
        self.connection.execute("BEGIN")

    def clear(self) -> None:
        """Remove every row."""
        self.rows.discard()
        self.connection.rollback()
        self.connection.execute("BEGIN")

    def remove(self, projectors: Iterable[Projector]) -> None:
        """Remove the rows of some read models."""
        self.rows.discard()
        for each in projectors:
            for table in each.tables:
                self.connection.execute(f"DELETE FROM {table.name}")


class RelatedFold:
    """Folds what belongs to one task, as of a sequence, onto an empty pad."""

    def __init__(self, ledger: Ledger, source: Source, sequence: int, pad: Pad) -> None:
        """Fold the events that `source` reads."""
        self._mapper_decode = ledger.mapper.decode
        self._pad = pad
        self._skipped = {each.name: skipped_by(ledger, each.name) for each in pad.projectors}
        self._source = source
        self._sequence = sequence
        self._known: dict[int, Recorded] = {}
        self._states: dict[str, State | None] = {}
        self._met = 0

    def slices(self, task_id: str, kin: Kin) -> Iterator[None]:
        """Fold, and yield now and then; the rows are there at the end."""
        yield from self._gather(task_id, kin)
        root = self._task(task_id)
        beside = streams_beside(task_id, root.task.facade) if root else ()
        for stream in beside:
            yield from self._look(stream)
        told = frozenset({task_stream(task_id), *beside})
        yield from self._fold(self._pad.projectors, told, self._sequence)

    # Which streams.

    def _gather(self, task_id: str, kin: Kin) -> Iterator[None]:
        yield from self._look(task_stream(task_id))
        root = self._task(task_id)
        if root is None:
            return
        if kin == "detail":
            yield from self._look_at(root.task.children)
            near = [root, *filter(None, map(self._task, root.task.children))]
            yield from self._look_at(
                edge.depends_on_task_id for each in near for edge in each.task.dependencies
            )
        elif kin == "tree":
            yield from self._look_below(root)
        elif kin == "run":
            for run in root.runs.values():
                if run.session_id:
                    yield from self._look(session_stream(run.session_id))
        tasks = [each for each in self._states.values() if isinstance(each, TaskState)]
        yield from self._look_at(ancestor for each in tasks for ancestor in each.task.ancestors)

    def _task(self, task_id: str) -> TaskState | None:
        state = self._states.get(task_stream(task_id))
        return state if isinstance(state, TaskState) else None

    def _look_below(self, root: TaskState) -> Iterator[None]:
        level = [root]
        while level:
            below = [child for each in level for child in each.task.children]
            yield from self._look_at(below)
            level = [each for each in map(self._task, below) if each is not None]

    def _look_at(self, task_ids: Iterable[str]) -> Iterator[None]:
        for task_id in task_ids:
            yield from self._look(task_stream(task_id))

    def _look(self, stream: str) -> Iterator[None]:
        """Find out how a stream stood."""
        if stream in self._states:
            return
        state: State | None = None
        for row in self._rows_of(stream, self._sequence, _LARGEST_PAGE):
            # What cannot be read stops the fold behind it.
            with suppress(Exception):
                state = evolve(state, self._decode(*row))
            self._met += 1
            if self._met % SLICE == 0:
                yield
        self._states[stream] = state

    def _decode(self, *row: Any) -> Recorded:
        """Return an event; the first ones are kept, because each is needed twice."""
        found = self._known.get(row[0])
        if found is None:
            found = self._mapper_decode(*row)
            if len(self._known) < _MOST_KNOWN:
                self._known[row[0]] = found
        return found

    def _rows_of(self, stream: str, upto: int, size: int) -> Iterator[Row]:
        version = 0
        while page := self._source.select(_PAGE, (stream, version, upto, size)):
            yield from page
            if len(page) < size:
                return
            version = page[-1][2]

    # Their events, in the order of the log.

    def _fold(
        self,
        projectors: tuple[Projector, ...],
        told: frozenset[str],
        upto: int,
        held: Mapping[str, int] | None = None,
    ) -> Iterator[None]:
        rows = self._pad.rows
        several = Several(projectors, self._skipped, {FRAMES: told})
        fold = Fold(self._decode, several, skipped=several.skipped, held=held)
        try:
            for page in self._pages(upto):
                fold.apply(page, self._source, rows)
                rows.flush()
                rows.finish()
                yield
        except FoldError as error:
            self._pad.remove(projectors)
            if len(projectors) > 1:
                for each in projectors:
                    yield from self._fold((each,), told, upto, held)
            elif separable(projectors[0]):
                # What cannot be taken holds its stream back, as it does with live rows.
                still = {**(held or {}), error.stream: error.sequence}
                yield from self._fold(projectors, told, upto, still)
            else:
                yield from self._fold(projectors, told, error.sequence - 1, held)

    def _pages(self, upto: int) -> Iterator[list[Row]]:
        size = min(max(_ROWS_AHEAD // max(len(self._states), 1), 1), _LARGEST_PAGE)
        page: list[Row] = []
        for row in merge(
            *(self._rows_of(each, upto, size) for each in self._states), key=_sequence
        ):
            page.append(row)
            if len(page) == SLICE:
                yield page
                page = []
        if page:
            yield page


def _sequence(row: Row) -> int:
    sequence: int = row[0]
    return sequence
