"""PostgreSQL sessions: how they are opened, read through and written through."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Lock, RLock
from typing import Any, Final

import psycopg
from psycopg import RawCursor, RawServerCursor, pq
from psycopg.abc import Buffer
from psycopg.types.numeric import NumericBinaryLoader

from replay.errors import ForeignDatabaseError
from replay.postgresql.dialect import by_copy, over_rows, translated
from replay.postgresql.parameters import Parameter, column, scalar
from replay.postgresql.pipeline import Answer, Pipeline, fault_of
from replay.postgresql.rest import Rest
from replay.steps import Steps
from replay.store import Row

CHANNEL: Final = "taskledger"
"""Where a commit is told of; what it was is read from the log."""

LOCK: Final = 0x7461_736B
"""The advisory lock of all who write: sequences become visible in the order of commits."""

_PAGE: Final = 2_000
_TURN_SECONDS: Final = 5.0
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "application_name": "taskledger",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds after which a server that takes nothing more is taken for gone.
    "tcp_user_timeout": 5_000,
}
# A process that hangs must not hold the lock of all writers for ever, nor a host that is gone.
_OPTIONS: Final = (
    "-c synchronous_commit=on -c statement_timeout=30s -c lock_timeout=5s"
    " -c idle_in_transaction_session_timeout=15s"
    " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
    " -c tcp_user_timeout=10s"
)
# An event loop stands still while it waits for what it reads.
_READING: Final = "-c statement_timeout=5s -c lock_timeout=1s"
HASTE: Final = "lock_timeout = 1"
"""Milliseconds, which hardly anybody notices: there is no less but for ever."""
PATIENT: Final = ("SET statement_timeout=0", "SET idle_in_transaction_session_timeout=0")


class _WholeLoader(NumericBinaryLoader):
    """Sums of whole numbers are whole numbers."""

    def load(self, data: Buffer) -> int:  # type: ignore[override]
        """Return the number."""
        return int(super().load(data))


class Session:
    """A connection that takes this package's statements, those of one thread at a time.

    `number` is what the server knows it by.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`, which commits only when it is told to."""
        self.number = connection.info.backend_pid
        self._connection = connection
        self._pipeline = Pipeline(connection)
        self._lock = RLock()
        self._taken = False

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        return self._connection.info.transaction_status != pq.TransactionStatus.IDLE

    @property
    def broken(self) -> bool:
        """Whether the connection has ended, in whatever way."""
        return self._connection.closed

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=_TURN_SECONDS):
            message = "another thread uses the session"
            raise ForeignDatabaseError(message, busy=True)
        try:
            yield
        finally:
            self._lock.release()

    def take(self) -> None:
        """Keep other threads from the session, and wait for no statement, until it is released.

        Raises ForeignDatabaseError, busy when another thread keeps it.
        """
        with self._turn():
            if not self._taken:
                self._lock.acquire()
                self._taken = True

    def release(self) -> None:
        """Let others use the session that was taken, if it was."""
        if self._taken:
            self._taken = False
            self._lock.release()

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a statement; raises ForeignDatabaseError.

        In a session that is taken it is only sent: it runs while nobody waits, and looking at its
        answer waits for that.
        """
        return self._run(translated(statement), [scalar(value) for value in parameters])

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Run an INSERT, or a DELETE by key, for all rows at once, as `execute` does."""
        found = list(rows)
        if found:
            whole = over_rows(statement, tuple(type(value) for value in found[0]))
            self._run(translated(whole), [column(each) for each in zip(*found, strict=True)])

    def _run(self, statement: str, parameters: Sequence[Parameter]) -> Answer:
        with self._turn():
            answer = self._pipeline.send(statement.encode(), parameters)
            if not self._taken:
                self._pipeline.wait()
        return answer

    def push(self) -> None:
        """Let the server begin with what it has been sent; raises ForeignDatabaseError."""
        self._pipeline.finish()

    def answered(self) -> Steps[None]:
        """Wait in steps for everything that was sent; raises ForeignDatabaseError."""
        yield from self._pipeline.answered()

    def rollback(self) -> None:
        """Undo the transaction and release the session.

        Raises ForeignDatabaseError when the connection is broken.
        """
        with self._turn():
            with suppress(ForeignDatabaseError):
                # What was sent before may have failed, and then nothing behind it is done.
                self._pipeline.wait()
            self.release()
            self.execute("ROLLBACK")

    def rolling_back(self) -> Steps[None]:
        """Undo in steps a transaction in which nothing failed, and release the session.

        Raises ForeignDatabaseError.
        """
        self.execute("ROLLBACK")
        yield from self.answered()
        self.release()

    def close(self) -> None:
        """Close the connection, after what another thread does on it."""
        with suppress(ForeignDatabaseError), self._turn():
            self.release()
        self._connection.close()


class LiveSession:
    """Selects on a session that is opened anew when it breaks, as when the server restarts.

    While there is rest from waiting for a lock, it is another one, which waits for none.
    """

    def __init__(self, connect: Callable[[], Session], rest: Rest) -> None:
        """Open the first session; raises ForeignDatabaseError."""
        self._rest = rest
        self._usual = _Reopened(connect)
        self._hasty = _Reopened(lambda: _in_haste(connect()))
        self._usual.open()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun: each SELECT is one of its own."""
        return False

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a SELECT, once more on a new session; raises ForeignDatabaseError."""
        hasty = self._rest.from_a_lock
        with self._rest.after_waiting(hasty=hasty):
            return (self._hasty if hasty else self._usual).execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Refuse: this session reads."""
        raise ForeignDatabaseError(f"not a SELECT: {statement}, {rows}")

    def close(self) -> None:
        """Close the sessions."""
        self._usual.close()
        self._hasty.close()


class _Reopened:
    """A session that is opened when it is needed, and anew when it has broken."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        self._connect = connect
        self._session: Session | None = None
        self._lock = Lock()

    def open(self) -> Session:
        """Return the session; raises ForeignDatabaseError."""
        return self._session or self._instead_of(None)

    def execute(self, statement: str, parameters: Sequence[Any]) -> Answer:
        """Run a SELECT, once more on a new session; raises ForeignDatabaseError."""
        session = self.open()
        try:
            return session.execute(statement, parameters)
        except ForeignDatabaseError:
            if not session.broken:
                raise
        return self._instead_of(session).execute(statement, parameters)

    def _instead_of(self, broken: Session | None) -> Session:
        """Return another session, which another thread may have opened already."""
        with self._lock:
            if self._session is None or self._session is broken:
                self.close()
                self._session = self._connect()
            return self._session

    def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            self._session.close()
            self._session = None


def _in_haste(session: Session) -> Session:
    session.execute(f"SET {HASTE}")
    return session


class SnapshotSession:
    """A session for large results: what is selected as a whole is fetched page by page."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`."""
        self.raw = connection
        self._cursors: list[RawServerCursor[Row]] = []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        return self.raw.info.transaction_status != pq.TransactionStatus.IDLE

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Run a statement; raises ForeignDatabaseError."""
        query = translated(statement).encode()
        try:
            if parameters or not statement.startswith("SELECT"):
                return self.raw.execute(query, parameters, prepare=True, binary=True)
            cursor = RawServerCursor(self.raw, f"c{len(self._cursors)}")
            cursor.itersize = _PAGE
            self._cursors.append(cursor)
            return cursor.execute(query, binary=True)
        except psycopg.Error as error:
            raise fault_of(error) from error

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Refuse: this session reads."""
        raise ForeignDatabaseError(f"not a SELECT: {statement}, {rows}")

    def close(self) -> None:
        """Close the connection and what is open on it."""
        for cursor in self._cursors:
            with suppress(psycopg.Error):
                cursor.close()
        self.raw.close()


class LoadingSession:
    """A session that adds many rows at once; each time is a transaction of its own."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`."""
        self._connection = connection

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Run a plain INSERT for all rows by way of COPY.

        Raises ForeignDatabaseError, and ValueError for another statement.
        """
        found = list(rows)
        if not found:
            return
        command, types = by_copy(statement, found[0])
        try:
            with self._connection.cursor() as cursor, cursor.copy(command.encode()) as copy:
                copy.set_types(types)
                for row in found:
                    copy.write_row(row)
        except psycopg.Error as error:
            raise fault_of(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def value_of(answer: Answer) -> Any:
    """Return the one value that a statement gave, None when it gave no row."""
    row = answer.fetchone()
    return row[0] if row else None


def dialled(parameters: Mapping[str, Any], usual: str = _OPTIONS) -> dict[str, Any]:
    """Return what to connect with; what an operator's URL says goes before what is usual here."""
    options = f"{usual} {parameters.get('options', '')}"
    return {**_DEFAULTS, **parameters, "options": options, "client_encoding": "utf8"}


def connect(parameters: Mapping[str, Any]) -> Session:
    """Return a session of its own; raises ForeignDatabaseError."""
    return Session(_connection(parameters))


def connect_to_read(parameters: Mapping[str, Any]) -> Session:
    """Return a session that an event loop may wait for; raises ForeignDatabaseError."""
    return Session(_connection(parameters, f"{_OPTIONS} {_READING}"))


def connect_patiently(parameters: Mapping[str, Any]) -> SnapshotSession:
    """Return a session for large results, which may take long; raises ForeignDatabaseError."""
    session = SnapshotSession(_connection(parameters))
    try:
        for statement in PATIENT:
            session.execute(statement)
    except ForeignDatabaseError:
        session.close()
        raise
    return session


def connect_to_load(parameters: Mapping[str, Any]) -> LoadingSession:
    """Return a session that adds many rows at once; raises ForeignDatabaseError."""
    return LoadingSession(_connection(parameters))


def _connection(parameters: Mapping[str, Any], usual: str = _OPTIONS) -> psycopg.Connection[Row]:
    try:
        connection: psycopg.Connection[Row] = psycopg.connect(
            **dialled(parameters, usual), autocommit=True, cursor_factory=RawCursor
        )
    except psycopg.Error as error:
        raise fault_of(error) from error
    connection.adapters.register_loader("numeric", _WholeLoader)
    return connection
