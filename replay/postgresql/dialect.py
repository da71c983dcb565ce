"""Statements of this package as PostgreSQL understands them."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_TYPES: Final = {
    # Bytes decide the order, as they do elsewhere, whatever the language of the server.
    "TEXT": 'text COLLATE "C"',
    "INTEGER": "bigint",
    "BLOB": "bytea",
}
_TYPE: Final = re.compile(r"\b(TEXT|INTEGER|BLOB)\b")
_ARRAYS: Final = {str: "text[]", int: "bigint[]", bytes: "bytea[]"}
_VALUES: Final = re.compile(r" VALUES \(\?(?:, ?\?)*\)")
_WORDS: Final = (
    ("sqlite_master WHERE type='table' AND name=", "pg_tables WHERE tablename="),
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
def over_rows(statement: str, kinds: Sequence[type]) -> str | None:
    """Return an INSERT that takes all of its rows as one array for each column.

    `kinds` are the types of the columns. None for a statement that is not such an INSERT.
    """
    found = _VALUES.search(statement)
    if found is None:
        return None
    arrays = ", ".join(f"${number}::{_ARRAYS[kind]}" for number, kind in enumerate(kinds, 1))
    return f"{statement[: found.start()]} SELECT * FROM unnest({arrays}){statement[found.end() :]}"
