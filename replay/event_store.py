"""The library's event store, with one call for the events of many commands."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Protocol

from eventsourcing.persistence import EventStore

from domain.recorded import Recorded
from replay.codec import LedgerMapper
from replay.connections import Row


class GroupRecorder(Protocol):
    """What the store needs from a recorder to write a group of commands."""

    def insert_rows(self, connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
        """Insert (position, stream, version, type, state) in a transaction of the caller."""


class LedgerEventStore(EventStore[str]):
    """Stores and retrieves `Recorded` events."""

    mapper: LedgerMapper

    def put_groups(
        self, groups: Iterable[Sequence[Recorded]], connection: sqlite3.Connection
    ) -> None:
        """Write the events of many commands, positions already given, in the caller's transaction.

        Raises sqlite3.IntegrityError when a position is taken; the caller then rolls back.
        """
        encode = self.mapper.encode
        recorder: GroupRecorder = self.recorder  # type: ignore[assignment]
        recorder.insert_rows(
            connection,
            [
                (
                    event.sequence,
                    event.originator_id,
                    event.originator_version,
                    event.fact.TYPE,
                    encode(event),
                )
                for events in groups
                for event in events
            ],
        )
