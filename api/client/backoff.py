"""How long to wait before the next try."""

import random
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

FIRST_DELAY = 0.1
LONGEST_DELAY = 2.0
GROWTH = 2.0


def delays(first: float = FIRST_DELAY, longest: float = LONGEST_DELAY) -> Iterator[float]:
    """Yield ever longer delays in seconds, up to `longest`.

    Each is drawn from its upper half, so that many clients do not come back at the same moment.
    """
    ceiling = first
    while True:
        yield random.uniform(ceiling / 2, ceiling)
        ceiling = min(ceiling * GROWTH, longest)


def retry_after(asked: str | None, answered_at: str | None) -> float:
    """Return the seconds that a Retry-After header asks to wait, 0 when it asks for nothing.

    It may name a date; then the wait counts from the Date header of the same answer, so that the
    two clocks need not agree.
    """
    value = (asked or "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(answered_at or "")
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, wait.total_seconds())
