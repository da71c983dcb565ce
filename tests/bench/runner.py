"""A read model the library's own way: a `ProjectionRunner`, one transaction per event."""

import time
from pathlib import Path
from typing import Any

from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteDatastore, SQLiteTrackingRecorder

from replay.ledger import Ledger

_PATIENCE = 600.0


class Streams(SQLiteTrackingRecorder):
    """Keeps the last event of each stream."""

    def __init__(self, datastore: SQLiteDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.create_table()
        self.kept_at = 0.0

    def construct_create_table_statements(self) -> list[str]:
        """Return the statements that make the tables."""
        create = "CREATE TABLE IF NOT EXISTS streams (stream TEXT PRIMARY KEY, type TEXT)"
        return [*super().construct_create_table_statements(), create]

    def keep(self, stream: str, type_: str, tracking: Tracking) -> None:
        """Keep the event of a stream, and how far that is, in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                "INSERT INTO streams VALUES (?,?) ON CONFLICT (stream)"
                " DO UPDATE SET type=excluded.type",
                (stream, type_),
            )
        self.kept_at = time.perf_counter()


class LastEvents(Projection[Streams]):
    """Projects the last event of each stream."""

    name = "last_events"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Take one event."""
        self.view.keep(domain_event.originator_id, domain_event.type, tracking)


def events_per_second(ledger: Path, folder: Path) -> float:
    """Return how many events of a ledger the runner takes per second."""
    opened = Ledger({"SQLITE_DBNAME": str(ledger)})
    head = opened.head
    opened.close()
    env = {
        "SQLITE_DBNAME": str(ledger),
        "LAST_EVENTS_PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "LAST_EVENTS_SQLITE_DBNAME": str(folder / "last-events.db"),
    }
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Ledger, projection_class=LastEvents, view_class=Streams, env=env
    ) as runner:
        runner.wait(head, timeout=_PATIENCE)
        # Waiting looks now and then only.
        return head / (runner.view.kept_at - started)
