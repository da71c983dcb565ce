"""A bare paged fold in PostgreSQL: pages by COPY in binary, one upsert per row per page.

Run it as `python -m tests.bench.bare_postgresql URL stream|event`; it prints how many events there
were. What is folded is what `tests.bench.bare` folds.
"""

import os
import sys
from typing import Any, Final

import msgspec
import psycopg

from replay.scratch import PAGE

_COPY: Final = (
    "COPY (SELECT notification_id, originator_id, state FROM stored_events"
    " WHERE notification_id > {} ORDER BY notification_id LIMIT {}) TO STDOUT (FORMAT BINARY)"
)
_CREATE: Final = "CREATE UNLOGGED TABLE bare (key text PRIMARY KEY, sequence bigint, doc bytea)"
_UPSERT: Final = (
    "INSERT INTO bare SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bytea[])"
    " ON CONFLICT (key) DO UPDATE SET sequence=excluded.sequence, doc=excluded.doc"
)
_NICENESS: Final = 10

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


def _page(connection: psycopg.Connection[Any], position: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor, cursor.copy(_COPY.format(position, PAGE).encode()) as copy:
        copy.set_types(["int8", "text", "bytea"])
        return list(copy.rows())


def fold(url: str, *, by_event: bool) -> int:
    """Fold the whole ledger into a table of its own; return how many events there were."""
    states: dict[str, dict[str, Any]] = {}
    position = count = 0
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit=off")
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute(_CREATE)
        while page := _page(connection, position):
            touched: dict[str, int] = {}
            if by_event:
                states.clear()
            for sequence, stream, state in page:
                key = f"{stream}@{sequence}" if by_event else stream
                states.setdefault(key, {}).update(_decode(state))
                touched[key] = sequence
            docs = [_encode(states[key]) for key in touched]
            connection.execute(_UPSERT, (list(touched), list(touched.values()), docs))
            position, count = page[-1][0], count + len(page)
        connection.execute("DROP TABLE bare")
    return count


if __name__ == "__main__":
    # As a rebuild does.
    os.nice(_NICENESS)
    sys.stdout.write(f"{fold(sys.argv[1], by_event=sys.argv[2] == 'event')}\n")
