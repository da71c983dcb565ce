"""Instants: UTC points in time as whole microseconds since the Unix epoch.

Integers order, subtract and index without surprises; the wire form is made here, in one place.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

import msgspec

Instant = Annotated[int, msgspec.Meta(extra={"instant": True})]
"""Microseconds since 1970-01-01T00:00:00Z; 0 means "not set"."""

SECOND = 1_000_000
ZERO_TIME = "0001-01-01T00:00:00Z"
"""What a time that is always present shows when it was never set."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@lru_cache(maxsize=4096)
def _whole_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


@lru_cache(maxsize=16_384)
def rfc3339(instant: int) -> str:
    """Return the RFC 3339 form in UTC, fraction without trailing zeros; T0 when not set."""
    if not instant:
        return ZERO_TIME
    seconds, micros = divmod(instant, SECOND)
    if not micros:
        return f"{_whole_second(seconds)}Z"
    return f"{_whole_second(seconds)}.{micros:06d}".rstrip("0") + "Z"


def rfc3339_or_none(instant: int) -> str | None:
    """Return the RFC 3339 form, or None when the instant is not set."""
    return rfc3339(instant) if instant else None


def parse_rfc3339(text: str) -> int:
    """Return the instant an RFC 3339 text names (RFC 3339 §5.6); finer than 1 µs is cut off.

    Raises ValueError when the text is not a date-time with an offset.
    """
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        message = f"not an RFC 3339 time: {text!r}"
        raise ValueError(message)
    day, clock, fraction, offset = found.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if offset in 'Zz' else offset}")
    micros = int((fraction or "").ljust(6, "0")[:6])
    return (moment - _EPOCH) // timedelta(microseconds=1) + micros
