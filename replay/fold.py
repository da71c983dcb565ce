"""Events in pages through one projector: what a rebuild, a catch-up and a check have in common."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from domain.recorded import Recorded, task_stream
from domain.task.state import TaskState
from domain.world import Change, State, evolve
from replay.batch import Projector
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
    "SELECT * FROM stored_events WHERE originator_id = ? AND notification_id < ?"
    " ORDER BY originator_version"
)


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
        most_states: int = _MOST_STATES,
    ) -> None:
        """Fold what `decode` makes of stored rows."""
        self._decode = decode
        self._projector = projector
        self._skipped = frozenset(skipped)
        self._held = dict(held or {})
        self._most_states = most_states
        self._states: dict[str, State | None] = {}
        self._bytes = 0

    def page(
        self, source: Source, rows: RowBuffer, after: int, upto: int, limit: int = PAGE
    ) -> tuple[int, int]:
        """Apply at most `limit` events behind `after`; return the last sequence and their number.

        The rows are not flushed. Raises FoldError for an event that cannot be applied.
        """
        found = source.select(_PAGE_STATEMENT, (after, upto, limit))
        self.apply(found, source, rows)
        return (found[-1][0] if found else after), len(found)

    def apply(self, stored: Iterable[Row], source: Source, rows: RowBuffer) -> None:
        """Apply stored events; raises FoldError."""
        row: Row = (0, "", 0, "", b"")
        decode, states, project = self._decode, self._states, self._projector.apply
        held = self._held
        try:
            for row in stored:
                if row[0] in self._skipped:
                    self._pass_over(source, row)
                    continue
                stream = row[1]
                if held and row[0] >= held.get(stream, row[0] + 1):
                    continue
                recorded = decode(*row)
                before = states[stream] if stream in states else self._before(source, stream, row)
                after = states[stream] = evolve(before, recorded)
                task = after if isinstance(after, TaskState) else None
                about = task or (self._subject(source, recorded) if recorded.task_id else None)
                paused_by = self._paused_by(source, about, row[0]) if about else ""
                project(
                    Change(
                        recorded=recorded,
                        before=before,
                        after=after,
                        task=task,
                        about=about,
                        paused_by=paused_by,
                    ),
                    rows,
                )
                self._bytes += len(row[4])
                if len(states) > self._most_states or self._bytes > _MOST_BYTES:
                    self._trim()
        except Exception as error:
            self.forget()
            raise FoldError(row[0], row[1], row[3], error) from error

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
        self._bytes = 0

    def _trim(self) -> None:
        """Forget the streams that were met first; most of them are over."""
        for stream in list(self._states)[: len(self._states) // 2 + 1]:
            del self._states[stream]
        self._bytes //= 2

    def _before(self, source: Source, stream: str, row: Row) -> State | None:
        """Return the state of a stream before an event of it."""
        return None if row[2] == 1 else self._folded(source, stream, row[0])

    def _folded(self, source: Source, stream: str, sequence: int) -> State | None:
        state: State | None = None
        for row in source.select(_BEFORE, (stream, sequence)):
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
        stream = row[1]
        known = stream in self._states
        before = self._states[stream] if known else self._before(source, stream, row)
        self._states[stream] = self._evolved(before, row)

    def _subject(self, source: Source, recorded: Recorded) -> TaskState | None:
        """Return the task that an event of another stream belongs to, as it was then."""
        stream = task_stream(recorded.task_id)
        if stream not in self._states:
            self._states[stream] = self._folded(source, stream, recorded.sequence)
        state = self._states[stream]
        return state if isinstance(state, TaskState) else None

    def _paused_by(self, source: Source, state: TaskState, sequence: int) -> str:
        """Return the nearest paused task of a lineage, empty when none is."""
        if state.task.paused:
            return state.id
        for ancestor_id in state.task.ancestors:
            stream = task_stream(ancestor_id)
            if stream not in self._states:
                self._states[stream] = self._folded(source, stream, sequence)
            ancestor = self._states[stream]
            if not isinstance(ancestor, TaskState) or ancestor.task.deleted:
                continue
            if ancestor.task.paused:
                return ancestor_id
        return ""
