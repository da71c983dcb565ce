"""The stores that the contract is checked on: another one is one more entry of `STORES`."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

from eventsourcing.persistence import ProcessRecorder, StoredEvent

from replay import sqlite as in_sqlite
from replay.places import environment_of
from replay.postgresql import recorder as in_postgresql
from tests.support.places import place_in


class Store:
    """A recorder, and short ways to use it."""

    def __init__(self, recorder: ProcessRecorder) -> None:
        self.recorder = recorder

    def record(self, stream: str, *versions: int) -> list[int]:
        """Record events of a stream and return their sequences."""
        found = self.recorder.insert_events([stored(stream, version) for version in versions])
        assert found is not None
        return list(found)

    def sequences(self, after: int, page: int) -> list[int]:
        """Return all sequences behind one, read in pages."""
        found: list[int] = []
        while True:
            start = found[-1] if found else after
            read = self.recorder.select_notifications(start, page, inclusive_of_start=False)
            if not read:
                return found
            found.extend(notification.id for notification in read)


def stored(stream: str, version: int) -> StoredEvent:
    """Return an event as a store keeps it."""
    return StoredEvent(stream, version, f"test.{version % 3}", b'{"version":%d}' % version)


@contextmanager
def sqlite(folder: Path) -> Iterator[Store]:
    """Open the store in a folder; opening it again finds what was recorded."""
    path = str(folder / "ledger.db")
    factory = in_sqlite.Factory({"SQLITE_DBNAME": path, "ORIGINATOR_ID_TYPE": "text"})
    try:
        yield Store(factory.process_recorder())
    finally:
        factory.close()


@contextmanager
def postgresql(folder: Path) -> Iterator[Store]:
    """Open the store in the database that belongs to a folder."""
    factory = in_postgresql.Factory(
        environment_of(place_in(folder, "postgresql")) | {"ORIGINATOR_ID_TYPE": "text"}
    )
    try:
        yield Store(factory.process_recorder())
    finally:
        factory.close()


Open: TypeAlias = Callable[[Path], AbstractContextManager[Store]]
STORES: dict[str, Open] = {"sqlite": sqlite, "postgresql": postgresql}
