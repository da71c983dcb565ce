"""What no event names is removed, once nobody can be about to name it any more.

Bytes are put before the event that names them commits. So those that were put a while ago, and that
no event up to the head names, are named by none to come: who wants to name them puts them again,
and then they are new.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Struct

from domain.events import FACT_BY_TYPE
from domain.values import Blob
from replay.blobs.named import blobs_of, may_name
from replay.blobs.store import Collectable
from replay.errors import ReplayError
from replay.ledger import Ledger

_PAGE: Final = 1_000
_PAGE_OF_LOG: Final = (
    "SELECT * FROM stored_events WHERE notification_id > ? ORDER BY notification_id LIMIT ?"
)


class CollectError(ReplayError):
    """It cannot be known which blobs events name."""


class Collected(Struct, frozen=True, kw_only=True):
    """How many blobs no event names, how many bytes they have, and whether they are gone."""

    blobs: int
    size: int
    removed: bool


async def collect(
    ledger: Ledger,
    blobs: Collectable,
    seconds: float,
    told: Callable[[int, int], None],
    *,
    dry_run: bool = False,
) -> Collected:
    """Remove the blobs that were last put so long ago and that no event names.

    `told` gets the sequence that was looked at and the head. Raises CollectError before anything is
    removed, and StoreUnavailableError.
    """
    with _candidates() as old:
        try:
            async for blob in blobs.aged(seconds):
                old.execute("INSERT OR IGNORE INTO old VALUES (?,?)", (blob.sha256, blob.size))
            for blob in _named(ledger, told):
                old.execute("DELETE FROM old WHERE sha256=?", (blob.sha256,))
            number = size = 0
            for digest, bytes_ in old.execute("SELECT sha256, size FROM old"):
                if dry_run or await blobs.remove(Blob(digest, bytes_), seconds):
                    number, size = number + 1, size + bytes_
        finally:
            await blobs.close()
    return Collected(blobs=number, size=size, removed=not dry_run)


@contextmanager
def _candidates() -> Iterator[sqlite3.Connection]:
    """Yield a database for as many digests as there may be; it is a temporary file."""
    with closing(sqlite3.connect("", isolation_level=None)) as found:
        found.execute("PRAGMA journal_mode=OFF")
        found.execute("CREATE TABLE old (sha256 TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID")
        yield found


def _named(ledger: Ledger, told: Callable[[int, int], None]) -> Iterator[Blob]:
    """Yield what events name; raises CollectError for one that cannot be read."""
    last, head = 0, ledger.head
    while page := ledger.reader.select(_PAGE_OF_LOG, (last, _PAGE)):
        for row in page:
            if row[3] not in FACT_BY_TYPE:
                raise CollectError(f"sequence {row[0]}, a {row[3]}, is not known to this release")
            if may_name(row[3]):
                try:
                    yield from blobs_of(ledger.mapper.decode(*row).fact)
                except MapperDeserialisationError as error:
                    raise CollectError(f"sequence {row[0]} cannot be read: {error}") from error
        last = page[-1][0]
        told(last, max(head, last))
