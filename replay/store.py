"""What the rest of this package needs of a database, whichever one keeps the ledger.

Statements are written in one small dialect: `?` for parameters, the types TEXT, INTEGER and BLOB,
and nothing that only one database understands. A store translates them where it has to.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeAlias

from replay.blobs.store import Collectable
from replay.errors import DATABASE_ERRORS, is_busy, is_outdated, is_unavailable, unavailable
from replay.steps import Steps, taken

Row: TypeAlias = tuple[Any, ...]
BUSY_PAUSE: Final = 0.002


class Cursor(Protocol):
    """The rows that a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""

    def fetchone(self) -> Any:
        """Return the next row, None behind the last."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Return at most so many of the next rows."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""


class Connection(Protocol):
    """One session; transactions begin and end where its owner says so."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has begun and not ended."""

    def execute(self, statement: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""

    def executemany(self, statement: str, rows: Iterable[Row], /) -> object:
        """Run an INSERT, or a DELETE by key, once for each row."""


class Loader(Protocol):
    """A session that adds many rows at once."""

    def executemany(self, statement: str, rows: Iterable[Row], /) -> object:
        """Run a plain INSERT once for each row."""


class SqlReader:
    """Answers SELECTs on a connection of its own with plain tuples."""

    def __init__(self, connection: Connection) -> None:
        """Read through `connection`."""
        self._connection = connection

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return all rows; raises StoreUnavailableError when the store cannot be read.

        So it does while a read model of an older release has not been rebuilt.
        """
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except DATABASE_ERRORS as error:
            if is_unavailable(error) or is_outdated(error):
                raise unavailable(error) from error
            raise


class Writer(Protocol):
    """The one writing session of a process, opened anew after any failure."""

    @property
    def lock_timeout(self) -> float:
        """How many seconds another process that writes is worth waiting for."""

    @property
    def far(self) -> bool:
        """Whether answers take so long that it pays to ask for many things at once."""

    def begin(self) -> Connection:
        """Take the write lock; raises an error that `is_busy` when another process holds it."""

    def beginning(self) -> Steps[Connection]:
        """Begin to take the write lock; a store that is `far` away is not waited for here.

        There a lock that another process holds is waited for, up to the lock timeout.
        """

    def push(self) -> None:
        """Let the store begin with what it has been sent."""

    def answered(self) -> Steps[None]:
        """Wait for everything that has been asked for; raises what went wrong with it."""

    @property
    def broken(self) -> bool:
        """Whether the session has turned out to be of no use any more."""

    @property
    def connection(self) -> Connection:
        """The session, whether or not it is in a transaction."""

    def disturbed(self) -> bool:
        """Whether another session has written since the last time this was asked."""

    def sync(self, *, durably: bool) -> None:
        """Choose whether the commits to come survive a crash of the machine, not only of us."""

    def try_out(self) -> None:
        """Commit something that has to be written, to see whether that works."""

    def commit(self) -> None:
        """Make the transaction durable; after an error nobody knows whether it is.

        Unless the error is `is_undone`: statements may be sent without waiting for each, so that
        it is here that one of them is found to have failed.
        """

    def committing(self) -> Steps[None]:
        """Commit in steps, as `commit` does."""

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""

    def rolling_back(self) -> Steps[None]:
        """Undo in steps a transaction in which nothing failed."""

    def reset(self) -> None:
        """Undo the transaction and drop the session; the next use opens a new one."""


class Access(Protocol):
    """How a process reads and writes a store beside the event-store library's own pool."""

    @property
    def place(self) -> str:
        """What an operator knows the store by; it holds no secret."""

    @property
    def beside(self) -> str:
        """What the names of files that belong to the store begin with."""

    @property
    def live(self) -> SqlReader:
        """A reader that sees each commit at once."""

    @property
    def writer(self) -> Writer:
        """The writing session."""

    def snapshot(self, *, large: bool = False) -> AbstractContextManager[Connection]:
        """Return a context manager giving a session whose selects all see the same commit.

        A `large` one is for results that do not fit into memory. Raises StoreUnavailableError.
        """

    def damage(self, connection: Connection) -> str:
        """Return what is wrong with the store below its tables, as far as it can be asked."""

    def blobs(self) -> Collectable:
        """Return where the store keeps bytes beside its events."""

    def node(self) -> int:
        """Return a number that tells this process from the others on the store."""

    def leads(self) -> bool:
        """Whether this process is the one that does what has to be done once."""

    async def watch(self, heard: Callable[[], None]) -> None:
        """Call `heard` when another process has committed, as far as the store tells."""

    def apart(self) -> AbstractContextManager[Connection]:
        """Return a context manager giving a session of its own in a transaction.

        It is committed at the end. What is written so is no part of the ledger, and read models
        have nothing to do with it. Raises StoreUnavailableError.
        """

    def loading(self) -> AbstractContextManager[Loader]:
        """Return a context manager giving a session that adds many rows to tables nobody uses yet.

        What it was given is committed at the end at the latest. Raises StoreUnavailableError.
        """

    @property
    def served(self) -> bool:
        """Whether somebody else may be waiting for the write lock."""

    @property
    def drops_freely(self) -> bool:
        """Whether nobody has to wait while a table is dropped, however large it is."""

    def alone(self, work: str) -> AbstractContextManager[None]:
        """Keep others from the same work; raises StoreInUseError when somebody is at it."""

    def attached(self, path: str) -> AbstractContextManager[str]:
        """Return a context manager giving the schema of an SQLite file for the writing session.

        It is empty where the store cannot read such a file.
        """

    def committed(self) -> None:
        """Take note of a commit of this process."""

    def close(self) -> None:
        """Close every session."""


def begun(writer: Writer, ask: Callable[[Connection], None] = lambda _: None) -> Steps[Connection]:
    """Take the write lock in steps and return the writing session in a transaction.

    `ask` may ask for what is needed next; it has been answered at the end. A session that turns
    out to have ended is opened anew. Raises one of DATABASE_ERRORS.
    """
    for anew in (False, True):
        try:
            connection = yield from writer.beginning()
            ask(connection)
            yield from writer.answered()
        except DATABASE_ERRORS:
            if not writer.broken:
                writer.rollback()
                raise
            writer.reset()
            if anew:
                raise
        else:
            return connection
    raise AssertionError


def locked(writer: Writer, seconds: float) -> Connection:
    """Return the writing session in a transaction, the write lock taken.

    Raises one of DATABASE_ERRORS, also when another process still holds the lock after `seconds`.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            return taken(begun(writer))
        except DATABASE_ERRORS as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
        time.sleep(BUSY_PAUSE)
