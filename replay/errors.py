"""What can go wrong with the store, as opposed to a refusal of the domain."""

import sqlite3
from typing import Final

from eventsourcing.persistence import OperationalError, PersistenceError

_UNAVAILABLE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
_OUTDATED: Final = "no such column"


class ReplayError(Exception):
    """Base of the errors of this package; the text is one line."""


class StoreUnavailableError(ReplayError):
    """The store cannot take or give data now: disk full, I/O error, locked. A retry may succeed."""


class ForeignDatabaseError(Exception):
    """What a database client raised, where it is not SQLite's: `busy` when a lock was not had.

    `unavailable` says that the store, and not the statement, is the reason; `outdated` that a
    column is not there; `undone` that a transaction that was to be committed surely was not.
    """

    def __init__(
        self,
        error: BaseException | str,
        *,
        busy: bool = False,
        unavailable: bool = False,
        outdated: bool = False,
        undone: bool = False,
    ) -> None:
        """Keep what kind of error it was; the text is one line."""
        self.busy = busy
        self.outdated = outdated
        self.unavailable = unavailable or busy
        self.undone = undone
        super().__init__(" ".join(str(error).split()))


DATABASE_ERRORS: Final = (sqlite3.Error, ForeignDatabaseError)
"""What running a statement may raise."""


class StoreOpenError(ReplayError):
    """The configured store cannot be used as it is: wrong file, newer schema, stale read model."""


class StoreInUseError(ReplayError):
    """Another process holds the store; `pid` and `url` tell which, 0 and empty if unknown."""

    def __init__(self, path: str, pid: int, url: str) -> None:
        """Keep who holds the store at `path`."""
        self.path = path
        self.pid = pid
        self.url = url
        where = f" at {url}" if url else ""
        who = f"the server with process id {pid}" if pid else "another process"
        super().__init__(f"{path} is in use by {who}{where}")


def _result_code(error: BaseException | None) -> int:
    """Return SQLite's primary result code, 0 for an error of another origin."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0


def is_busy(error: BaseException) -> bool:
    """Whether another connection holds the lock that was asked for."""
    if isinstance(error, ForeignDatabaseError):
        return error.busy
    return _result_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damaged(error: BaseException) -> bool:
    """Whether a database file is not as SQLite left it."""
    return _result_code(error) == sqlite3.SQLITE_CORRUPT


def is_read_only(error: BaseException) -> bool:
    """Whether a database file may only be read."""
    return _result_code(error) == sqlite3.SQLITE_READONLY


def is_unavailable(error: BaseException) -> bool:
    """Whether the store, and not the command at hand, is the reason of an error."""
    if isinstance(error, StoreUnavailableError):
        return True
    if isinstance(error, PersistenceError):
        cause = error.__cause__
        return isinstance(error, OperationalError) if cause is None else is_unavailable(cause)
    if isinstance(error, ForeignDatabaseError):
        return error.unavailable
    return _result_code(error) in _UNAVAILABLE


def is_undone(error: BaseException) -> bool:
    """Whether a commit failed because of what went before it, so that nothing was committed."""
    return isinstance(error, ForeignDatabaseError) and error.undone


def is_outdated(error: BaseException) -> bool:
    """Whether rows are not of the shape asked for: a read model waits for its rebuild."""
    if isinstance(error, ForeignDatabaseError):
        return error.outdated
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith(_OUTDATED)


def unavailable(error: BaseException) -> StoreUnavailableError:
    """Return a new error for one caller, with `error` as its cause."""
    told = isinstance(error, StoreUnavailableError)
    described = StoreUnavailableError(
        str(error) if told else f"the store is not available: {error}"
    )
    described.__cause__ = error
    return described


def described(error: BaseException) -> str:
    """Return an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
