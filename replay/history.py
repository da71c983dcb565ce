"""What events changed: each with the fields it touched, and two moments beside each other."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import Struct

from domain.instants import Instant, rfc3339
from domain.recorded import Recorded
from domain.world import Change, State, evolve
from replay.fold import Fold, FoldError, Source
from replay.ledger import Ledger
from replay.rows import RowBuffer, Table
from replay.store import Row

PAGE: Final = 500
_ALL: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? AND notification_id <= ?"
    " ORDER BY notification_id LIMIT ?"
)
_ONE: Final = (
    "SELECT * FROM stored_events WHERE originator_id = ? AND notification_id > ?"
    " AND notification_id <= ? ORDER BY originator_version LIMIT ?"
)
_STREAMS: Final = (
    "SELECT DISTINCT originator_id FROM stored_events WHERE notification_id > ?"
    " AND notification_id <= ? AND originator_id > ? ORDER BY originator_id LIMIT ?"
)
_COUNT: Final = (
    "SELECT count(DISTINCT originator_id) FROM stored_events WHERE notification_id > ?"
    " AND notification_id <= ?"
)
_IS_KNOWN: Final = "SELECT 1 FROM stored_events WHERE originator_id = ? LIMIT 1"
_absent: Final = object()


class FieldChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of a state, with dots between the names; a side without it is left out."""

    field: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET


class Step(Struct, frozen=True, kw_only=True):
    """An event and the fields of its stream that it touched."""

    recorded: Recorded
    changes: tuple[FieldChange, ...]


class StreamDiff(Struct, frozen=True, kw_only=True):
    """How a stream differs between two moments."""

    stream: str
    changes: tuple[FieldChange, ...]


class _Collector:
    """Takes the changes of a page, as a projector does."""

    name = ""
    version = 0
    tables: tuple[Table, ...] = ()

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def apply(self, change: Change, _rows: RowBuffer) -> None:
        changes = field_changes(change.before, change.after)
        self.steps.append(Step(recorded=change.recorded, changes=changes))


def field_changes(before: State | None, after: State | None) -> tuple[FieldChange, ...]:
    """Return the fields in which two states of a stream differ, by name."""
    old, new = _fields(before), _fields(after)
    names = sorted(name for name in old.keys() | new.keys() if _differ(old, new, name))
    return tuple(
        FieldChange(
            field=name,
            before=old.get(name, msgspec.UNSET),
            after=new.get(name, msgspec.UNSET),
        )
        for name in names
    )


def _differ(old: dict[str, Any], new: dict[str, Any], name: str) -> bool:
    return bool(old.get(name, _absent) != new.get(name, _absent))


def _fields(state: State | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if state is not None:
        plain = msgspec.json.decode(msgspec.json.encode(state))
        _flatten("", _readable(state, plain), found)
    return found


def _readable(value: Any, plain: Any) -> Any:
    """Return the plain form of a value with its instants as times and without empty collections.

    What callers sent as JSON stays as it is.
    """
    match value:
        case Struct():
            instants = _instants(type(value))
            return {
                name: rfc3339(inner) if name in instants else _readable(getattr(value, name), inner)
                for name, inner in plain.items()
                if getattr(value, name) not in ({}, ())
            }
        case dict():
            return {name: _readable(value[name], inner) for name, inner in plain.items()}
        case tuple():
            return [_readable(*pair) for pair in zip(value, plain, strict=True)]
        case _:
            return plain


@lru_cache
def _instants(kind: type[Struct]) -> frozenset[str]:
    """Return the names of the fields that hold an instant."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for name, hint in hints.items() if hint is Instant)


def _flatten(name: str, value: Any, found: dict[str, Any]) -> None:
    if not isinstance(value, dict) or (name and not value):
        found[name] = value
        return
    for key, inner in value.items():
        _flatten(f"{name}.{key}" if name else key, inner, found)


def is_known(source: Source, stream: str) -> bool:
    """Whether the log has an event of a stream, be it one that cannot be read."""
    return bool(source.select(_IS_KNOWN, (stream,)))


def steps(
    ledger: Ledger, source: Source, *, stream: str = "", after: int = 0, upto: int
) -> Iterator[Step]:
    """Yield what each event behind `after` changed, in order; of all streams, or of one.

    Raises FoldError for an event that cannot be read, behind the steps before it.
    """
    collector = _Collector()
    fold = Fold(ledger.mapper.decode, collector)
    rows = RowBuffer(())
    while stored := _page(source, stream, after, upto):
        try:
            fold.apply(stored, source, rows)
        except FoldError:
            yield from collector.steps
            raise
        yield from collector.steps
        collector.steps.clear()
        after = stored[-1][0]


def _page(source: Source, stream: str, after: int, upto: int) -> list[Row]:
    if stream:
        return source.select(_ONE, (stream, after, upto, PAGE))
    return source.select(_ALL, (after, upto, PAGE))


def differences_between(
    ledger: Ledger,
    source: Source,
    *,
    stream: str = "",
    after: int,
    upto: int,
    told: Callable[[int, int], None] = lambda _done, _target: None,
) -> Iterator[StreamDiff]:
    """Yield the streams, by name, whose states at two sequences differ; of one, or of all.

    `told` gets how many streams were compared, of how many. Raises FoldError for an event that
    cannot be read.
    """
    total = 1 if stream else source.select(_COUNT, (after, upto))[0][0]
    for number, name in enumerate((stream,) if stream else _streams(source, after, upto), 1):
        told(number, total)
        states = _States(ledger, source, name)
        changes = field_changes(states.at(after), states.at(upto))
        if changes:
            yield StreamDiff(stream=name, changes=changes)


def _streams(source: Source, after: int, upto: int) -> Iterator[str]:
    last = ""
    while page := source.select(_STREAMS, (after, upto, last, PAGE)):
        for (last,) in page:
            yield last


class _States:
    """The states of one stream, the earlier ones first."""

    def __init__(self, ledger: Ledger, source: Source, stream: str) -> None:
        self._decode = ledger.mapper.decode
        self._source = source
        self._stream = stream
        self._position = 0
        self._state: State | None = None

    def at(self, upto: int) -> State | None:
        """Return the state after the events up to a sequence."""
        while page := self._source.select(_ONE, (self._stream, self._position, upto, PAGE)):
            for row in page:
                self._take(row)
            self._position = page[-1][0]
        return self._state

    def _take(self, row: Row) -> None:
        try:
            self._state = evolve(self._state, self._decode(*row))
        except Exception as error:
            raise FoldError(row[0], row[1], row[3], error) from error
