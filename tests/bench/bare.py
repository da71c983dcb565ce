"""A bare paged fold: decode, merge into a dict per row, one upsert per row per page.

Events are decoded as a rebuild decodes them. A row is a stream, or an event where the read model
beside it has a row for each. Run it as `python -m tests.bench.bare STORE_FILE stream|event`; it
prints how many events there were.
"""

import gc
import os
import sqlite3
import sys
from typing import Any, Final

import msgspec
from eventsourcing.persistence import JSONTranscoder
from msgspec.structs import asdict

from api.rebuilding import GC_THRESHOLDS, NICENESS
from replay.codec import LedgerMapper
from replay.scratch import PAGE

_SELECT: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
)
_CREATE: Final = "CREATE TABLE bare (key TEXT PRIMARY KEY, sequence INTEGER, doc BLOB)"
_UPSERT: Final = (
    "INSERT INTO bare VALUES (?,?,?) ON CONFLICT (key) DO UPDATE"
    " SET sequence=excluded.sequence, doc=excluded.doc"
)


_encode: Final = msgspec.json.Encoder().encode


def fold(path: str, *, by_event: bool) -> int:
    """Fold the whole ledger into a table of its own file; return how many events there were."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("DROP TABLE IF EXISTS bare")
    connection.execute(_CREATE)
    decode = LedgerMapper(JSONTranscoder()).decode
    states: dict[str, dict[str, Any]] = {}
    position = count = 0
    while page := connection.execute(_SELECT, (position, PAGE)).fetchall():
        touched: dict[str, int] = {}
        if by_event:
            states.clear()
        for row in page:
            recorded = decode(*row)
            key = f"{row[1]}@{row[0]}" if by_event else row[1]
            states.setdefault(key, {}).update(asdict(recorded.fact))
            touched[key] = row[0]
        rows = [(key, sequence, _encode(states[key])) for key, sequence in touched.items()]
        connection.execute("BEGIN")
        connection.executemany(_UPSERT, rows)
        connection.execute("COMMIT")
        position, count = page[-1][0], count + len(page)
    connection.execute("DROP TABLE bare")
    connection.close()
    return count


if __name__ == "__main__":
    # As a rebuild does.
    os.nice(NICENESS)
    gc.set_threshold(*GC_THRESHOLDS)
    sys.stdout.write(f"{fold(sys.argv[1], by_event=sys.argv[2] == 'event')}\n")
