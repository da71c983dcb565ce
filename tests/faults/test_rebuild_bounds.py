"""A rebuild that replaces many rows, with no server: neither memory nor the log grow with them."""

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from api.settings import Settings, child_environment
from tests.replay.audited import store_of
from tests.support.server import resident_bytes

MEGABYTE: Final = 1 << 20
ROWS: Final = 400_000
ROW_BYTES: Final = 600
REPLACED: Final = ROWS * ROW_BYTES
MOST_MEMORY: Final = 180 * MEGABYTE
"""What a process needs anyway, and the caches of its connections."""
STEP_SECONDS: Final = 0.02


class Cost(NamedTuple):
    """The most memory a process had, and the most bytes the write-ahead log had meanwhile."""

    memory: int
    log: int


def test_a_rebuild_that_removes_many_old_rows_needs_little_memory_and_log(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    rebuild(store)
    plant(store)
    before = store.stat().st_size
    assert before > REPLACED

    cost = rebuild(store)

    assert removed(store)
    assert cost.memory < MOST_MEMORY
    assert cost.log < before * 2 // 3


def rebuild(store: Path) -> Cost:
    """Rebuild a read model in a process of its own, and return what it took."""
    command = [sys.executable, "-m", "api.rebuilding", "rebuild", "tasks", str(os.getpid())]
    environment = child_environment(Settings(store=f"sqlite:{store}"))
    memory = log = 0
    with (store.parent / "told").open("wb") as told:
        process = subprocess.Popen(command, env=environment, stdout=told)
        while process.poll() is None:
            # What a process had at most would begin with what the one had that started it.
            memory = max(memory, resident_bytes(process.pid))
            log = max(log, size_of(Path(f"{store}-wal")))
            time.sleep(STEP_SECONDS)
    assert b'"end":"done"' in told_last(store)
    return Cost(memory=memory, log=log)


def told_last(store: Path) -> bytes:
    return (store.parent / "told").read_bytes().splitlines()[-1]


def size_of(path: Path) -> int:
    """Return how many bytes a file has, 0 when it is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def plant(store: Path) -> None:
    """Give the tables that the last rebuild replaced many rows."""
    with closing(sqlite3.connect(store)) as connection:
        cursor = connection.execute("SELECT * FROM tasks__previous LIMIT 1")
        columns = [each[0] for each in cursor.description]
        row = cursor.fetchone()
        values = ",".join("?" * len(columns))
        connection.executemany(f"INSERT INTO tasks__previous VALUES ({values})", many(row))
        connection.commit()


def many(row: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    """Yield rows that begin with a key of their own and end with many bytes."""
    document = b"x" * ROW_BYTES
    return ((f"t{number:08}", *row[1:-1], document) for number in range(ROWS))


def removed(store: Path) -> bool:
    """Whether nothing is left of the rows."""
    with closing(sqlite3.connect(store)) as connection:
        (left,) = connection.execute("SELECT count(*) FROM tasks__previous").fetchone()
    return bool(left < ROWS)
