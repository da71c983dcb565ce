"""The event store in a PostgreSQL database: `PERSISTENCE_MODULE=replay.postgresql.recorder`.

The library's modules are imported whole: it looks for the one factory class in this namespace.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
from eventsourcing import persistence
from eventsourcing import postgres as library
from eventsourcing.utils import Environment, EnvType
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composed, Identifier

from replay import factory
from replay.errors import ForeignDatabaseError, StoreOpenError
from replay.migrations import FIRST, MIGRATIONS, Migration, known_version, latest, migrate
from replay.places import CONNINFO
from replay.postgresql.access import PostgresAccess
from replay.postgresql.opening import place_of, usable_schema
from replay.postgresql.sessions import CHANNEL, LOCK, PATIENT, connect

_TAKE_LOCK: Final = SQL("SELECT pg_advisory_xact_lock({})").format(LOCK)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (key text PRIMARY KEY, value bigint NOT NULL)",
    f"INSERT INTO meta VALUES ('schema_version', {FIRST}) ON CONFLICT DO NOTHING",
    # One row that every writing transaction changes: it tells who looks whether others wrote.
    "CREATE TABLE IF NOT EXISTS ledger_writes (value bigint NOT NULL)",
    "CREATE SEQUENCE IF NOT EXISTS ledger_nodes",
    "INSERT INTO ledger_writes SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM ledger_writes)",
)


class LedgerRecorder(library.PostgresProcessRecorder):
    """Events with an explicit global position, and tracking, in one database.

    The position is drawn under the lock of all writers as the highest one plus one, so it follows
    the order of commits, has no gaps and is never used twice.
    """

    def __init__(
        self,
        datastore: library.PostgresDatastore,
        *,
        events_table_name: str = "stored_events",
        tracking_table_name: str = "tracking",
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        """Use the tables in `datastore`."""
        super().__init__(
            datastore,
            events_table_name=events_table_name,
            tracking_table_name=tracking_table_name,
        )
        self._migrations = migrations
        self.channel_name = CHANNEL
        self.lock_table_statements = [_TAKE_LOCK]
        self.sql_create_statements = [*map(_composed, _SCHEMA), *self._statements()]
        self._insert = (
            f"INSERT INTO {events_table_name} SELECT %s + n, stream, version, topic, state"
            f" FROM unnest(%s::{'uuid' if self._of_uuids else 'text'}[], %s::bigint[], %s::text[],"
            " %s::bytea[]) WITH ORDINALITY AS e (stream, version, topic, state, n)"
        )

    def _statements(self) -> list[Composed]:
        """Return what makes the tables, with the position in a column of its own."""
        events = SQL(
            "CREATE TABLE IF NOT EXISTS {schema}.{table} (notification_id bigint PRIMARY KEY,"
            " originator_id {kind} NOT NULL, originator_version bigint NOT NULL,"
            " topic text NOT NULL, state bytea NOT NULL,"
            " UNIQUE (originator_id, originator_version))"
        ).format(
            schema=Identifier(self.datastore.schema),
            table=Identifier(self.events_table_name),
            kind=SQL("uuid" if self._of_uuids else 'text COLLATE "C"'),
        )
        tracking = SQL(
            "CREATE TABLE IF NOT EXISTS {}.{} (application_name text PRIMARY KEY,"
            " notification_id bigint)"
        ).format(Identifier(self.datastore.schema), Identifier(self.tracking_table_name))
        return [events, tracking]

    @property
    def _of_uuids(self) -> bool:
        return self.datastore.originator_id_type == "uuid"

    def create_table(self) -> None:
        """Make what is missing; another process may be at it just now."""
        try:
            super().create_table()
        except persistence.IntegrityError:
            # The library looks before it writes: who comes second finds the mark already there.
            super().create_table()
        if self.check_schema() < latest(self._migrations):
            self._migrate()

    def _create_table(self, curs: Cursor[DictRow]) -> None:
        curs.execute(_TAKE_LOCK)
        super()._create_table(curs)

    def check_schema(self) -> int:
        """Return the version of the tables, 0 for none; raises StoreOpenError for a newer one."""
        parameters = _parameters(self.datastore)
        with closing(connect(parameters)) as session:
            return known_version(session, self._migrations, place_of(parameters))

    def _migrate(self) -> None:
        with closing(connect(_parameters(self.datastore))) as session:
            for statement in PATIENT:
                session.execute(statement)
            session.execute("BEGIN")
            session.execute("SELECT pg_advisory_xact_lock(?)", (LOCK,))
            migrate(session, self._migrations)
            session.execute("COMMIT")

    def insert_events(
        self, stored_events: Sequence[persistence.StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Record events, and `tracking` when given; raises IntegrityError on a conflict.

        Unlike the library's this never tries again by itself: a COMMIT whose answer was lost may
        have been done.
        """
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_TAKE_LOCK)
            cursor.execute(self.max_notification_id_statement)
            before = _only(cursor, "max") or 0
            rows = [
                (event.originator_id, event.originator_version, event.topic, event.state)
                for event in stored_events
            ]
            if rows:
                cursor.execute(self._insert.encode(), (before, *map(list, zip(*rows, strict=True))))
            tracking: persistence.Tracking | None = kwargs.get("tracking")
            if tracking is not None:
                self._insert_tracking(cursor, tracking)
            cursor.execute("UPDATE ledger_writes SET value = value + 1")
            cursor.execute(f"NOTIFY {CHANNEL}".encode())
        return list(range(before + 1, before + 1 + len(rows)))

    def access(self) -> PostgresAccess:
        """Return the sessions beside the pool; raises StoreOpenError when there can be none."""
        return PostgresAccess(_parameters(self.datastore), self.datastore.lock_timeout)

    def wake_subscriptions(self) -> None:
        """Do nothing: the database tells every subscription."""


def _only(cursor: Cursor[DictRow], name: str) -> Any:
    row = cursor.fetchone()
    return row[name] if row else None


def _composed(statement: str) -> Composed:
    return SQL("{}").format(SQL(statement))


def _parameters(datastore: library.PostgresDatastore) -> dict[str, Any]:
    known = datastore.pool.kwargs
    assert isinstance(known, dict)
    return {name: value for name, value in known.items() if name != "row_factory"}


class Factory(factory.LedgerFactory, library.PostgresFactory):
    """Makes the parts of an application from the library's environment names."""

    application_recorder_class = LedgerRecorder
    process_recorder_class = LedgerRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Read the environment; raises OSError when it cannot work."""
        super().__init__(env)
        known = self.datastore.pool.kwargs
        assert isinstance(known, dict)
        known.update(conninfo_to_dict(self.env.get(CONNINFO) or ""))
        if not known["password"]:
            # An empty one would keep PGPASSWORD and the password file from being looked at.
            del known["password"]

    def recorder(self) -> LedgerRecorder:
        """Return the recorder, its tables as they are; raises StoreOpenError for a newer schema."""
        # The library names a schema in its statements, where others are found by the search path.
        self.datastore.schema = usable_schema(_parameters(self.datastore))
        with self._told():
            recorder = LedgerRecorder(self.datastore, migrations=self.migrations)
            recorder.check_schema()
            return recorder

    def process_recorder(self) -> persistence.ProcessRecorder:
        """Return the recorder, its tables made; raises StoreOpenError for a newer schema."""
        recorder = self.recorder()
        with self._told():
            if self.env_create_table():
                recorder.create_table()
            return recorder

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Close everything when the database refuses, and say so in one line."""
        try:
            yield
        except StoreOpenError:
            self.close()
            raise
        except (persistence.PersistenceError, psycopg.Error, ForeignDatabaseError) as error:
            self.close()
            place = place_of(_parameters(self.datastore))
            told = " ".join(str(error).split())
            raise StoreOpenError(f"{place} cannot be used: {told}") from error
