"""PostgreSQL sessions: how they are opened, read through and written through."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import RawCursor, RawServerCursor, errors, pq
from psycopg.types.numeric import IntLoader

from replay.errors import ForeignDatabaseError, StoreInUseError, StoreOpenError
from replay.postgresql.dialect import over_rows, translated
from replay.store import Row, SqlReader

CHANNEL: Final = "taskledger"
"""Where a commit is told of; what it was is read from the log."""

LOCK: Final = 0x7461_736B
"""The advisory lock of all who write: sequences become visible in the order of commits."""

_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
)
_PAGE: Final = 2_000
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCKED: Final = f"SELECT pg_try_advisory_xact_lock({LOCK})"
_WRITES: Final = "SELECT value FROM ledger_writes"
_COUNT_WRITE: Final = "UPDATE ledger_writes SET value = value + 1 RETURNING value"
_LOCK_TIMEOUT: Final = 5.0
_STATEMENTS: Final = 1_000


def fault_of(error: psycopg.Error) -> ForeignDatabaseError:
    """Return an error of the client library as this package knows them."""
    return ForeignDatabaseError(error, unavailable=isinstance(error, _UNAVAILABLE))


class Session:
    """A connection that takes this package's statements."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`, which commits only when it is told to."""
        self.raw = connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        return self.raw.info.transaction_status != pq.TransactionStatus.IDLE

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Run a statement; raises ForeignDatabaseError."""
        try:
            return self.raw.execute(translated(statement).encode(), parameters, prepare=True)
        except psycopg.Error as error:
            raise fault_of(error) from error

    def executemany(self, statement: str, rows: Iterable[Row]) -> psycopg.Cursor[Row]:
        """Run a statement once for each row; raises ForeignDatabaseError.

        The rows of an INSERT go there in one piece.
        """
        found = list(rows)
        try:
            whole = over_rows(statement, _kinds(found)) if found else None
            if whole is not None:
                columns = [list(column) for column in zip(*found, strict=True)]
                return self.raw.execute(translated(whole).encode(), columns, prepare=True)
            cursor = self.raw.cursor()
            cursor.executemany(translated(statement).encode(), found)
        except psycopg.Error as error:
            raise fault_of(error) from error
        return cursor

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


def _kinds(rows: list[Row]) -> tuple[type, ...]:
    return tuple(type(value) for value in rows[0]) if rows else ()


class SnapshotSession(Session):
    """A session for large results: what is selected as a whole is fetched page by page."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`."""
        super().__init__(connection)
        self._names = count()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Run a SELECT; raises ForeignDatabaseError."""
        if parameters or not statement.startswith("SELECT"):
            return super().execute(statement, parameters)
        cursor = RawServerCursor(self.raw, f"c{next(self._names)}")
        cursor.itersize = _PAGE
        try:
            return cursor.execute(translated(statement).encode())
        except psycopg.Error as error:
            raise fault_of(error) from error


class Writer:
    """The one writing session of a process, opened anew after any failure.

    All writers of a ledger, in whatever process, take turns by an advisory lock.
    """

    def __init__(self, connect: Callable[[], Session], lock_timeout: float = 0) -> None:
        """Open the session when it is first needed."""
        self._connect = connect
        self._session: Session | None = None
        self._writes = self._seen = -1
        self.lock_timeout = lock_timeout or _LOCK_TIMEOUT

    @property
    def connection(self) -> Session:
        """The session; raises ForeignDatabaseError when it cannot be opened."""
        if self._session is None:
            self._session = self._connect()
        return self._session

    def begin(self) -> Session:
        """Take the write lock; raises ForeignDatabaseError, busy when somebody else holds it."""
        session = self.connection
        try:
            with session.raw.pipeline():
                session.raw.execute(b"BEGIN")
                lock = session.raw.execute(_LOCKED.encode())
                writes = session.raw.execute(_WRITES.encode())
            locked, self._writes = _value(lock), _value(writes)
        except psycopg.Error as error:
            raise fault_of(error) from error
        if not locked:
            self.rollback()
            message = "another process writes"
            raise ForeignDatabaseError(message, busy=True)
        return session

    def disturbed(self) -> bool:
        """Whether another session has written since the last time this was asked."""
        before, self._seen = self._seen, self._writes
        return before != self._writes

    def sync(self, *, durably: bool) -> None:
        """Choose whether the commits to come survive a crash of the machine, not only of us."""
        self.connection.execute(f"SET synchronous_commit={'on' if durably else 'off'}")

    def try_out(self) -> None:
        """Commit something that has to be written; raises ForeignDatabaseError."""
        self.begin()
        self.commit()

    def commit(self) -> None:
        """Make the transaction durable and wake who listens; raises ForeignDatabaseError.

        After an error nobody knows whether it is durable.
        """
        raw = self.connection.raw
        try:
            with raw.pipeline():
                raw.execute(_COUNT_WRITE.encode())
                raw.execute(f"NOTIFY {CHANNEL}".encode())
                raw.execute(b"COMMIT")
        except psycopg.Error as error:
            raise fault_of(error) from error
        if self._seen == self._writes:
            self._seen += 1

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        if self._session is not None and self._session.in_transaction:
            self._session.execute("ROLLBACK")

    def reset(self) -> None:
        """Undo the transaction and drop the session; the next use opens a new one."""
        self._writes = self._seen = -1
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _value(cursor: psycopg.Cursor[Row]) -> Any:
    row = cursor.fetchone()
    return row[0] if row else None


class PostgresAccess:
    """How a process reads and writes the database beside the library's pool."""

    def __init__(self, parameters: Mapping[str, Any], lock_timeout: float) -> None:
        """Connect with these parameters; raises StoreOpenError when that cannot be done."""
        self._parameters = parameters
        self._idle: list[Session] = []
        self._closed = False
        known = (parameters["host"], parameters["port"], parameters["dbname"])
        self.place = "{}:{}/{}".format(*known)
        self.beside = str(_folder() / "-".join(map(str, known)))
        self.writer = Writer(self.connect, lock_timeout)
        try:
            self._live = self.connect()
        except ForeignDatabaseError as error:
            message = f"{self.place} cannot be opened: {error}"
            raise StoreOpenError(message) from error
        self.live = SqlReader(self._live)

    def connect(self, kind: type[Session] = Session) -> Session:
        """Return a session of its own; raises ForeignDatabaseError."""
        try:
            raw: psycopg.Connection[Row] = psycopg.connect(
                **self._parameters, autocommit=True, prepare_threshold=0, cursor_factory=RawCursor
            )
        except psycopg.Error as error:
            raise fault_of(error) from error
        # Sums of whole numbers are whole numbers.
        raw.adapters.register_loader("numeric", IntLoader)
        raw.prepared_max = _STATEMENTS
        return kind(raw)

    @contextmanager
    def snapshot(self, *, large: bool = False) -> Iterator[Session]:
        """Yield a session whose selects all see the ledger as it is at the first of them.

        A `large` one fetches rows page by page.
        """
        if large:
            session = self.connect(SnapshotSession)
        else:
            session = self._idle.pop() if self._idle else self.connect()
        try:
            session.raw.execute(_BEGIN_READING.encode())
            yield session
            session.raw.execute(b"ROLLBACK")
        except BaseException:
            session.close()
            raise
        if large or self._closed:
            session.close()
        else:
            self._idle.append(session)

    @property
    def served(self) -> bool:
        """Always: any host may be writing."""
        return True

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Keep other processes from the same work; raises StoreInUseError when one is at it."""
        session = self.connect()
        try:
            statement = "SELECT pg_try_advisory_lock(?, hashtext(?))"
            if not _value(session.execute(statement, (LOCK, work))):
                raise StoreInUseError(f"{work} in {self.place}", 0, "")
            yield
        finally:
            session.close()

    def committed(self) -> None:
        """Do nothing: the database looks after its own log."""

    def close(self) -> None:
        """Close every session that is not in use."""
        self._closed = True
        self.writer.reset()
        for session in (self._live, *self._idle):
            session.close()
        self._idle.clear()


def _folder() -> Path:
    """Return where files beside the database go that may be lost."""
    folder = Path(tempfile.gettempdir()) / f"taskledger-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
