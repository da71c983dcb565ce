"""Moments of the past, as people name them: a sequence, or a time."""

from typing import Final

from msgspec import Struct

from domain.instants import parse_rfc3339
from replay.errors import ReplayError
from replay.fold import Source
from replay.ledger import Ledger
from replay.statements import HEAD

_STATE: Final = "SELECT state FROM stored_events WHERE notification_id = ?"
_MOST_DIGITS: Final = 18


class MomentError(ReplayError):
    """There is no such moment; the text names the head and the accepted forms."""


class Moment(Struct, frozen=True, kw_only=True):
    """The state after `sequence`, seen at `clock` (µs since the epoch)."""

    sequence: int
    clock: int


def moment_of(ledger: Ledger, source: Source, text: str) -> Moment:
    """Return the moment that a sequence or an RFC 3339 time names; raises MomentError.

    A time means the last sequence recorded at it or before. 0 is the empty ledger.
    """
    head: int = source.select(HEAD)[0][0] or 0
    text = text.strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        if len(digits) > _MOST_DIGITS or int(digits) > head:
            raise _refusal(text, "lies beyond the head", head)
        sequence = int(digits)
        return Moment(sequence=sequence, clock=_recorded_at(ledger, source, sequence))
    try:
        clock = parse_rfc3339(text)
    except ValueError as error:
        raise _refusal(text, "is neither", head) from error
    return Moment(sequence=_last_at(ledger, source, clock, head), clock=clock)


def _refusal(text: str, complaint: str, head: int) -> MomentError:
    message = (
        f'"{text[:80]}" {complaint}: expected a sequence from 0 to {head} (the head)'
        " or an RFC 3339 time such as 2030-01-31T12:00:00Z"
    )
    return MomentError(message)


def _recorded_at(ledger: Ledger, source: Source, sequence: int) -> int:
    rows = source.select(_STATE, (sequence,))
    return ledger.mapper.recorded_at(rows[0][0]) if rows else 0


def _last_at(ledger: Ledger, source: Source, clock: int, head: int) -> int:
    """Return the last sequence recorded at `clock` or before; times never decrease."""
    low, high = 0, head
    while low < high:
        middle = (low + high + 1) // 2
        if _recorded_at(ledger, source, middle) <= clock:
            low = middle
        else:
            high = middle - 1
    return low
