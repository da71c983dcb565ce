"""A bare paged fold: decode, keep the last event of each stream, one upsert per row per page.

Run it as `python -m tests.bench.bare STORE_FILE`; it prints how many events there were.
"""

import os
import sqlite3
import sys
from typing import Final

from replay.fold import PAGE
from replay.ledger import Ledger
from replay.store import Row

_SELECT: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
)
_CREATE: Final = (
    "CREATE TABLE bare (stream TEXT PRIMARY KEY, sequence INTEGER, type TEXT, state BLOB)"
)
_UPSERT: Final = (
    "INSERT INTO bare VALUES (?,?,?,?) ON CONFLICT (stream) DO UPDATE"
    " SET sequence=excluded.sequence, type=excluded.type, state=excluded.state"
)
_NICENESS: Final = 10


def fold(path: str) -> int:
    """Fold the whole ledger into a table of its own file; return how many events there were."""
    ledger = Ledger({"SQLITE_DBNAME": path})
    decode = ledger.mapper.decode
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("DROP TABLE IF EXISTS bare")
    connection.execute(_CREATE)
    position = count = 0
    while page := connection.execute(_SELECT, (position, PAGE)).fetchall():
        rows: dict[str, Row] = {}
        for stored in page:
            event = decode(*stored)
            rows[event.originator_id] = (stored[1], event.sequence, event.type, stored[4])
        connection.execute("BEGIN")
        connection.executemany(_UPSERT, rows.values())
        connection.execute("COMMIT")
        position, count = page[-1][0], count + len(page)
    connection.execute("DROP TABLE bare")
    connection.close()
    ledger.close()
    return count


if __name__ == "__main__":
    # As a rebuild does.
    os.nice(_NICENESS)
    print(fold(sys.argv[1]))
