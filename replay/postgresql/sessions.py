"""PostgreSQL sessions: how they are opened, read through and written through."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final

import psycopg
from psycopg import RawCursor, RawServerCursor, pq
from psycopg.types.numeric import IntLoader

from replay.errors import ForeignDatabaseError
from replay.postgresql.dialect import over_rows, translated
from replay.postgresql.parameters import Parameter, column, scalar
from replay.postgresql.pipeline import Answer, Pipeline, fault_of
from replay.store import Row

CHANNEL: Final = "taskledger"
"""Where a commit is told of; what it was is read from the log."""

LOCK: Final = 0x7461_736B
"""The advisory lock of all who write: sequences become visible in the order of commits."""

_PAGE: Final = 2_000
OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "application_name": "taskledger",
    "client_encoding": "utf8",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # A process that hangs must not hold the lock of all writers for ever.
    "options": "-c synchronous_commit=on -c statement_timeout=30s -c lock_timeout=5s"
    " -c idle_in_transaction_session_timeout=15s",
}
PATIENT: Final = ("SET statement_timeout=0", "SET idle_in_transaction_session_timeout=0")


class Session:
    """A connection that takes this package's statements."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`, which commits only when it is told to."""
        self.raw = connection
        self.pipeline = Pipeline(connection)
        self.lazy = False
        self._turn = Lock()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""
        return self.raw.info.transaction_status != pq.TransactionStatus.IDLE

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a statement; raises ForeignDatabaseError.

        A `lazy` session does so once it waits for an answer; until then the statements are on
        their way.
        """
        return self._run(translated(statement), [scalar(value) for value in parameters])

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Run an INSERT, or a DELETE by key, for all rows at once, as `execute` does."""
        found = list(rows)
        if found:
            whole = over_rows(statement, tuple(type(value) for value in found[0]))
            self._run(translated(whole), [column(each) for each in zip(*found, strict=True)])

    def _run(self, statement: str, parameters: Sequence[Parameter]) -> Answer:
        if self.lazy:
            return self.pipeline.send(statement.encode(), parameters)
        # Reading sessions are used by threads as well.
        with self._turn:
            answer = self.pipeline.send(statement.encode(), parameters)
            self.pipeline.wait()
        return answer

    def rollback(self) -> None:
        """Undo the transaction; raises ForeignDatabaseError when the connection is broken."""
        with suppress(ForeignDatabaseError):
            # What was sent before may have failed, and then nothing behind it is done.
            self.pipeline.wait()
        self.lazy = False
        self.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


class LiveSession:
    """Selects on a session that is opened anew when it breaks, as when the server restarts."""

    def __init__(self, connect: Callable[[], Session]) -> None:
        """Open the first session; raises ForeignDatabaseError."""
        self._connect = connect
        self._session = connect()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun: each SELECT is one of its own."""
        return False

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Answer:
        """Run a SELECT, once more on a new session; raises ForeignDatabaseError."""
        try:
            return self._session.execute(statement, parameters)
        except ForeignDatabaseError:
            if not self._session.raw.broken and not self._session.raw.closed:
                raise
        self._session.close()
        self._session = self._connect()
        return self._session.execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Row]) -> None:
        """Refuse: this session reads."""
        raise ForeignDatabaseError(f"not a SELECT: {statement}, {rows}")

    def close(self) -> None:
        """Close the session."""
        self._session.close()


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
                return self.raw.execute(query, parameters, prepare=True)
            cursor = RawServerCursor(self.raw, f"c{len(self._cursors)}")
            cursor.itersize = _PAGE
            self._cursors.append(cursor)
            return cursor.execute(query)
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


def value_of(answer: Answer) -> Any:
    """Return the one value that a statement gave, None when it gave no row."""
    row = answer.fetchone()
    return row[0] if row else None


def connect(parameters: Mapping[str, Any]) -> Session:
    """Return a session of its own; raises ForeignDatabaseError."""
    return Session(_connection(parameters))


def connect_patiently(parameters: Mapping[str, Any]) -> SnapshotSession:
    """Return a session for large results, which may take long; raises ForeignDatabaseError."""
    connection = _connection(parameters)
    for statement in PATIENT:
        connection.execute(statement.encode())
    return SnapshotSession(connection)


def _connection(parameters: Mapping[str, Any]) -> psycopg.Connection[Row]:
    try:
        connection: psycopg.Connection[Row] = psycopg.connect(
            **parameters, **OPTIONS, autocommit=True, cursor_factory=RawCursor
        )
    except psycopg.Error as error:
        raise fault_of(error) from error
    # Sums of whole numbers are whole numbers.
    connection.adapters.register_loader("numeric", IntLoader)
    return connection
