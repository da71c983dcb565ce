"""The tables of a read model and their copies: one being rebuilt, one that was replaced.

Indexes cannot be renamed, so those of a copy carry its generation in their names.
"""

from collections.abc import Iterable
from typing import Final

from replay.rows import Table
from replay.store import Connection, Row

NEXT: Final = "__next"
PREVIOUS: Final = "__previous"
_PASSING: Final = "__passing"
_SLICE: Final = 500


def statements(table: Table, suffix: str, generation: int) -> list[str]:
    """Return the statements that make a copy of a table."""
    name, copy = table.name, f"{table.name}{suffix}"
    return [
        ddl.replace(f"TABLE IF NOT EXISTS {name} (", f"TABLE IF NOT EXISTS {copy} (")
        .replace(f"INDEX IF NOT EXISTS {name}_", f"INDEX IF NOT EXISTS {name}__{generation}_")
        .replace(f" ON {name} (", f" ON {copy} (")
        for ddl in table.ddl
    ]


def create(connection: Connection, tables: Iterable[Table], suffix: str, generation: int) -> None:
    """Make copies of tables where they are missing."""
    for table in tables:
        for statement in statements(table, suffix, generation):
            connection.execute(statement)


def exists(connection: Connection, name: str) -> bool:
    """Return whether there is a table of this name."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", (name,))
    return found.fetchone() is not None


def complete(connection: Connection, tables: Iterable[Table], suffix: str = "") -> bool:
    """Return whether all of the tables are there."""
    return all(exists(connection, f"{table.name}{suffix}") for table in tables)


def drop(connection: Connection, tables: Iterable[Table], suffix: str) -> None:
    """Remove copies of tables; missing ones are no error."""
    for table in tables:
        connection.execute(f"DROP TABLE IF EXISTS {table.name}{suffix}")


def empty_some(connection: Connection, table: Table, suffix: str) -> bool:
    """Remove some rows of a copy; return whether there may be more."""
    name = f"{table.name}{suffix}"
    if not exists(connection, name):
        return False
    keys = ",".join(table.columns[: table.key_columns])
    done = connection.execute(
        f"DELETE FROM {name} WHERE ({keys}) IN (SELECT {keys} FROM {name} LIMIT {_SLICE})"
    )
    return done.rowcount > 0


def last_key(connection: Connection, table: Table, suffix: str) -> Row:
    """Return the largest key in a copy, empty when it has no rows."""
    keys = table.columns[: table.key_columns]
    found: Row | None = connection.execute(
        f"SELECT {','.join(keys)} FROM {table.name}{suffix}"
        f" ORDER BY {','.join(f'{key} DESC' for key in keys)} LIMIT 1"
    ).fetchone()
    return found or ()


def rename(connection: Connection, tables: Iterable[Table], before: str, after: str) -> None:
    """Give tables another suffix."""
    for table in tables:
        connection.execute(f"ALTER TABLE {table.name}{before} RENAME TO {table.name}{after}")


def swap(connection: Connection, tables: tuple[Table, ...]) -> None:
    """Let the live tables and the previous ones change places."""
    rename(connection, tables, "", _PASSING)
    rename(connection, tables, PREVIOUS, "")
    rename(connection, tables, _PASSING, PREVIOUS)
