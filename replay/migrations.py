"""What the tables of a store became since the first release: steps with numbers, only ever added.

The recorders make the tables of the first version themselves. Each later version is a step that
runs once, under the write lock, when a store is opened or migrated.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from replay.errors import StoreOpenError
from replay.store import Connection
from replay.tables import exists

FIRST: Final = 1
"""The version of the tables that recorders make."""


class Migration(Struct, frozen=True):
    """What makes tables of `version` out of those of the version before.

    The statements may add tables and indexes, and nothing else: processes of the release before
    go on writing to the tables that they know.
    """

    version: int
    statements: tuple[str, ...]


MIGRATIONS: Final[tuple[Migration, ...]] = (
    Migration(
        version=2,
        statements=(
            # Secrets have been kept before this version, in a table that the first one made.
            "CREATE TABLE IF NOT EXISTS bridge_secrets (secret_id TEXT PRIMARY KEY NOT NULL,"
            " sealed BLOB NOT NULL)",
            # Used where blobs are large objects, which are known by an OID.
            "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY NOT NULL, size INTEGER NOT NULL,"
            " object OID NOT NULL)",
        ),
    ),
    Migration(
        version=3,
        statements=(
            # Also of blobs that are large objects: when each was last put, in microseconds.
            "CREATE TABLE blob_ages (sha256 TEXT PRIMARY KEY NOT NULL, put_at INTEGER NOT NULL)",
        ),
    ),
)
"""In order; a published one is never changed or removed."""

_VERSION: Final = "SELECT value FROM meta WHERE key='schema_version'"
_PUT_VERSION: Final = "UPDATE meta SET value=? WHERE key='schema_version'"


def latest(known: Sequence[Migration]) -> int:
    """Return the version that the last of the migrations leads to."""
    return known[-1].version if known else FIRST


def version_of(connection: Connection) -> int:
    """Return the version of a store's tables, 0 when it has none."""
    row = connection.execute(_VERSION).fetchone() if exists(connection, "meta") else None
    return row[0] if row else 0


def known_version(connection: Connection, known: Sequence[Migration], place: str) -> int:
    """Return the version of a store's tables; raises StoreOpenError for a newer one."""
    found = version_of(connection)
    if found > latest(known):
        message = f"{place} has schema version {found}; this release knows {latest(known)}"
        raise StoreOpenError(message)
    return found


def migrate(connection: Connection, known: Sequence[Migration]) -> None:
    """Take the steps that are missing, in the caller's transaction under the write lock."""
    found = version_of(connection)
    for step in known:
        if step.version > found:
            for statement in step.statements:
                connection.execute(statement)
    if latest(known) > found:
        connection.execute(_PUT_VERSION, (latest(known),))
