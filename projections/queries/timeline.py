"""Pages of frames: of one task, of a task with all below it, and of the whole ledger."""

from heapq import merge
from itertools import islice
from typing import Any, Final

from msgspec import Struct

from projections.rows import Reader, Row

_WINDOW: Final = 10_000


class LedgerFilters(Struct, frozen=True, kw_only=True):
    """Which events to show; an empty value admits all. `actor` is a ref or `kind:ref`."""

    types: tuple[str, ...] = ()
    workspace_id: str = ""
    actor: str = ""


def timeline_page(
    reader: Reader, task_id: str, *, after: int = 0, limit: int = 0
) -> list[tuple[int, bytes]]:
    """Return (sequence, frame) of a task's own events behind `after`, oldest first.

    `limit` 0 means all.
    """
    found = reader.select(*_of_task(_OWN, task_id, after, limit, None))
    return [(row[0], row[2]) for row in found]


def timeline_page_before(
    reader: Reader, task_id: str, *, before: int, after: int = 0, limit: int
) -> list[tuple[int, bytes]]:
    """Return (sequence, frame) of the last of a task's own events before a sequence, oldest first.

    At most `limit` of those that are behind `after`.
    """
    found = reader.select(
        "SELECT sequence, frame FROM timeline WHERE task_id = ? AND sequence < ? AND sequence > ?"
        " ORDER BY sequence DESC LIMIT ?",
        (task_id, before, after, limit),
    )
    return [(row[0], row[1]) for row in reversed(list(found))]


def stream_page(
    reader: Reader, task_id: str, *, after: int, limit: int, upto: int
) -> list[tuple[int, str, bytes]]:
    """Return (sequence, type, frame) of a task and all below it, oldest first.

    At most `limit` events with a sequence behind `after` and not behind `upto`.
    """
    own = reader.select(*_of_task(_OWN, task_id, after, limit, upto))
    below = reader.select(*_of_task(_BELOW, task_id, after, limit, upto))
    merged = merge(own, below, key=lambda row: int(row[0]))
    return [(row[0], row[1], row[2]) for row in islice(merged, limit)]


def ledger_page(
    reader: Reader, filters: LedgerFilters, *, after: int, limit: int, upto: int
) -> tuple[list[tuple[int, str, bytes]], int]:
    """Return (sequence, type, frame) of matching events, and the sequence up to which it looked.

    At most `limit` events are returned and a few thousand looked at; the next page goes on behind
    the second value, which moves even when nothing matched, until it has reached `upto`.
    """
    end = min(after + _WINDOW, upto)
    if end <= after:
        return [], after
    conditions, values = _matching(filters)
    found = reader.select(
        "SELECT sequence, type, frame FROM timeline WHERE sequence > ? AND sequence <= ?"
        f"{''.join(f' AND {condition}' for condition in conditions)} ORDER BY sequence LIMIT ?",
        (after, end, *values, limit),
    )
    items = [(row[0], row[1], row[2]) for row in found]
    return items, items[-1][0] if len(items) == limit else end


def ledger_page_before(
    reader: Reader, filters: LedgerFilters, *, before: int, after: int = 0, limit: int
) -> tuple[list[bytes], int]:
    """Return the frames of the last matching events before a sequence, oldest first.

    At most `limit` frames, of a few thousand events looked at that are behind `after`. The second
    value is the sequence down to which it looked: the page before this one ends there, and there is
    none when it is the one behind `after`.
    """
    begin = max(before - _WINDOW, after + 1)
    conditions, values = _matching(filters)
    found = reader.select(
        "SELECT sequence, frame FROM timeline WHERE sequence < ? AND sequence >= ?"
        f"{''.join(f' AND {condition}' for condition in conditions)}"
        " ORDER BY sequence DESC LIMIT ?",
        (before, begin, *values, limit),
    )
    items = [(row[0], row[1]) for row in found]
    frames = [frame for _, frame in reversed(items)]
    return frames, items[-1][0] if len(items) == limit else begin


def _matching(filters: LedgerFilters) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if filters.types:
        conditions.append(f"type IN ({', '.join('?' * len(filters.types))})")
        values.extend(filters.types)
    if filters.workspace_id:
        conditions.append("workspace_id = ?")
        values.append(filters.workspace_id)
    if filters.actor:
        # A ref may itself hold a colon.
        kind, _, ref = filters.actor.partition(":")
        conditions.append("(actor_ref = ? OR (actor_kind = ? AND actor_ref = ?))")
        values.extend((filters.actor, kind, ref))
    return conditions, values


_OWN: Final = (
    "SELECT t.sequence, t.type, t.frame FROM timeline t WHERE t.task_id = ? AND t.sequence > ?"
)
_BELOW: Final = (
    "SELECT t.sequence, t.type, t.frame FROM timeline_below b JOIN timeline t"
    " ON t.sequence = b.sequence WHERE b.ancestor_id = ? AND b.sequence > ?"
)


def _of_task(
    events: str, task_id: str, after: int, limit: int, upto: int | None
) -> tuple[str, Row]:
    """Return the statement, with its values, for a part of the events, oldest first."""
    source = "b" if events is _BELOW else "t"
    statement = events
    values: Row = (task_id, after)
    if upto is not None:
        statement += f" AND {source}.sequence <= ?"
        values = (*values, upto)
    statement += f" ORDER BY {source}.sequence"
    if limit:
        statement += " LIMIT ?"
        values = (*values, limit)
    return statement, values
