"""Whether the server can do its work."""

import sqlite3
from typing import TYPE_CHECKING

from replay.errors import StoreUnavailableError

if TYPE_CHECKING:
    from api.services import Services


def obstacles(services: "Services") -> tuple[str, ...]:
    """Return why the server is not ready, one sentence each; nothing when it is."""
    found = []
    if services.stopping.is_set():
        found.append("the server is shutting down")
    if not _readable(services):
        found.append("the store cannot be read")
    if not services.committer.can_write():
        found.append("the store cannot be written")
    return tuple(found)


def _readable(services: "Services") -> bool:
    try:
        services.ledger.reader.select("SELECT 1")
    except (StoreUnavailableError, sqlite3.Error):
        return False
    return True
