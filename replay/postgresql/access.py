"""How a process reads and writes a ledger in PostgreSQL beside the library's pool."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import psycopg

from replay.errors import ForeignDatabaseError, StoreInUseError, StoreOpenError, unavailable
from replay.postgresql.blobs import LargeObjectBlobs
from replay.postgresql.opening import place_of
from replay.postgresql.rest import Rest
from replay.postgresql.sessions import (
    CHANNEL,
    HASTE,
    LOCK,
    LiveSession,
    LoadingSession,
    Session,
    SnapshotSession,
    connect,
    connect_patiently,
    connect_to_load,
    connect_to_read,
    dialled,
    value_of,
)
from replay.postgresql.writing import Writer
from replay.store import Connection, SqlReader

S = TypeVar("S", Session, SnapshotSession)

_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCK_TIMEOUT: Final = "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'"
_LEADER: Final = 1
# Whoever asks whether it still leads does so every few seconds. The limit came with PostgreSQL 14.
_STILL_HERE: Final = (
    "SELECT set_config(name, '10s', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
)
_RECONNECT_SECONDS: Final = 0.5


@contextmanager
def _told() -> Iterator[None]:
    """Raise StoreUnavailableError where the store, and not the statement, is the reason."""
    try:
        yield
    except ForeignDatabaseError as error:
        if error.unavailable:
            raise unavailable(error) from error
        raise


def _begun(session: S) -> S:
    """Return the session in a transaction that reads; closes it when that cannot begin."""
    try:
        session.execute(_BEGIN_READING)
    except ForeignDatabaseError:
        session.close()
        raise
    return session


class PostgresAccess:
    """How a process reads and writes the database beside the library's pool."""

    def __init__(self, parameters: Mapping[str, Any], lock_timeout: float) -> None:
        """Connect with these parameters; raises StoreOpenError when that cannot be done."""
        self._parameters = parameters
        self._idle: list[Session] = []
        self._closed = False
        self.place = place_of(parameters)
        self.beside = str(_folder() / self.place.replace("/", "-").replace(":", "-"))
        self._leading: Session | None = None
        self._rest = Rest()
        try:
            with closing(self.connect()) as session:
                # What is usual, or what the operator's URL says.
                usual = int(value_of(session.execute(_LOCK_TIMEOUT))) / 1000
            self._live = LiveSession(self._connect_to_read, self._rest)
        except ForeignDatabaseError as error:
            message = f"{self.place} cannot be opened: {error}"
            raise StoreOpenError(message) from error
        self.live = SqlReader(self._live)
        self.writer = Writer(self.connect, lock_timeout or usual, self._rest)

    def connect(self) -> Session:
        """Return a session of its own; raises ForeignDatabaseError."""
        return connect(self._parameters)

    def _connect_to_read(self) -> Session:
        return connect_to_read(self._parameters)

    @contextmanager
    def snapshot(self, *, large: bool = False) -> Iterator[Session | SnapshotSession]:
        """Yield a session whose selects all see the ledger as it is at the first of them.

        Any thread may ask for one, and keeps it for itself. A `large` one fetches rows page by
        page. Raises StoreUnavailableError.
        """
        hasty = self._rest.from_a_lock and not large
        with _told(), nullcontext() if large else self._rest.after_waiting(hasty=hasty):
            session = _begun(connect_patiently(self._parameters)) if large else self._reading()
            try:
                if hasty:
                    session.execute(f"SET LOCAL {HASTE}")
                yield session
                session.execute("ROLLBACK")
            except BaseException:
                session.close()
                raise
            if isinstance(session, SnapshotSession) or self._closed:
                session.close()
            else:
                self._idle.append(session)

    def _reading(self) -> Session:
        """Return a session in a transaction; idle ones may have been broken meanwhile."""
        while True:
            try:
                idle = self._idle.pop()
            except IndexError:
                return _begun(self._connect_to_read())
            with suppress(ForeignDatabaseError):
                return _begun(idle)

    @contextmanager
    def apart(self) -> Iterator[Session]:
        """Yield a session of its own in a transaction, which is committed at the end."""
        with _told(), closing(self.connect()) as session:
            session.execute("BEGIN")
            yield session
            session.execute("COMMIT")

    @contextmanager
    def loading(self) -> Iterator[LoadingSession]:
        """Yield a session that adds many rows at once; raises StoreUnavailableError."""
        with _told(), closing(connect_to_load(self._parameters)) as session:
            yield session

    def damage(self, _connection: Connection) -> str:
        """Return nothing: a database server tells of no damage until it meets it."""
        return ""

    def blobs(self) -> LargeObjectBlobs:
        """Return where the database keeps bytes beside its events."""
        return LargeObjectBlobs(self._parameters)

    def node(self) -> int:
        """Return a number that no other process had lately; raises ForeignDatabaseError."""
        return int(value_of(self._live.execute("SELECT nextval('ledger_nodes')")))

    def leads(self) -> bool:
        """Whether this process is the one that does what has to be done once.

        When the leader's session ends, in whatever way, another one leads; so it does when the
        leader has asked again and then does not any more. Raises StoreUnavailableError.
        """
        try:
            with self._rest.after_waiting():
                return self._leads()
        except ForeignDatabaseError as error:
            raise unavailable(error) from error

    def _leads(self) -> bool:
        if self._leading is not None and not self._leading.broken:
            try:
                self._leading.execute(_STILL_HERE)
            except ForeignDatabaseError:
                self._leading.close()
            else:
                return True
        self._leading = None
        session = self._connect_to_read()
        try:
            if value_of(session.execute(f"SELECT pg_try_advisory_lock({LOCK}, {_LEADER})")):
                self._leading = session
        finally:
            if self._leading is None:
                session.close()
        return self._leading is not None

    async def watch(self, heard: Callable[[], None]) -> None:
        """Call `heard` whenever another process has committed, for as long as this runs."""
        while True:
            with suppress(psycopg.Error):
                connection = await psycopg.AsyncConnection.connect(
                    **dialled(self._parameters), autocommit=True
                )
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    heard()
                    async for told in connection.notifies():
                        if not self.writer.sent(told.pid):
                            heard()
            await asyncio.sleep(_RECONNECT_SECONDS)

    @property
    def served(self) -> bool:
        """Always: any host may be writing."""
        return True

    @property
    def drops_freely(self) -> bool:
        """Always: only who uses that table waits."""
        return True

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Keep other processes from the same work; raises StoreInUseError when one is at it."""
        session = self.connect()
        try:
            statement = f"SELECT pg_try_advisory_lock({LOCK}, hashtext(?))"
            if not value_of(session.execute(statement, (work,))):
                raise StoreInUseError(f"{work} in {self.place}", 0, "")
            yield
        finally:
            session.close()

    def attached(self, _path: str) -> AbstractContextManager[str]:
        """Return a context manager giving nothing: the server does not see the file."""
        return nullcontext("")

    def committed(self) -> None:
        """Do nothing: the database looks after its own log."""

    def close(self) -> None:
        """Close every session that is not in use."""
        self._closed = True
        self.writer.reset()
        for session in (self._live, self._leading, *self._idle):
            if session is not None:
                session.close()
        self._idle.clear()


def _folder() -> Path:
    """Return where files beside the database go that may be lost."""
    folder = Path(tempfile.gettempdir()) / f"taskledger-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
