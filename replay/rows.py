"""Rows of the read models on their way into the store: read through, written back in one go."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from replay.store import Connection, Row


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

_Late: TypeAlias = tuple[Callable[..., Row], tuple[Any, ...]]
"""What makes a row, and from what."""


class _Buffer:
    """The rows of one table that this transaction has touched; None stands for a removed row."""

    __slots__ = (
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
        self.late: dict[Row, _Late] = {}
        self.clean: dict[Row, Row | None] = {}
        self.groups: dict[Row, dict[Row, Row]] = {}
        self.written: list[Row] = []

    @property
    def waiting(self) -> bool:
        """Whether rows have to be written."""
        return bool(self.dirty or self.late)

    def select_prefix(self, length: int) -> str:
        """Return the SELECT of the rows whose key begins with `length` given values."""
        given = " AND ".join(f"{name}=?" for name in self.key_names[:length])
        where = f" WHERE {given}" if given else ""
        return f"{self.everything}{where} ORDER BY {','.join(self.key_names)}"

    def flush(self, connection: Connection) -> None:
        """Write what changed: removals first, so that a unique value can move to another row."""
        if self.late:
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
        late, self.late = self.late, {}
        for key, (make, given) in late.items():
            self.change(key, make(*given))

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

    def group(self, prefix: Row, connection: Connection) -> dict[Row, Row]:
        """Return the rows whose key begins with the one value of `prefix`, by key."""
        group = self.groups.get(prefix)
        if group is None:
            if self.waiting:
                self.flush(connection)
            found = connection.execute(self.select_prefix(1), prefix)
            group = self.groups[prefix] = {row[: self.keys]: row for row in found}
        return group

    def forget(self) -> None:
        """Start the next transaction; rows that are read by key again and again are kept."""
        self.dirty.clear()
        self.late.clear()
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


Saved: TypeAlias = list[tuple[_Buffer, dict[Row, Row | None], dict[Row, _Late], list[Row]]]


class RowBuffer:
    """The rows that projectors get, put and delete within one transaction.

    It also answers the SELECTs of deciding, from the state that the transaction has reached.
    """

    def __init__(self, tables: Iterable[Table], suffix: str = "") -> None:
        """Serve these tables, or their copies whose names have a suffix."""
        self._buffers = {table.name: _Buffer(table, suffix) for table in tables}
        self._eager = [buffer for buffer in self._buffers.values() if buffer.eager]
        self._sources: dict[str, list[_Buffer]] = {}
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection of the transaction at hand."""
        assert self._connection is not None, "rows are used outside a transaction"
        return self._connection

    def start(self, connection: Connection) -> None:
        """Serve the transaction that has begun on `connection`."""
        self._connection = connection

    def finish(self) -> None:
        """Let the rows of a committed transaction go."""
        for buffer in self._buffers.values():
            buffer.forget()

    def discard(self) -> None:
        """Forget every row: the transaction was undone, or another process has written."""
        for buffer in self._buffers.values():
            buffer.discard()

    def saved(self, tables: Iterable[Table]) -> Saved:
        """Return what has been put into some tables so far, to be restored."""
        self.connection.execute("SAVEPOINT rows")
        buffers = (self._buffers[table.name] for table in tables)
        return [(each, dict(each.dirty), dict(each.late), list(each.written)) for each in buffers]

    def keep(self) -> None:
        """Keep what was put into the tables since they were saved."""
        self.connection.execute("RELEASE rows")

    def restore(self, saved: Saved) -> None:
        """Take back what was put into the tables since they were saved."""
        self.connection.execute("ROLLBACK TO rows")
        self.keep()
        for buffer, dirty, late, written in saved:
            buffer.discard()
            buffer.dirty, buffer.late, buffer.written = dirty, late, written

    def get(self, table: Table, key: Row) -> Row | None:
        """Return a whole row, None when there is none."""
        buffer = self._buffers[table.name]
        if buffer.late:
            buffer.make()
        if key in buffer.dirty:
            return buffer.dirty[key]
        if key in buffer.clean:
            return buffer.clean[key]
        buffer.read = True
        row: Row | None = self.connection.execute(buffer.select, key).fetchone()
        buffer.clean[key] = row
        return row

    def put(self, table: Table, row: Row) -> None:
        """Insert or replace a whole row."""
        buffer = self._buffers[table.name]
        buffer.change(row[: buffer.keys], row)

    def put_later(self, table: Table, key: Row, make: Callable[..., Row], *given: Any) -> None:
        """Put the row `make(*given)` once it is needed: of many for one key only the last."""
        self._buffers[table.name].late[key] = (make, given)

    def delete(self, table: Table, key: Row) -> None:
        """Remove a row; a missing one is no error."""
        self._buffers[table.name].change(key, None)

    def select_keys(self, table: Table, prefix: Row) -> list[Row]:
        """Return the whole rows whose key begins with `prefix`, in key order."""
        buffer = self._buffers[table.name]
        if len(prefix) == 1:
            if buffer.late:
                buffer.make()
            group = buffer.group(prefix, self.connection)
            return [group[key] for key in sorted(group)]
        buffer.flush(self.connection)
        return self.connection.execute(buffer.select_prefix(len(prefix)), prefix).fetchall()

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT over eager tables, everything put so far included."""
        for buffer in self._named_in(statement):
            if buffer.waiting:
                buffer.flush(self.connection)
        return self.connection.execute(statement, parameters).fetchall()

    def _named_in(self, statement: str) -> list[_Buffer]:
        found = self._sources.get(statement)
        if found is None:
            found = [buffer for buffer in self._eager if buffer.name in statement]
            self._sources[statement] = found
        return found

    def flush(self, *, eager_only: bool = False) -> None:
        """Write the rows that changed, one upsert for each."""
        for buffer in self._eager if eager_only else self._buffers.values():
            if buffer.waiting:
                buffer.flush(self.connection)

    def written(self) -> dict[str, list[Row]]:
        """Return the rows this transaction has written, by table, in the order of writing."""
        return {name: buffer.written for name, buffer in self._buffers.items() if buffer.written}
