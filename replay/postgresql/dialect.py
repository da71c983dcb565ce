"""Statements of this package as PostgreSQL understands them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from replay.store import Row

_TYPES: Final = {
    # Bytes decide the order, as they do elsewhere, whatever the language of the server.
    "TEXT": 'text COLLATE "C"',
    "INTEGER": "bigint",
    "BLOB": "bytea",
}
_TYPE: Final = re.compile(r"\b(TEXT|INTEGER|BLOB)\b")
_ARRAYS: Final = {str: "text[]", int: "bigint[]", bytes: "bytea[]"}
_VALUES: Final = re.compile(r" VALUES \(\?(?:, ?\?)*\)")
_INSERT: Final = re.compile(r"INSERT INTO (\w+ \([\w,]+\)) VALUES \(\?(?:,\?)*\)")
_DELETE: Final = re.compile(r"DELETE FROM (\w+) WHERE (\w+=\?(?: AND \w+=\?)*)")
_COPIED: Final = {str: "text", int: "int8", bytes: "bytea"}
_COLUMN: Final = re.compile(r"(\w+)=\?")
_WORDS: Final = (
    (
        "sqlite_master WHERE type='table' AND name=",
        "pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename=",
    ),
    ("instr(", "strpos("),
    # There it forbids the planner another order, here it takes no condition.
    ("CROSS JOIN", "JOIN"),
    (" WITHOUT ROWID", ""),
)
_LIMIT: Final = "LIMIT ?"


@lru_cache(maxsize=4096)
def translated(statement: str) -> str:
    """Return a statement with numbered parameters and PostgreSQL's names of types."""
    if statement.startswith("CREATE TABLE"):
        statement = _TYPE.sub(lambda found: _TYPES[found[1]], statement)
    for ours, theirs in _WORDS:
        statement = statement.replace(ours, theirs)
    # No limit is told by -1 (SQLite) or by NULL (PostgreSQL).
    statement = statement.replace(_LIMIT, "LIMIT NULLIF(?::bigint, -1)")
    first, *others = statement.split("?")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, 1))


@lru_cache(maxsize=4096)
def over_rows(statement: str, kinds: Sequence[type]) -> str:
    """Return an INSERT or DELETE that takes all of its rows as one array for each column.

    `kinds` are the types of the columns. Raises ValueError for any other statement.
    """
    numbered = enumerate(kinds, 1)
    arrays = ", ".join(f"${number}::{_ARRAYS[kind]}" for number, kind in numbered)
    if found := _VALUES.search(statement):
        start, end = found.span()
        return f"{statement[:start]} SELECT * FROM unnest({arrays}){statement[end:]}"
    if found := _DELETE.fullmatch(statement):
        columns = ", ".join(_COLUMN.findall(found[2]))
        return f"DELETE FROM {found[1]} WHERE ({columns}) IN (SELECT * FROM unnest({arrays}))"
    raise ValueError(statement)


def by_copy(statement: str, row: Row) -> tuple[str, list[str]]:
    """Return the COPY that does what a plain INSERT does, and the types of the columns of a row.

    Raises ValueError for any other statement.
    """
    found = _INSERT.fullmatch(statement)
    if found is None:
        raise ValueError(statement)
    return f"COPY {found[1]} FROM STDIN (FORMAT BINARY)", [_COPIED[type(value)] for value in row]
