"""Times as clients read them."""

from typing import Annotated, Final

from msgspec import Meta

from domain.instants import rfc3339

DateTime = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""An RFC 3339 text in UTC."""

date_time: Final = rfc3339
"""Return the text of an instant, T0 when it is not set; the last few thousand are kept."""


def optional_time(instant: int) -> str | None:
    """Return the text of an instant, None when it is not set."""
    return date_time(instant) if instant else None
