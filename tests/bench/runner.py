"""A read model the library's own way: a `ProjectionRunner`, one transaction per event."""

import time
from pathlib import Path
from typing import Any, ClassVar

from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteCursor, SQLiteDatastore, SQLiteTrackingRecorder

from domain.recorded import Recorded
from domain.task.state import TaskState
from domain.world import Change, State, evolve
from replay.batch import Projector
from replay.ledger import Ledger
from replay.rows import RowBuffer

_PATIENCE = 600.0


class Rows(SQLiteTrackingRecorder):
    """Keeps the rows of a read model, written by the same projector as in a rebuild."""

    projector: ClassVar[Projector]

    def __init__(self, datastore: SQLiteDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.create_table()
        self._states: dict[str, State | None] = {}
        self._rows = RowBuffer(self.projector.tables)
        self.kept_at = 0.0

    def construct_create_table_statements(self) -> list[str]:
        """Return the statements that make the tables."""
        made = (statement for table in self.projector.tables for statement in table.ddl)
        return [*super().construct_create_table_statements(), *made]

    def keep(self, recorded: Recorded, tracking: Tracking) -> None:
        """Keep what an event changes, and how far that is, in one transaction."""
        before = self._states.get(recorded.originator_id)
        after = self._states[recorded.originator_id] = evolve(before, recorded)
        with self.datastore.transaction(commit=True) as cursor:
            assert isinstance(cursor, SQLiteCursor)
            self._insert_tracking(cursor, tracking)
            self._rows.start(cursor.sqlite_cursor.connection)
            self.projector.apply(_change(recorded, before, after), self._rows)
            self._rows.flush()
        self._rows.finish()
        self.kept_at = time.perf_counter()


def _change(recorded: Recorded, before: State | None, after: State | None) -> Change:
    task = after if isinstance(after, TaskState) else None
    return Change(
        recorded=recorded, before=before, after=after, task=task, about=task, paused_by=""
    )


class ReadModel(Projection[Rows]):
    """Gives the view each event."""

    name = "read_model"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Take one event."""
        self.view.keep(domain_event, tracking)


def events_per_second(projector: Projector, ledger: Path, folder: Path) -> float:
    """Return how many events of a ledger the runner takes per second into a new read model."""
    opened = Ledger({"SQLITE_DBNAME": str(ledger)})
    head = opened.head
    opened.close()
    file = folder / f"runner-{projector.name}.db"
    file.unlink(missing_ok=True)
    env = {
        "SQLITE_DBNAME": str(ledger),
        "READ_MODEL_PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "READ_MODEL_SQLITE_DBNAME": str(file),
    }
    view_class = type("RowsOf", (Rows,), {"projector": projector})
    started = time.perf_counter()
    with ProjectionRunner(
        application_class=Ledger, projection_class=ReadModel, view_class=view_class, env=env
    ) as runner:
        runner.wait(head, timeout=_PATIENCE)
        # Waiting looks now and then only.
        return head / (runner.view.kept_at - started)
