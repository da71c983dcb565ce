"""The statements on stored events that every store runs alike."""

from collections.abc import Iterable
from typing import Any, Final

from replay.store import Connection, Row

EVENTS: Final = "stored_events"
HEAD: Final = f"SELECT max(notification_id) FROM {EVENTS}"
LAST: Final = f"SELECT * FROM {EVENTS} ORDER BY notification_id DESC LIMIT 1"
PAGE: Final = (
    f"SELECT * FROM {EVENTS} WHERE notification_id > ? AND notification_id <= ?"
    " ORDER BY notification_id LIMIT ?"
)
STREAMS: Final = (
    f"SELECT originator_id FROM {EVENTS} WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
)
OF_STREAM: Final = (
    f"SELECT * FROM {EVENTS} WHERE originator_id = ? AND notification_id >= ?"
    " ORDER BY originator_version"
)
_INSERT: Final = f"INSERT INTO {EVENTS} VALUES (?,?,?,?,?)"
_TRACK: Final = (
    "INSERT INTO tracking VALUES (?,?) ON CONFLICT (application_name)"
    " DO UPDATE SET notification_id=excluded.notification_id"
    " WHERE tracking.notification_id<excluded.notification_id"
)


def stream_query(
    stream: str,
    gt: int | None = None,
    lte: int | None = None,
    desc: bool = False,
    limit: int | None = None,
) -> tuple[str, list[Any]]:
    """Return the SELECT, with its parameters, for the stored rows of one stream."""
    statement = f"SELECT * FROM {EVENTS} WHERE originator_id=?"
    parameters: list[Any] = [stream]
    bounds = ((" AND originator_version>?", gt), (" AND originator_version<=?", lte))
    for condition, value in bounds:
        if value is not None:
            statement += condition
            parameters.append(value)
    statement += f" ORDER BY originator_version{' DESC' if desc else ''}"
    if limit is not None:
        statement += " LIMIT ?"
        parameters.append(limit)
    return statement, parameters


def insert_rows(connection: Connection, rows: Iterable[Row]) -> None:
    """Insert (position, stream, version, type, state) in a transaction of the caller."""
    connection.executemany(_INSERT, rows)


def track(connection: Connection, names: Iterable[str], position: int) -> None:
    """Move positions of read models forward in a transaction of the caller."""
    connection.executemany(_TRACK, [(name, position) for name in names])
