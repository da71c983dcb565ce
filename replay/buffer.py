"""The rows of one table that a transaction has read or changed."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias

from replay.store import Connection, Cursor, Row


class Table(Protocol):
    """A table of a read model, as its projector describes it."""

    @property
    def name(self) -> str:
        """The name in the database."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, the primary key first."""

    @property
    def key_columns(self) -> int:
        """How many columns the primary key has."""

    @property
    def ddl(self) -> tuple[str, ...]:
        """Statements that make the table and its indexes where they are missing."""

    @property
    def eager(self) -> bool:
        """Whether later commands of the same transaction select from it."""


_MOST_KEPT: Final = 20_000

Late: TypeAlias = tuple[Callable[..., Row], tuple[Any, ...]]
"""What makes a row, and from what."""

_Change: TypeAlias = tuple[Callable[..., Row | None], tuple[Any, ...]]
"""What makes a row of the one before, and of what else."""


class Buffer:
    """The rows of one table that this transaction has touched; None stands for a removed row."""

    __slots__ = (
        "asked",
        "clean",
        "delete",
        "dirty",
        "eager",
        "everything",
        "groups",
        "key_names",
        "keys",
        "late",
        "name",
        "read",
        "select",
        "upsert",
        "written",
    )

    def __init__(self, table: Table, suffix: str) -> None:
        name = f"{table.name}{suffix}"
        columns, keys = table.columns, table.columns[: table.key_columns]
        key = " AND ".join(f"{name}=?" for name in keys)
        others = ",".join(f"{name}=excluded.{name}" for name in columns[table.key_columns :])
        self.name = table.name
        self.eager = table.eager
        self.read = table.eager
        self.keys = table.key_columns
        self.key_names = keys
        self.everything = f"SELECT {','.join(columns)} FROM {name}"
        self.select = f"{self.everything} WHERE {key}"
        self.delete = f"DELETE FROM {name} WHERE {key}"
        self.upsert = (
            f"INSERT INTO {name} ({','.join(columns)})"
            f" VALUES ({','.join('?' * len(columns))})"
            f" ON CONFLICT ({','.join(keys)}) DO "
            + (f"UPDATE SET {others}" if others else "NOTHING")
        )
        self.dirty: dict[Row, Row | None] = {}
        self.late: dict[Row, Late] = {}
        self.asked: dict[Row, tuple[Cursor, list[_Change]]] = {}
        self.clean: dict[Row, Row | None] = {}
        self.groups: dict[Row, dict[Row, Row]] = {}
        self.written: list[Row] = []

    @property
    def waiting(self) -> bool:
        """Whether rows have to be written."""
        return bool(self.dirty or self.late or self.asked)

    def select_prefix(self, length: int) -> str:
        """Return the SELECT of the rows whose key begins with `length` given values."""
        given = " AND ".join(f"{name}=?" for name in self.key_names[:length])
        where = f" WHERE {given}" if given else ""
        return f"{self.everything}{where} ORDER BY {','.join(self.key_names)}"

    def flush(self, connection: Connection) -> None:
        """Write what changed: removals first, so that a unique value can move to another row."""
        self.make()
        rows = [row for row in self.dirty.values() if row is not None]
        if len(rows) < len(self.dirty):
            gone = [key for key, row in self.dirty.items() if row is None]
            connection.executemany(self.delete, gone)
        if rows:
            connection.executemany(self.upsert, rows)
            self.written += rows
        if self.read:
            self.clean.update(self.dirty)
        self.dirty.clear()

    def make(self) -> None:
        """Make the rows that were left for later."""
        if self.late:
            late, self.late = self.late, {}
            for key, (make, given) in late.items():
                self.change(key, make(*given))
        if self.asked:
            asked, self.asked = self.asked, {}
            for key, (found, changes) in asked.items():
                row: Row | None = found.fetchone()
                for change, more in changes:
                    row = change(row, *more)
                self.change(key, row)

    def change(self, key: Row, row: Row | None) -> None:
        """Note the row of a key; None stands for a removed row."""
        if self.late:
            self.late.pop(key, None)
        self.dirty[key] = row
        if self.groups and (group := self.groups.get(key[:1])) is not None:
            if row is None:
                group.pop(key, None)
            else:
                group[key] = row

    def learn_group(self, prefix: Row, stored: Iterable[Row]) -> None:
        """Take note of all rows whose key begins with the one value of `prefix`."""
        self.groups[prefix] = {row[: self.keys]: row for row in stored}

    def learn_row(self, key: Row, stored: list[Row]) -> None:
        """Take note of the row of a key, of which there may be none."""
        self.clean[key] = stored[0] if stored else None

    def forget(self) -> None:
        """Start the next transaction; rows that are read by key again and again are kept."""
        self.dirty.clear()
        self.late.clear()
        self.asked.clear()
        self.written = []
        if len(self.clean) > _MOST_KEPT:
            self.clean.clear()
        if len(self.groups) > _MOST_KEPT:
            self.groups.clear()

    def discard(self) -> None:
        """Forget everything: what is known may not be what is stored."""
        self.forget()
        self.clean.clear()
        self.groups.clear()
