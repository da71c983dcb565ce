"""Ids of other APIs, which are UUIDs there: made from ours, the same each time."""

from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("5b7d6f0e-4a54-5d0c-9f0a-7a5c4c1d7e11")
_LENGTH: Final = 36


def uuid_of(name: str) -> str:
    """Return the UUID that stands for a name (RFC 9562, version 5), in lower case."""
    return str(uuid5(_NAMESPACE, name))


def as_uuid(text: str) -> str | None:
    """Return a UUID in its usual form, 36 characters in lower case; None for any other text."""
    try:
        return str(UUID(text)) if len(text) == _LENGTH else None
    except ValueError:
        return None
