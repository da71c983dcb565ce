"""The writing session of a process: one lock of all writers, and one round trip for each commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from replay.errors import ForeignDatabaseError
from replay.postgresql.sessions import CHANNEL, LOCK, Session, fault_of, value_of

_LOCKED: Final = f"SELECT pg_try_advisory_xact_lock({LOCK})"
_WRITES: Final = "SELECT value FROM ledger_writes"
_COUNT_WRITE: Final = "UPDATE ledger_writes SET value = value + 1 RETURNING value"
_LOCK_TIMEOUT: Final = 5.0


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
        try:
            return self._begin(self.connection)
        except ForeignDatabaseError:
            # Nothing has been said in a session that was found broken.
            if self._session is None or not (self._session.raw.broken or self._session.raw.closed):
                raise
        self.reset()
        return self._begin(self.connection)

    def _begin(self, session: Session) -> Session:
        try:
            with session.raw.pipeline():
                session.raw.execute(b"BEGIN ISOLATION LEVEL READ COMMITTED")
                lock = session.raw.execute(_LOCKED.encode())
                writes = session.raw.execute(_WRITES.encode())
            locked, self._writes = value_of(lock), value_of(writes)
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

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let statements go to the server in one piece; raises ForeignDatabaseError at the end."""
        try:
            with self.connection.raw.pipeline():
                yield
        except psycopg.Error as error:
            raise fault_of(error) from error

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
