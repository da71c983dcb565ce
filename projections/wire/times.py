"""Times as clients read them."""

from functools import lru_cache
from typing import Annotated

from msgspec import Meta

from domain.instants import rfc3339

DateTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""An RFC 3339 text in UTC."""


@lru_cache(maxsize=8192)
def date_time(instant: int) -> str:
    """Return the text of an instant, T0 when it is not set.

    The same few times come back in frame after frame, so the texts are kept.
    """
    return rfc3339(instant)


def optional_time(instant: int) -> str | None:
    """Return the text of an instant, None when it is not set."""
    return date_time(instant) if instant else None
