"""What a fold changed, as a file: written by the process that folds, taken in by another one."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from replay.rows import RowBuffer, Table
from replay.store import Row


class NotedRows(RowBuffer):
    """Rows that also know which of them were touched."""

    def __init__(self, tables: Iterable[Table]) -> None:
        """Serve these tables."""
        self._tables = tuple(tables)
        super().__init__(self._tables)
        self._touched: dict[str, set[Row]] = defaultdict(set)

    def put(self, table: Table, row: Row) -> None:
        """Insert or replace a whole row."""
        self._touched[table.name].add(row[: table.key_columns])
        super().put(table, row)

    def put_later(self, table: Table, key: Row, make: Callable[..., Row], *given: Any) -> None:
        """Put the row `make(*given)` once it is needed."""
        self._touched[table.name].add(key)
        super().put_later(table, key, make, *given)

    def alter(self, table: Table, key: Row, change: Callable[..., Row | None], *given: Any) -> None:
        """Put `change(row, *given)` in place of a row, None for no row."""
        self._touched[table.name].add(key)
        super().alter(table, key, change, *given)

    def delete(self, table: Table, key: Row) -> None:
        """Remove a row; a missing one is no error."""
        self._touched[table.name].add(key)
        super().delete(table, key)

    def write(self, path: Path) -> None:
        """Write the keys of all touched rows, and the rows that are left of them, into a file."""
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode=OFF")
            file.execute("PRAGMA synchronous=OFF")
            file.execute("BEGIN")
            for table in self._tables:
                keys = self._touched[table.name]
                rows = [row for row in (self.get(table, key) for key in keys) if row is not None]
                _write(file, f"{table.name}_keys", table.columns[: table.key_columns], keys)
                _write(file, table.name, table.columns, rows)
            file.commit()


def _write(
    file: sqlite3.Connection, name: str, columns: tuple[str, ...], rows: Iterable[Row]
) -> None:
    file.execute(f"CREATE TABLE {name} ({','.join(columns)})")
    file.executemany(f"INSERT INTO {name} VALUES ({','.join('?' * len(columns))})", rows)


def take_in(connection: sqlite3.Connection, path: Path, tables: Iterable[Table]) -> None:
    """Bring the rows behind a connection to where a fold came, in a transaction that stays open.

    SQLite does all of it, so a thread that calls this keeps no other from running.
    """
    connection.execute("ATTACH ? AS delta", (str(path),))
    connection.execute("BEGIN")
    for table in tables:
        names = ",".join(table.columns)
        keys = ",".join(table.columns[: table.key_columns])
        touched = f"SELECT {keys} FROM delta.{table.name}_keys"
        connection.execute(f"DELETE FROM main.{table.name} WHERE ({keys}) IN ({touched})")
        connection.execute(
            f"INSERT INTO main.{table.name} ({names}) SELECT {names} FROM delta.{table.name}"
        )
