"""PostgreSQL sessions: how they are opened, read through and written through."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import RawCursor, RawServerCursor, errors, pq
from psycopg.types.numeric import IntLoader

from replay.errors import ForeignDatabaseError
from replay.postgresql.dialect import over_rows, translated
from replay.store import Row

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
_STATEMENTS: Final = 1_000
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
PATIENT: Final = (
    b"SET statement_timeout=0",
    b"SET idle_in_transaction_session_timeout=0",
)


def fault_of(error: psycopg.Error) -> ForeignDatabaseError:
    """Return an error of the client library as this package knows them."""
    return ForeignDatabaseError(
        error,
        unavailable=isinstance(error, _UNAVAILABLE),
        outdated=isinstance(error, errors.UndefinedColumn),
    )


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

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Run a SELECT, once more on a new session; raises ForeignDatabaseError."""
        try:
            return self._session.execute(statement, parameters)
        except ForeignDatabaseError:
            if not self._session.raw.broken and not self._session.raw.closed:
                raise
        self._session.close()
        self._session = self._connect()
        return self._session.execute(statement, parameters)

    def executemany(self, statement: str, rows: Iterable[Row]) -> psycopg.Cursor[Row]:
        """Refuse: this session reads."""
        raise ForeignDatabaseError(f"not a SELECT: {statement}, {rows}")

    def close(self) -> None:
        """Close the session."""
        self._session.close()


class SnapshotSession(Session):
    """A session for large results: what is selected as a whole is fetched page by page."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Run statements on `connection`."""
        super().__init__(connection)
        self._cursors: list[RawServerCursor[Row]] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> psycopg.Cursor[Row]:
        """Run a SELECT; raises ForeignDatabaseError."""
        if parameters or not statement.startswith("SELECT"):
            return super().execute(statement, parameters)
        cursor = RawServerCursor(self.raw, f"c{len(self._cursors)}")
        cursor.itersize = _PAGE
        self._cursors.append(cursor)
        try:
            return cursor.execute(translated(statement).encode())
        except psycopg.Error as error:
            raise fault_of(error) from error

    def close(self) -> None:
        """Close the connection and what is open on it."""
        for cursor in self._cursors:
            with suppress(psycopg.Error):
                cursor.close()
        super().close()


def value_of(cursor: psycopg.Cursor[Row]) -> Any:
    """Return the one value that a statement gave, None when it gave no row."""
    row = cursor.fetchone()
    return row[0] if row else None


def connect(parameters: Mapping[str, Any], kind: type[Session] = Session) -> Session:
    """Return a session of its own; raises ForeignDatabaseError."""
    try:
        raw: psycopg.Connection[Row] = psycopg.connect(
            **parameters, **OPTIONS, autocommit=True, cursor_factory=RawCursor
        )
    except psycopg.Error as error:
        raise fault_of(error) from error
    # Sums of whole numbers are whole numbers.
    raw.adapters.register_loader("numeric", IntLoader)
    raw.prepared_max = _STATEMENTS
    return kind(raw)
