"""SQLite connections: how they are opened, read through, written through and checkpointed."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

from eventsourcing import persistence
from eventsourcing import sqlite as library

from replay.blobs.files import FileBlobs
from replay.errors import (
    StoreOpenError,
    is_damaged,
    is_read_only,
    is_unavailable,
    unavailable,
)
from replay.lock import StoreLock, live_server
from replay.steps import Steps
from replay.store import Connection, SqlReader

DEFAULT_LOCK_TIMEOUT: Final = 5
"""Seconds to wait for another process that writes."""

_STATEMENTS: Final = 256
_WRITER_CACHE_KIB: Final = 64 << 10
_READER_CACHE_KIB: Final = 32 << 10
_POOL_CACHE_KIB: Final = 4 << 10
_CHECKPOINT_SECONDS: Final = 0.25
_WAL_PAGES: Final = 8192
_WAL_BYTES: Final = 64 << 20
_TABLES: Final = "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'"
# As much as a large command writes, because on a full disk a page or two may still find room, and
# another value each time, because SQLite does not write what stays the same.
_WRITE_SOMETHING: Final = "REPLACE INTO meta VALUES ('last_write_check', randomblob(65536))"


def prepare_path(db_name: str) -> None:
    """Create the folder of a database file; raises StoreOpenError for what cannot be a store."""
    if db_name.startswith("file:") or library.SQLiteConnectionPool.detect_memory_mode(db_name):
        return
    path = Path(db_name)
    try:
        if path.is_dir():
            message = f"{db_name} is a directory, not a database file"
            raise StoreOpenError(message)
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{db_name} cannot be a database file: {error.strerror}"
        raise StoreOpenError(message) from error
    found = _tables_of(path) if path.is_file() else set()
    if found and "stored_events" not in found:
        message = f"{db_name} is the database of another program: it has tables, and no events"
        raise StoreOpenError(message)


def _tables_of(path: Path) -> set[str]:
    """Return the names of the tables in a file, none when it cannot be read: opening it tells."""
    try:
        # A plain connection could change the journal mode of a file that is not ours.
        address = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            return {name for (name,) in connection.execute(_TABLES)}
    except sqlite3.Error:
        return set()


def connect(
    db_name: str, *, timeout: float, cache_kib: int = _POOL_CACHE_KIB
) -> sqlite3.Connection:
    """Return a connection in WAL mode whose commits are durable; raises sqlite3.Error.

    A file that may only be read, such as a copy in an archive, is left in the mode it has.
    """
    connection = sqlite3.connect(
        db_name,
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    try:
        _log_ahead(connection)
        for pragma in (
            "synchronous=FULL",
            f"cache_size=-{cache_kib}",
            f"journal_size_limit={_WAL_BYTES}",
            "temp_store=MEMORY",
            # Some builds write zeros over every page that is set free; within pages that are
            # written anyway what was removed is still wiped.
            "secure_delete=FAST",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    # The change is stored in the file, so it costs nothing from the second time on.
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if not is_read_only(error):
            raise


class ImmediateTransaction(library.SQLiteTransaction):
    """A transaction that takes the write lock at once, so that it cannot fail half way."""

    def __enter__(self) -> library.SQLiteCursor:
        """Begin; writers with BEGIN IMMEDIATE."""
        cursor = self.connection.cursor()
        try:
            cursor.execute("BEGIN IMMEDIATE" if self.commit else "BEGIN")
        except sqlite3.OperationalError as error:
            raise persistence.OperationalError(error) from error
        return cursor


class LedgerConnection(library.SQLiteConnection):
    """A pooled connection of the library with our transactions."""

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[library.SQLiteCursor]:
        """Yield the cursor of a transaction."""
        with ImmediateTransaction(self, commit=commit) as cursor, cursor:
            yield cursor


class LedgerConnectionPool(library.SQLiteConnectionPool):
    """The library's pool with our pragmas; it also opens the connections outside the pool."""

    def connect(
        self, *, cache_kib: int = _POOL_CACHE_KIB, timeout: float = -1
    ) -> sqlite3.Connection:
        """Return a connection of one's own; raises sqlite3.Error."""
        if timeout < 0:
            timeout = self.lock_timeout or DEFAULT_LOCK_TIMEOUT
        return connect(self.db_name, timeout=timeout, cache_kib=cache_kib)

    def _create_connection(self) -> LedgerConnection:
        try:
            connection = self.connect()
        except sqlite3.Error as error:
            message = f"{self.db_name} cannot be opened as an SQLite database: {error}"
            raise StoreOpenError(message) from error
        self.is_journal_mode_wal = not self.is_sqlite_memory_mode
        connection.row_factory = sqlite3.Row
        return LedgerConnection(connection, self.max_age)


class Writer:
    """The one writing connection of a process, re-opened after any failure.

    Its busy timeout is zero: whoever calls decides how to wait without blocking an event loop.
    """

    far = broken = False

    def __init__(self, pool: LedgerConnectionPool) -> None:
        """Open the connection when it is first needed."""
        self._pool = pool
        self._connection: sqlite3.Connection | None = None
        self._version = 0
        self.lock_timeout: float = pool.lock_timeout or DEFAULT_LOCK_TIMEOUT

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; raises sqlite3.Error when it cannot be opened."""
        if self._connection is None:
            self._connection = self._pool.connect(cache_kib=_WRITER_CACHE_KIB, timeout=0)
            self._connection.execute("PRAGMA wal_autocheckpoint=0")
        return self._connection

    def begin(self) -> sqlite3.Connection:
        """Take the write lock; raises sqlite3.Error, also when another process holds it."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def beginning(self) -> Steps[sqlite3.Connection]:
        """Take the write lock, as `begin` does."""
        yield from ()
        return self.begin()

    def push(self) -> None:
        """Do nothing: what was sent has been done."""

    def answered(self) -> Steps[None]:
        """Return: what was asked has been answered."""
        yield from ()

    def disturbed(self) -> bool:
        """Whether another connection has written since the last time this was asked."""
        version = self.connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._version = self._version, version
        return bool(before != version)

    def sync(self, *, durably: bool) -> None:
        """Choose whether the commits to come survive a crash of the machine, not only of us."""
        self.connection.execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")

    def try_out(self) -> None:
        """Commit something that has to be written; raises sqlite3.Error."""
        self.begin().execute(_WRITE_SOMETHING)
        self.commit()

    def commit(self) -> None:
        """Make the transaction durable; after an error nobody knows whether it is."""
        self.connection.commit()

    def committing(self) -> Steps[None]:
        """Commit, as `commit` does."""
        yield from ()
        self.commit()

    def rollback(self) -> None:
        """Undo the transaction, if there is one."""
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def rolling_back(self) -> Steps[None]:
        """Undo the transaction, as `rollback` does."""
        yield from ()
        self.rollback()

    def reset(self) -> None:
        """Undo the transaction and drop the connection; the next use opens a new one."""
        self._version = 0
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.rollback()
            connection.close()


class Checkpointer:
    """Moves the write-ahead log into the database beside the writer, on a thread of its own.

    The log stays short, which keeps a restart fast, and no commit ever pays for the move.
    """

    def __init__(self, pool: LedgerConnectionPool, *, log_pages: int = _WAL_PAGES) -> None:
        """Start the thread; a log of more than `log_pages` pages is made to start anew."""
        self.grown = False
        self._log_pages = log_pages
        self._pool = pool
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="wal-checkpoint", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        while not self._stopping.wait(_CHECKPOINT_SECONDS):
            if not self.grown:
                continue
            self.grown = False
            try:
                connection = connection or self._pool.connect(timeout=_CHECKPOINT_SECONDS)
                self._checkpoint(connection)
            except sqlite3.Error:
                # The writer meets the same trouble and reports it; the next round tries again.
                self.grown = True
        if connection is not None:
            connection.close()

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # Under load the log is never empty at the moment a writer could start it anew, so it
        # would grow for ever: take the write lock once, for the few pages that are left by then.
        if pages > self._log_pages:
            for mode in ("PASSIVE", "PASSIVE", "RESTART"):
                connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()


class SQLiteAccess:
    """How a process reads and writes the file beside the library's pool."""

    def __init__(self, pool: LedgerConnectionPool) -> None:
        """Open connections from `pool` as they are needed; raises StoreOpenError without a file."""
        if pool.is_sqlite_memory_mode:
            message = "the ledger needs a database file: an SQLite database in memory has no log"
            raise StoreOpenError(message)
        self.pool = pool
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self.place = self.beside = pool.db_name
        self.writer = Writer(pool)
        self._live = self._open(_READER_CACHE_KIB)
        self.live = SqlReader(self._live)
        self.checkpointer = Checkpointer(pool)

    def _open(self, cache_kib: int = _POOL_CACHE_KIB) -> sqlite3.Connection:
        connection = self.pool.connect(cache_kib=cache_kib)
        connection.execute("PRAGMA query_only=ON")
        return connection

    @contextmanager
    def snapshot(self, *, large: bool = False) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose selects all see the ledger as it is at the first of them.

        Any thread may ask for one, and keeps it for itself. Rows are fetched as they are asked for,
        so a `large` result is nothing special.
        """
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            if connection.in_transaction:
                connection.rollback()
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    @contextmanager
    def apart(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of its own in a transaction, which is committed at the end."""
        try:
            with closing(self.pool.connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            if is_unavailable(error):
                raise unavailable(error) from error
            raise

    loading = apart

    def damage(self, connection: Connection) -> str:
        """Return the first thing that is wrong with the pages or the indexes of the file."""
        try:
            ((found,),) = connection.execute("PRAGMA integrity_check(1)")
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            found = str(error)
        return "" if found == "ok" else " ".join(found.split())

    def blobs(self) -> FileBlobs:
        """Return where bytes are kept beside the file."""
        return FileBlobs(Path(f"{self.beside}.blobs"))

    def node(self) -> int:
        """Return a number that differs from start to start: one process serves a file at a time."""
        return secrets.randbelow(1 << 16)

    def leads(self) -> bool:
        """Always: nobody else serves the file."""
        return True

    async def watch(self, heard: Callable[[], None]) -> None:
        """Return: a file tells nothing, it has to be looked at."""

    @property
    def served(self) -> bool:
        """Whether a server has the file."""
        return live_server(self.place) is not None

    @property
    def drops_freely(self) -> bool:
        """Whether nobody waits for the one write lock of the file."""
        return not self.served

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Keep other processes from the same work; raises StoreInUseError when one is at it."""
        lock = StoreLock(f"{self.beside}.rebuild-{work}")
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def attached(self, path: str) -> Iterator[str]:
        """Let the writing connection read another file; no transaction may be open."""
        connection = self.writer.connection
        connection.execute("ATTACH ? AS made", (f"{Path(path).absolute().as_uri()}?mode=ro",))
        try:
            yield "made"
        finally:
            with suppress(sqlite3.Error):
                connection.execute("DETACH made")

    def committed(self) -> None:
        """Let the log of the commits be moved into the database soon."""
        self.checkpointer.grown = True

    def close(self) -> None:
        """Close every connection that is not in use."""
        if self._closed:
            return
        self._closed = True
        self.checkpointer.close()
        self.writer.reset()
        for connection in (self._live, *self._idle):
            connection.close()
        self._idle.clear()
