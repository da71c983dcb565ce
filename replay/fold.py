"""Events in pages through one projector: what a rebuild, a catch-up and a check have in common."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from domain.recorded import Recorded, task_stream, told_by_last
from domain.task.evolve import TASK_FACTS
from domain.task.state import TaskState
from domain.world import Change, State, evolve
from replay.batch import Projector, apart, passed_over
from replay.errors import described
from replay.rows import RowBuffer
from replay.store import Row

PAGE: Final = 10_000
_MOST_STATES: Final = 16_000
_MOST_BYTES: Final = 48 << 20
_PAGE_STATEMENT: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? AND notification_id <= ?"
    " ORDER BY notification_id LIMIT ?"
)
_BEFORE: Final = (
    "SELECT * FROM stored_events WHERE originator_id = ? AND originator_version > ?"
    " AND notification_id < ? ORDER BY originator_version"
)
_LAST_BEFORE: Final = f"{_BEFORE} DESC LIMIT 1"


class Source(Protocol):
    """Where events are read."""

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT."""


class FoldError(Exception):
    """An event cannot be applied; the rows of its page must not be kept."""

    def __init__(self, sequence: int, stream: str, type_: str, error: BaseException) -> None:
        """Keep which event it was and what happened."""
        self.sequence = sequence
        self.stream = stream
        self.type = type_
        self.error = described(error)
        super().__init__(f"event {sequence}, a {type_}: {self.error}")


class _Span(Struct, gc=False):
    """Events of one stream that are applied together: all but the last show in the states only."""

    before: State | None
    last: Recorded
    after: State | None


def _let_go(rows: list[Row]) -> Iterator[Row]:
    """Yield rows and forget each, so that what was made of them takes their place in memory."""
    rows.reverse()
    while rows:
        yield rows.pop()


class Fold:
    """Applies events in order to the rows of one read model.

    States are kept as far as memory allows and folded again from their streams when missed, so
    that memory does not grow with history. Events in `skipped` give no rows, nor do those of a
    stream in `held` from the given sequence on.
    """

    def __init__(
        self,
        decode: Callable[[int, str, int, str, bytes], Recorded],
        projector: Projector,
        *,
        skipped: Collection[int] = (),
        held: Mapping[str, int] | None = None,
        spanning: bool = False,
        most_states: int = _MOST_STATES,
    ) -> None:
        """Fold what `decode` makes of stored rows.

        When `spanning`, several events of a stream are one change where the projector allows it; a
        FoldError may then name a later event than the one that cannot be applied.
        """
        self.spanning = spanning
        self._decode = decode
        self._projector = projector
        self._passed_over = passed_over(projector)
        self._with_gaps = not self._passed_over.isdisjoint(fact.TYPE for fact in TASK_FACTS)
        self._skipped = frozenset(skipped)
        self._held = dict(held or {})
        self._most_states = most_states
        self._states: dict[str, State | None] = {}
        self._spans: dict[str, _Span] = {}
        self._bytes = 0

    def page(
        self, source: Source, rows: RowBuffer, after: int, upto: int, limit: int = PAGE
    ) -> tuple[int, int]:
        """Apply at most `limit` events behind `after`; return the last sequence and their number.

        The rows are not flushed. Raises FoldError for an event that cannot be applied.
        """
        found = source.select(_PAGE_STATEMENT, (after, upto, limit))
        last, count = (found[-1][0] if found else after), len(found)
        self.apply(_let_go(found), source, rows)
        return last, count

    def apply(self, stored: Iterable[Row], source: Source, rows: RowBuffer) -> None:
        """Apply stored events; raises FoldError."""
        row: Row = (0, "", 0, "", b"")
        decode, states, spans = self._decode, self._states, self._spans
        passed_over, skipped, held = self._passed_over, self._skipped, self._held
        alone = apart(self._projector) if self.spanning else None
        try:
            for row in stored:
                if row[3] in passed_over:
                    continue
                sequence, stream, version, _, _ = row
                if sequence in skipped:
                    self._end_spans(source, rows)
                    self._pass_over(source, row)
                    continue
                if held and sequence >= held.get(stream, sequence + 1):
                    continue
                recorded = decode(*row)
                before = states.get(stream)
                if (before.version if before is not None else 0) != version - 1:
                    before = self._folded(source, stream, sequence, before)
                after = states[stream] = evolve(before, recorded)
                self._bytes += len(row[4])
                if alone is None or type(recorded.fact) in alone:
                    if spans:
                        self._end_spans(source, rows)
                    self._project(source, rows, before, recorded, after)
                elif (span := spans.get(stream)) is None:
                    spans[stream] = _Span(before, recorded, after)
                else:
                    span.last, span.after = recorded, after
                if len(states) > self._most_states or self._bytes > _MOST_BYTES:
                    self._trim()
            self._end_spans(source, rows)
        except Exception as error:
            self.forget()
            raise FoldError(row[0], row[1], row[3], error) from error

    def _end_spans(self, source: Source, rows: RowBuffer) -> None:
        for span in self._spans.values():
            self._project(source, rows, span.before, span.last, span.after)
        self._spans.clear()

    def _project(
        self,
        source: Source,
        rows: RowBuffer,
        before: State | None,
        recorded: Recorded,
        after: State | None,
    ) -> None:
        task = after if isinstance(after, TaskState) else None
        about = task or (self._subject(source, recorded) if recorded.task_id else None)
        change = Change(
            recorded=recorded,
            before=before,
            after=after,
            task=task,
            about=about,
            paused_by=self._paused_by(source, about, recorded.sequence) if about else "",
        )
        self._projector.apply(change, rows)

    def apply_alone(self, stored: Iterable[Row], source: Source, rows: RowBuffer) -> None:
        """Apply events of one stream that lie apart, as `apply` does."""
        for row in stored:
            self.apply((row,), source, rows)
            # What the streams above it were is asked anew for each event.
            self._states = {row[1]: self._states[row[1]]} if row[1] in self._states else {}

    def hold(self, stream: str, sequence: int) -> None:
        """Apply nothing of a stream from this sequence on."""
        self._held[stream] = sequence

    def forget(self) -> None:
        """Forget every state: what was applied has been undone."""
        self._states.clear()
        self._spans.clear()
        self._bytes = 0

    def _trim(self) -> None:
        """Forget the streams that were met first; most of them are over."""
        for stream in list(self._states)[: len(self._states) // 2 + 1]:
            del self._states[stream]
        self._bytes //= 2

    def _folded(
        self, source: Source, stream: str, sequence: int, state: State | None = None
    ) -> State | None:
        """Return the state of a stream before an event, from an earlier one on."""
        version = state.version if state is not None else 0
        statement = _LAST_BEFORE if told_by_last(stream) else _BEFORE
        for row in source.select(statement, (stream, version, sequence)):
            state = self._evolved(state, row)
        return state

    def _evolved(self, state: State | None, row: Row) -> State | None:
        """Return the state after an event; one to pass over may be unreadable."""
        try:
            return evolve(state, self._decode(*row))
        except Exception:
            if row[0] in self._skipped or row[1] in self._held:
                return state
            raise

    def _pass_over(self, source: Source, row: Row) -> None:
        """Let an event change the state, if it can be read, but no rows."""
        before = self._folded(source, row[1], row[0], self._states.get(row[1]))
        self._states[row[1]] = self._evolved(before, row)

    def _subject(self, source: Source, recorded: Recorded) -> TaskState | None:
        """Return the task that an event of another stream belongs to, as it was then."""
        state = self._state_before(source, task_stream(recorded.task_id), recorded.sequence)
        return state if isinstance(state, TaskState) else None

    def _state_before(self, source: Source, stream: str, sequence: int) -> State | None:
        """Return the state of another stream than that of an event, before it."""
        if stream not in self._states or self._with_gaps:
            known = self._states.get(stream)
            self._states[stream] = self._folded(source, stream, sequence, known)
        return self._states[stream]

    def _paused_by(self, source: Source, state: TaskState, sequence: int) -> str:
        """Return the nearest paused task of a lineage, empty when none is."""
        task = state.task
        if task.paused:
            return task.id
        for ancestor_id in task.ancestors:
            ancestor = self._state_before(source, task_stream(ancestor_id), sequence)
            if not isinstance(ancestor, TaskState) or ancestor.task.deleted:
                continue
            if ancestor.task.paused:
                return ancestor_id
        return ""
