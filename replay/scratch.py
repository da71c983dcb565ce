"""Where a read model is folded anew: a file of its own beside the store.

It knows how far it has come, page by page, so that a rebuild goes on after a crash where it was.
The store is only read, so the fold is in nobody's way.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from replay.batch import Projector
from replay.fold import Fold, FoldError
from replay.rows import RowBuffer
from replay.store import SqlReader

PAGE: Final = 100_000
"""The more events at once, the more of one stream are among them, and the fewer rows to write."""

_PAGE_BYTES: Final = 64 << 20
_BYTES_OF_PAGE: Final = (
    "SELECT coalesce(sum(size), 0) FROM (SELECT length(state) AS size FROM stored_events"
    " WHERE notification_id > ? AND notification_id <= ? ORDER BY notification_id LIMIT ?) AS page"
)
_PRAGMAS: Final = (
    # Rows are mostly added, which a rollback journal does not have to keep.
    "page_size=16384",
    "journal_mode=TRUNCATE",
    "synchronous=NORMAL",
    "cache_size=-65536",
    "secure_delete=OFF",
)


def _fingerprint(projector: Projector) -> str:
    described = repr((projector.version, [table.ddl for table in projector.tables]))
    return blake2b(described.encode(), digest_size=8).hexdigest()


def remove(path: str) -> None:
    """Remove a scratch file; a missing one is no error."""
    for suffix in ("", "-journal"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()


class Scratch:
    """The rows of one read model, folded up to `position`; a sealed one is complete."""

    def __init__(self, path: str, projector: Projector, fold: Fold) -> None:
        """Open the file, or begin anew where there is none of the same projector version."""
        self.path = path
        self._projector = projector
        self.connection = self._open()
        self.position, self.digest = self._progress()
        self._rows = RowBuffer(projector.tables)
        self._rows.start(self.connection)
        self._fold = fold

    def _open(self) -> sqlite3.Connection:
        connection = _connect(self.path)
        if not _is_of(connection, _fingerprint(self._projector)):
            connection.close()
            remove(self.path)
            connection = _connect(self.path)
            self._create(connection)
        return connection

    def _create(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        connection.execute(
            "CREATE TABLE progress (fingerprint TEXT, position INTEGER, digest TEXT)"
        )
        for table in self._projector.tables:
            # Nobody looks anything up here but by key.
            connection.execute(table.ddl[0])
        values = (_fingerprint(self._projector),)
        connection.execute("INSERT INTO progress VALUES (?,0,'')", values)
        connection.commit()

    def _progress(self) -> tuple[int, str]:
        row = self.connection.execute("SELECT position, digest FROM progress").fetchone()
        return row[0], row[1]

    def take(self, source: SqlReader, upto: int, limit: int) -> int:
        """Fold one page, durably; return how many events that were. Raises FoldError."""
        try:
            return self._take(source, upto, limit)
        except FoldError:
            if not self._fold.spanning:
                raise
            # Which event it was shows when each is applied by itself.
            self._fold.spanning = False
            return self._take(source, upto, limit)

    def _take(self, source: SqlReader, upto: int, limit: int) -> int:
        connection = self.connection
        connection.execute("BEGIN")
        try:
            position, count = self._fold.page(source, self._rows, self.position, upto, limit)
            self._rows.flush()
            connection.execute("UPDATE progress SET position=?", (position,))
            connection.commit()
        except BaseException:
            connection.rollback()
            self._rows.discard()
            self._fold.forget()
            raise
        self._rows.finish()
        self.position = position
        return count

    def fold(
        self, source: SqlReader, upto: Callable[[], int], told: Callable[[int, int], None]
    ) -> None:
        """Fold until `upto()` is reached; `told` gets the position and the target of each page."""
        while self.position < (target := upto()):
            try:
                self.take(source, target, self._fitting(source, target))
            except FoldError as error:
                self._keep_before(source, error)
                raise
            told(self.position, target)

    def _fitting(self, source: SqlReader, upto: int) -> int:
        """Return how many of the next events fit into memory at once."""
        limit = PAGE
        while limit > 1:
            found = source.select(_BYTES_OF_PAGE, (self.position, upto, limit))
            if found[0][0] <= _PAGE_BYTES:
                break
            limit //= 2
        return limit

    def _keep_before(self, source: SqlReader, error: FoldError) -> None:
        while self.position < error.sequence - 1:
            upto = error.sequence - 1
            self.take(source, upto, self._fitting(source, upto))

    def hold(self, stream: str, sequence: int) -> None:
        """Keep no rows about a stream from this sequence on."""
        self._fold.hold(stream, sequence)

    def seal(self, digest: str) -> None:
        """Take note that every row is there and what they come to."""
        self.connection.execute("UPDATE progress SET digest=?", (digest,))
        self.digest = digest

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # What a crash of the machine takes away is folded again.
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _is_of(connection: sqlite3.Connection, fingerprint: str) -> bool:
    try:
        found = connection.execute("SELECT fingerprint FROM progress").fetchone()
    except sqlite3.DatabaseError:
        return False
    return bool(found == (fingerprint,))
