"""Whether a database can keep a ledger: told in one line before anything is done."""

from collections.abc import Mapping
from typing import Any, Final

import psycopg

from replay.errors import StoreOpenError
from replay.postgresql.sessions import dialled

OLDEST: Final = 13
"""The oldest major version of PostgreSQL that is tested against (the last one in support)."""

_TELL: Final = (
    "SELECT current_setting('server_encoding'), current_setting('transaction_read_only'),"
    " pg_is_in_recovery(), current_schema()"
)


def place_of(parameters: Mapping[str, Any]) -> str:
    """Return what an operator knows a database by, without any secret."""
    return "{host}:{port}/{dbname}".format(**parameters)


def usable_schema(parameters: Mapping[str, Any]) -> str:
    """Return the schema of the ledger's tables in a database.

    Raises StoreOpenError, saying what hinders, when it cannot keep a ledger.
    """
    place = place_of(parameters)
    try:
        with psycopg.connect(**dialled(parameters), autocommit=True) as connection:
            version = connection.info.server_version // 10_000
            row = connection.execute(_TELL).fetchone()
    except psycopg.Error as error:
        told = " ".join(str(error).split())
        raise StoreOpenError(f"cannot connect to {place}: {told}") from error
    assert row is not None
    encoding, read_only, replica, schema = row
    if version < OLDEST:
        raise StoreOpenError(f"{place} is PostgreSQL {version}; at least {OLDEST} is needed")
    if encoding != "UTF8":
        raise StoreOpenError(f"{place} has the encoding {encoding}; it must be UTF8")
    if replica:
        raise StoreOpenError(f"{place} is a read-only replica; name the primary")
    if read_only == "on":
        raise StoreOpenError(f"{place} is read-only (default_transaction_read_only is on)")
    if schema is None:
        raise StoreOpenError(f"{place} has no schema for tables: search_path names none there is")
    return str(schema)
