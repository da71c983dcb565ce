"""What a read model's rows come to: a digest that no order changes, and differences by kind."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from replay.rows import Table
from replay.store import Connection, Row

Kind: TypeAlias = Literal["missing", "extra", "changed"]

_DIGITS: Final = 32
_EXAMPLES: Final = 5
_FETCH: Final = 2_000
_encode: Final = msgspec.msgpack.Encoder().encode


def digest(connection: Connection, tables: Iterable[Table]) -> str:
    """Return a text that two sets of rows share when they are equal, in whatever order."""
    # Most processors have instructions for this one.
    found = sha256()
    for table in tables:
        # Sorted and in pieces of one size, so that the order of writing does not matter.
        rows, count = _in_order(connection, table), 0
        while page := list(islice(rows, _FETCH)):
            count += len(page)
            found.update(_encode(page))
        found.update(_encode((table.name, count)))
    return found.hexdigest()[:_DIGITS]


class Example(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row that differs: its key, and column by column what is stored and what is right."""

    kind: Kind
    key: tuple[Any, ...]
    stored: dict[str, str] = {}
    rebuilt: dict[str, str] = {}


class Difference(Struct, frozen=True, kw_only=True):
    """How a stored table differs from its rebuild."""

    table: str
    missing: int
    extra: int
    changed: int
    examples: tuple[Example, ...]


def differences(
    stored: Connection, rebuilt: Connection, tables: Iterable[Table]
) -> list[Difference]:
    """Return the tables whose rows differ; a missing row is one that only the rebuild has."""
    found = (_difference(stored, rebuilt, table) for table in tables)
    return [each for each in found if each.missing or each.extra or each.changed]


def _difference(stored: Connection, rebuilt: Connection, table: Table) -> Difference:
    counts: dict[Kind, int] = {"missing": 0, "extra": 0, "changed": 0}
    examples: list[Example] = []
    for example in _merge(table, _in_order(stored, table), _in_order(rebuilt, table)):
        if counts[example.kind] < _EXAMPLES:
            examples.append(example)
        counts[example.kind] += 1
    return Difference(table=table.name, examples=tuple(examples), **counts)


def _in_order(connection: Connection, table: Table) -> Iterator[Row]:
    keys = ",".join(table.columns[: table.key_columns])
    columns = ",".join(table.columns)
    return iter(connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {keys}"))


def _merge(table: Table, stored: Iterator[Row], rebuilt: Iterator[Row]) -> Iterator[Example]:
    keys = table.key_columns
    old, new = next(stored, None), next(rebuilt, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[:keys] < new[:keys]):
            assert old is not None
            yield Example(kind="extra", key=old[:keys], stored=_shown(table, old))
            old = next(stored, None)
        elif old is None or new[:keys] < old[:keys]:
            yield Example(kind="missing", key=new[:keys], rebuilt=_shown(table, new))
            new = next(rebuilt, None)
        else:
            if old != new:
                yield _changed(table, old, new)
            old, new = next(stored, None), next(rebuilt, None)


def _changed(table: Table, old: Row, new: Row) -> Example:
    before, after = _shown(table, old), _shown(table, new)
    changed = [name for name in before if before[name] != after[name]]
    return Example(
        kind="changed",
        key=old[: table.key_columns],
        stored={name: before[name] for name in changed},
        rebuilt={name: after[name] for name in changed},
    )


def _shown(table: Table, row: Row) -> dict[str, str]:
    values = zip(table.columns, row, strict=True)
    return {name: _text(value) for name, value in list(values)[table.key_columns :]}


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
