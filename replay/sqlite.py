"""The event store in one SQLite file: `PERSISTENCE_MODULE=replay.sqlite`.

The library's modules are imported whole: it looks for the one factory class in this namespace.
"""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from eventsourcing import persistence
from eventsourcing import sqlite as library
from eventsourcing.utils import Environment, EnvType

from replay import factory
from replay.connections import LedgerConnectionPool, SQLiteAccess, prepare_path
from replay.migrations import FIRST, MIGRATIONS, Migration, known_version, latest, migrate
from replay.statements import stream_query


class SQLiteSubscription(persistence.ListenNotifySubscription["LedgerRecorder"]):
    """Notifications as they are recorded by this process."""

    def __init__(
        self, recorder: "LedgerRecorder", gt: int | None = None, topics: Sequence[str] = ()
    ) -> None:
        """Start behind `gt` and listen to the recorder."""
        super().__init__(recorder, gt, topics)
        recorder.listeners.add(self)
        self.wake()

    def wake(self) -> None:
        """Look for new notifications."""
        self._has_been_notified.set()

    def stop(self) -> None:
        """End the iteration."""
        self._recorder.listeners.discard(self)
        super().stop()


class LedgerDatastore(library.SQLiteDatastore):
    """The library's datastore over our pool."""

    pool: LedgerConnectionPool

    def __init__(self, replaced: library.SQLiteDatastore) -> None:
        """Take over the settings of `replaced`."""
        super().__init__(
            replaced.pool.db_name,
            lock_timeout=replaced.pool.lock_timeout,
            single_row_tracking=replaced.single_row_tracking,
            originator_id_type=replaced.originator_id_type,
        )
        self.pool = LedgerConnectionPool(
            db_name=replaced.pool.db_name, lock_timeout=replaced.pool.lock_timeout
        )


class LedgerRecorder(library.SQLiteProcessRecorder):
    """Events with an explicit global position, and tracking, in one file.

    The position is drawn inside the write lock as the highest one plus one, so it follows the
    order of commits, has no gaps and is never used twice.
    """

    datastore: LedgerDatastore

    def __init__(
        self,
        datastore: library.SQLiteDatastore,
        events_table_name: str = "stored_events",
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        """Use the tables in `datastore`."""
        super().__init__(datastore, events_table_name=events_table_name)
        self._migrations = migrations
        self.listeners: set[SQLiteSubscription] = set()
        self.insert_events_statement = f"INSERT INTO {self.events_table_name} VALUES (?,?,?,?,?)"

    def construct_create_table_statements(self) -> list[str]:
        """Return the statements that make the tables: events, tracking and `meta`."""
        _, *tracking = super().construct_create_table_statements()
        events = f"""CREATE TABLE IF NOT EXISTS {self.events_table_name} (
            notification_id INTEGER PRIMARY KEY,
            originator_id TEXT NOT NULL,
            originator_version INTEGER NOT NULL,
            topic TEXT NOT NULL,
            state BLOB NOT NULL,
            UNIQUE (originator_id, originator_version))"""
        meta = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID"
        return [
            meta,
            f"INSERT OR IGNORE INTO meta VALUES ('schema_version', {FIRST})",
            events,
            *tracking,
        ]

    def create_table(self) -> None:
        """Make what is missing; another process may be at it just now."""
        if self.check_schema() == latest(self._migrations):
            return
        try:
            super().create_table()
        except persistence.IntegrityError:
            # The library looks before it writes: who comes second finds the mark already there.
            super().create_table()
        if self.check_schema() < latest(self._migrations):
            self._migrate()

    def check_schema(self) -> int:
        """Return the version of the tables, 0 for none; raises StoreOpenError for a newer one."""
        with self.datastore.transaction(commit=False) as cursor:
            connection = cursor.sqlite_cursor.connection
            return known_version(connection, self._migrations, self.datastore.pool.db_name)

    def _migrate(self) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            migrate(cursor.sqlite_cursor.connection, self._migrations)

    def insert_events(
        self, stored_events: Sequence[persistence.StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Record events, and `tracking` when given; raises IntegrityError on a conflict."""
        ids = super().insert_events(stored_events, **kwargs)
        self.wake_subscriptions()
        return ids

    def _insert_events(
        self,
        c: library.SQLiteCursor,
        stored_events: Sequence[persistence.StoredEvent],
        **kwargs: Any,
    ) -> Sequence[int] | None:
        first = (self._max_notification_id(c) or 0) + 1
        rows = [
            (first + index, _column(event.originator_id), *_rest(event))
            for index, event in enumerate(stored_events)
        ]
        c.executemany(self.insert_events_statement, rows)
        tracking: persistence.Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return [row[0] for row in rows]

    def access(self) -> SQLiteAccess:
        """Return the sessions beside the pool; raises StoreOpenError when there can be none."""
        return SQLiteAccess(self.datastore.pool)

    def wake_subscriptions(self) -> None:
        """Tell every subscription that there is something new."""
        for subscription in tuple(self.listeners):
            subscription.wake()

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[persistence.Notification]:
        """Return events of one stream; unlike the library's they carry their global position."""
        return self._notifications(*stream_query(_column(originator_id), gt, lte, desc, limit))

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[persistence.Notification]:
        """Return events in the global order."""
        conditions: list[str] = []
        parameters: list[Any] = []
        bounds = ((">=" if inclusive_of_start else ">", start), ("<=", stop))
        for comparison, value in bounds:
            if value is not None:
                conditions.append(f"notification_id{comparison}?")
                parameters.append(value)
        if topics:
            conditions.append(f"topic IN ({','.join('?' * len(topics))})")
            parameters.extend(topics)
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        statement = (
            f"SELECT * FROM {self.events_table_name} {where}ORDER BY notification_id LIMIT ?"
        )
        return self._notifications(statement, [*parameters, limit])

    def _notifications(
        self, statement: str, parameters: list[Any]
    ) -> list[persistence.Notification]:
        with self.datastore.transaction(commit=False) as cursor:
            raw = cursor.sqlite_cursor
            raw.row_factory = None
            rows = raw.execute(statement, parameters)
            return [
                persistence.Notification(
                    id=position,
                    originator_id=self.convert_originator_id(stream),
                    originator_version=version,
                    topic=topic,
                    state=state,
                )
                for position, stream, version, topic, state in rows
            ]

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> persistence.Subscription[persistence.ApplicationRecorder]:
        """Return an iterator over events behind `gt` that waits for those still to come."""
        return cast(
            "persistence.Subscription[persistence.ApplicationRecorder]",
            SQLiteSubscription(self, gt, topics),
        )


def _column(originator_id: UUID | str) -> Any:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


def _rest(event: persistence.StoredEvent) -> tuple[int, str, bytes]:
    return event.originator_version, event.topic, event.state


class Factory(factory.LedgerFactory, library.SQLiteFactory):
    """Makes the parts of an application from the library's environment names."""

    application_recorder_class = LedgerRecorder
    process_recorder_class = LedgerRecorder
    datastore: LedgerDatastore

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment; raises OSError or StoreOpenError when it cannot work."""
        super().__init__(env)
        prepare_path(self.datastore.pool.db_name)
        self.datastore = LedgerDatastore(self.datastore)

    def recorder(self) -> LedgerRecorder:
        """Return the recorder, its tables as they are; raises StoreOpenError for a newer schema."""
        recorder = LedgerRecorder(self.datastore, migrations=self.migrations)
        recorder.check_schema()
        return recorder

    def process_recorder(self) -> persistence.ProcessRecorder:
        """Return the recorder, its tables made; raises StoreOpenError for a newer schema."""
        recorder = self.recorder()
        if self.env_create_table():
            recorder.create_table()
        return recorder
