"""The writing session of a process: one lock of all writers, and one round trip for each commit."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from replay.errors import ForeignDatabaseError
from replay.postgresql.pipeline import Answer
from replay.postgresql.rest import Rest
from replay.postgresql.sessions import CHANNEL, LOCK, Session, value_of
from replay.steps import InThread, Steps, taken

_TRY_LOCK: Final = f"SELECT pg_try_advisory_xact_lock({LOCK})"
_TAKE_LOCK: Final = f"SELECT pg_advisory_xact_lock({LOCK})"
_WRITES: Final = "SELECT value FROM ledger_writes"
_COUNT_WRITE: Final = "UPDATE ledger_writes SET value = value + 1 RETURNING value"
_LOCK_TIMEOUT: Final = 5.0


class Writer:
    """The one writing session of a process, opened anew after any failure.

    All writers of a ledger, in whatever process, take turns by an advisory lock.
    """

    far = True

    def __init__(
        self, connect: Callable[[], Session], lock_timeout: float = 0, rest: Rest | None = None
    ) -> None:
        """Open the session when it is first needed."""
        self._connect = connect
        self._rest = rest or Rest()
        self._session: Session | None = None
        self._writes: Answer | None = None
        self._seen = -1
        self.lock_timeout = lock_timeout or _LOCK_TIMEOUT

    @property
    def connection(self) -> Session:
        """The session; raises ForeignDatabaseError when it cannot be opened."""
        if self._session is None:
            self._session = self._opened()
        return self._session

    def _opened(self) -> Session:
        session = self._connect()
        try:
            session.execute(f"SET lock_timeout = {round(self.lock_timeout * 1000)}")
        except ForeignDatabaseError:
            session.close()
            raise
        return session

    def begin(self) -> Session:
        """Take the write lock; raises ForeignDatabaseError, busy when somebody else holds it."""
        with self._rest.after_waiting():
            return self._begin_anew()

    def _begin_anew(self) -> Session:
        try:
            return self._begin(self.connection)
        except ForeignDatabaseError:
            # Nothing has been said in a session that was found broken.
            if not self.broken:
                raise
        self.reset()
        return self._begin(self.connection)

    def _begin(self, session: Session) -> Session:
        locked = self._ask(session, _TRY_LOCK)
        if not value_of(locked):
            self.rollback()
            message = "another process writes"
            raise ForeignDatabaseError(message, busy=True)
        return session

    def _ask(self, session: Session, lock: str) -> Answer:
        session.take()
        session.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        locked = session.execute(lock)
        self._writes = session.execute(_WRITES)
        return locked

    def beginning(self) -> Steps[Session]:
        """Ask for the write lock; raises ForeignDatabaseError without a session."""
        if self._session is None:
            # To connect may take seconds.
            with ThreadPoolExecutor(1, "connect") as threads:
                opening = InThread(threads, self._opened)
                yield opening
                self._session = opening.result()
        self._ask(self._session, _TAKE_LOCK)
        return self._session

    def push(self) -> None:
        """Let the server begin with what it has been sent; raises ForeignDatabaseError."""
        self.connection.push()

    def answered(self) -> Steps[None]:
        """Wait for everything that has been asked for; raises ForeignDatabaseError."""
        if self._session is not None:
            yield from self._session.answered()

    @property
    def broken(self) -> bool:
        """Whether the session has ended otherwise than by us."""
        return self._session is not None and self._session.broken

    def sent(self, session: int) -> bool:
        """Whether something comes from this session, of which the server gives the number."""
        return self._session is not None and self._session.number == session

    def disturbed(self) -> bool:
        """Whether another session has written since the last time this was asked."""
        before, self._seen = self._seen, self._written
        return before != self._seen

    @property
    def _written(self) -> int:
        return -1 if self._writes is None else int(value_of(self._writes))

    def sync(self, *, durably: bool) -> None:
        """Choose whether the commits to come survive a crash of the machine, not only of us."""
        self.connection.execute(f"SET synchronous_commit={'on' if durably else 'off'}")

    def try_out(self) -> None:
        """Commit something that has to be written; raises ForeignDatabaseError."""
        self.begin()
        self.commit()

    def commit(self) -> None:
        """Make the transaction durable and wake who listens; raises ForeignDatabaseError.

        After an error nobody knows whether it is durable, unless the error says that it is
        `undone`.
        """
        taken(self.committing())

    def committing(self) -> Steps[None]:
        """Commit in steps, as `commit` does."""
        session = self.connection
        written = session.execute(_COUNT_WRITE)
        session.execute(f"NOTIFY {CHANNEL}")
        session.execute("COMMIT")
        try:
            yield from session.answered()
        except ForeignDatabaseError as error:
            error.undone = written.failed
            raise
        session.release()
        if value_of(written) == self._seen + 1:
            self._seen += 1

    def rollback(self) -> None:
        """Undo the transaction, if there is one; a session that cannot is dropped, which does."""
        if self._session is not None and self._session.in_transaction:
            try:
                self._session.rollback()
            except ForeignDatabaseError:
                self.reset()

    def rolling_back(self) -> Steps[None]:
        """Undo in steps a transaction in which nothing failed."""
        if self._session is not None and self._session.in_transaction:
            try:
                yield from self._session.rolling_back()
            except ForeignDatabaseError:
                self.reset()

    def reset(self) -> None:
        """Undo the transaction and drop the session; the next use opens a new one."""
        self._writes, self._seen = None, -1
        session, self._session = self._session, None
        if session is not None:
            session.close()
