"""What a projector writes to and a query reads from: plain rows in named tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from domain.world import Change

Row: TypeAlias = tuple[Any, ...]


class Table(Struct, frozen=True, kw_only=True):
    """A table of a read model; its first `key_columns` columns are the primary key.

    An `eager` table is read while later commands of the same batch are decided, so its rows are
    written after each command; the others are written once per batch, one upsert per touched row.
    """

    name: str
    columns: tuple[str, ...]
    key_columns: int
    ddl: tuple[str, ...]
    eager: bool = False


class Rows(Protocol):
    """Rows by primary key; what was put in the same transaction is seen at once."""

    def get(self, table: Table, key: Row) -> Row | None:
        """Return a whole row, None when there is none."""

    def put(self, table: Table, row: Row) -> None:
        """Insert or replace a whole row."""

    def put_later(self, table: Table, key: Row, make: Callable[..., Row], *given: Any) -> None:
        """Put the row `make(*given)` once it is needed: of many for one key only the last."""

    def alter(self, table: Table, key: Row, change: Callable[..., Row | None], *given: Any) -> None:
        """Put `change(row, *given)` in place of a row, None for no row, once the row is known."""

    def delete(self, table: Table, key: Row) -> None:
        """Remove a row; a missing one is no error."""

    def select_keys(self, table: Table, prefix: Row) -> list[Row]:
        """Return the whole rows whose key begins with `prefix`, in key order."""


class Reader(Protocol):
    """A consistent view of all committed rows."""

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT with `?` placeholders."""


class Store(Rows, Reader, Protocol):
    """Rows by key and by SELECT, both with everything put so far."""

    def select_stored(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a SELECT as they are stored, without those that are `unstored`."""

    def unstored(self, table: Table) -> Mapping[Row, Row | None]:
        """Return by key the rows of a table that were put, None for deleted, and not stored yet."""


class Projector(Protocol):
    """Turns changes into rows of its own tables. `name` and `version` are stored data."""

    @property
    def name(self) -> str:
        """The name of the read model."""

    @property
    def version(self) -> int:
        """Raised whenever the same events would give other rows."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the read model."""

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
