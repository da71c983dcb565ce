"""Rows of the read models on their way into the store: read through, written back in one go."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from replay.buffer import Buffer, Late, Table
from replay.store import Connection, Cursor, Row

__all__ = ["MissingError", "RowBuffer", "Table"]

Learn: TypeAlias = Callable[[list[Row]], None]
Saved: TypeAlias = list[tuple[Buffer, dict[Row, Row | None], dict[Row, Late], list[Row]]]


class MissingError(Exception):
    """Looking ahead ends here: what comes next depends on something that has to be read first."""


class RowBuffer:
    """The rows that projectors get, put and delete within one transaction.

    It also answers the SELECTs of deciding, from the state that the transaction has reached. Where
    the store is far away, what many commands will ask is noted first and then read in one go.
    """

    def __init__(self, tables: Iterable[Table], suffix: str = "") -> None:
        """Serve these tables, or their copies whose names have a suffix."""
        self._buffers = {table.name: Buffer(table, suffix) for table in tables}
        self._eager = [buffer for buffer in self._buffers.values() if buffer.eager]
        self._sources: dict[str, list[Buffer]] = {}
        self._answers: dict[tuple[str, Row], list[Row]] = {}
        self._noted: dict[tuple[str, Row], Learn] = {}
        self._coming: list[tuple[Learn, Cursor]] = []
        self._noting = self._far = False
        self._connection: Connection | None = None
        self.reads = 0

    @property
    def connection(self) -> Connection:
        """The connection of the transaction at hand."""
        assert self._connection is not None, "rows are used outside a transaction"
        return self._connection

    def start(self, connection: Connection, *, far: bool = False) -> None:
        """Serve the transaction that has begun on `connection`.

        When the store is `far` away, its answers are waited for as late as possible.
        """
        self._connection = connection
        self._far = far
        self._answers.clear()

    def finish(self) -> None:
        """Let the rows of a committed transaction go."""
        for buffer in self._buffers.values():
            buffer.forget()

    def discard(self) -> None:
        """Forget every row: the transaction was undone, or another process has written."""
        self._answers.clear()
        for buffer in self._buffers.values():
            buffer.discard()

    @contextmanager
    def looking_ahead(self) -> Iterator[None]:
        """Note what is asked for and not known, and raise MissingError, in place of reading it."""
        self._noting = True
        try:
            yield
        finally:
            self._noting = False

    @property
    def looks_ahead(self) -> bool:
        """Whether what is not known is noted in place of being read."""
        return self._noting

    def note(self, statement: str, parameters: Sequence[Any], learn: Learn) -> None:
        """Note a SELECT that `learn` is to get the rows of; raises MissingError."""
        self._noted[statement, tuple(parameters)] = learn
        raise MissingError

    def ask(self, connection: Connection) -> bool:
        """Ask for what has been noted, all of it in one go; return whether that is anything."""
        noted = self._noted.items()
        self._coming = [(learn, connection.execute(*asked)) for asked, learn in noted]
        return bool(noted)

    def learn(self) -> None:
        """Take note of the answers."""
        coming, self._coming = self._coming, []
        self._noted = {}
        for learn, answer in coming:
            learn(answer.fetchall())

    def saved(self, tables: Iterable[Table]) -> Saved:
        """Return what has been put into some tables so far, to be restored."""
        self.connection.execute("SAVEPOINT rows")
        buffers = [self._buffers[table.name] for table in tables]
        for buffer in buffers:
            buffer.make()
        return [(each, dict(each.dirty), dict(each.late), list(each.written)) for each in buffers]

    def keep(self) -> None:
        """Keep what was put into the tables since they were saved."""
        self.connection.execute("RELEASE rows")

    def restore(self, saved: Saved) -> None:
        """Take back what was put into the tables since they were saved."""
        self.connection.execute("ROLLBACK TO rows")
        self.keep()
        self._answers.clear()
        for buffer, dirty, late, written in saved:
            buffer.discard()
            buffer.dirty, buffer.late, buffer.written = dirty, late, written

    def get(self, table: Table, key: Row) -> Row | None:
        """Return a whole row, None when there is none."""
        buffer = self._buffers[table.name]
        if buffer.late or buffer.asked:
            buffer.make()
        if key in buffer.dirty:
            return buffer.dirty[key]
        if key in buffer.clean:
            return buffer.clean[key]
        buffer.read = True
        if self._noting:
            self.note(buffer.select, key, partial(buffer.learn_row, key))
        self.reads += 1
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

    def alter(self, table: Table, key: Row, change: Callable[..., Row | None], *given: Any) -> None:
        """Put `change(row, *given)` in place of a row, None for no row, once the row is known."""
        buffer = self._buffers[table.name]
        if not self._far or key in buffer.dirty or key in buffer.clean or key in buffer.late:
            buffer.change(key, change(self.get(table, key), *given))
            return
        if key not in buffer.asked:
            buffer.read = True
            buffer.asked[key] = (self.connection.execute(buffer.select, key), [])
        buffer.asked[key][1].append((change, given))

    def delete(self, table: Table, key: Row) -> None:
        """Remove a row; a missing one is no error."""
        self._buffers[table.name].change(key, None)

    def select_keys(self, table: Table, prefix: Row) -> list[Row]:
        """Return the whole rows whose key begins with `prefix`, in key order."""
        buffer = self._buffers[table.name]
        if len(prefix) == 1:
            buffer.make()
            if prefix not in buffer.groups:
                self._read_group(buffer, prefix)
            group = buffer.groups[prefix]
            return [group[key] for key in sorted(group)]
        if self._noting:
            raise MissingError
        self._flush(buffer)
        return self.connection.execute(buffer.select_prefix(len(prefix)), prefix).fetchall()

    def _read_group(self, buffer: Buffer, prefix: Row) -> None:
        statement = buffer.select_prefix(1)
        if self._noting:
            self.note(statement, prefix, partial(buffer.learn_group, prefix))
        if buffer.waiting:
            self._flush(buffer)
        self.reads += 1
        buffer.learn_group(prefix, self.connection.execute(statement, prefix))

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT over eager tables, everything put so far included."""
        for buffer in self._named_in(statement):
            if buffer.waiting:
                self._flush(buffer)
        return self.select_stored(statement, parameters)

    def select_stored(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT over eager tables as they are stored, without `unstored`."""
        asked = (statement, tuple(parameters))
        found = self._answers.get(asked)
        if found is None:
            if self._noting:
                self.note(*asked, partial(self._answers.__setitem__, asked))
            self.reads += 1
            found = self._answers[asked] = self.connection.execute(*asked).fetchall()
        return found

    def unstored(self, table: Table) -> Mapping[Row, Row | None]:
        """Return the rows of a table that `select_stored` does not see yet; None for no row."""
        buffer = self._buffers[table.name]
        buffer.make()
        return buffer.dirty

    def _flush(self, buffer: Buffer) -> None:
        buffer.flush(self.connection)
        for asked in [each for each in self._answers if buffer.name in each[0]]:
            del self._answers[asked]

    def _named_in(self, statement: str) -> list[Buffer]:
        found = self._sources.get(statement)
        if found is None:
            found = [buffer for buffer in self._eager if buffer.name in statement]
            self._sources[statement] = found
        return found

    def flush(self, *, eager_only: bool = False) -> None:
        """Write the rows that changed, one upsert for each."""
        buffers = self._eager if eager_only else list(self._buffers.values())
        for buffer in buffers:
            buffer.make()
        for buffer in buffers:
            if buffer.waiting:
                self._flush(buffer)

    def flush_unread(self) -> None:
        """Write the rows that no later command of the transaction looks at."""
        for buffer in self._buffers.values():
            if not buffer.read and buffer.waiting:
                buffer.flush(self.connection)

    def written(self) -> dict[str, list[Row]]:
        """Return the rows this transaction has written, by table, in the order of writing."""
        return {name: buffer.written for name, buffer in self._buffers.items() if buffer.written}
