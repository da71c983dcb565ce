"""Blobs as large objects of the database: they are in its transactions, replicas and backups."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO, Any, Final

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg_pool import AsyncConnectionPool

from domain.values import Blob
from replay.blobs.spool import spooled
from replay.blobs.store import PIECE, BlobMissingError, end_of, failing_as_unavailable
from replay.errors import unavailable
from replay.postgresql.opening import place_of
from replay.postgresql.pipeline import fault_of
from replay.postgresql.sessions import dialled
from replay.store import Row

_SESSIONS: Final = 4
_WRITERS: Final = 2
"""How many sessions write at most, so that reads, which take one for a moment, find another."""

_SECONDS: Final = 10.0
_PAGE: Final = 1_000
_FIND: Final = "SELECT object FROM blobs WHERE sha256 = $1 AND size = $2"
_CREATE: Final = "SELECT lo_create(0)"
_WRITE: Final = "SELECT lo_put($1, $2, $3)"
_READ: Final = "SELECT lo_get($1, $2, $3)"
_NAME: Final = "INSERT INTO blobs VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_AGE: Final = (
    f"INSERT INTO blob_ages VALUES ($1, {_NOW})"
    " ON CONFLICT (sha256) DO UPDATE SET put_at = excluded.put_at"
)
_HOLD: Final = f"{_FIND} FOR KEY SHARE"
_TAKE: Final = f"{_FIND} FOR UPDATE"
_BEGIN_TO_AGE: Final = (
    f"INSERT INTO blob_ages SELECT sha256, {_NOW} FROM blobs WHERE NOT EXISTS"
    " (SELECT FROM blob_ages AS known WHERE known.sha256 = blobs.sha256) ON CONFLICT DO NOTHING"
)
_IS_OLD: Final = f"put_at <= {_NOW} - ($1::float8 * 1000000)::bigint"
_AGED: Final = (
    "SELECT sha256, size FROM blobs JOIN blob_ages USING (sha256)"
    f" WHERE {_IS_OLD} AND sha256 > $2 ORDER BY sha256 LIMIT {_PAGE}"
)
_OLD: Final = f"SELECT 1 FROM blob_ages WHERE {_IS_OLD} AND sha256 = $2"
_REMOVE: Final = (
    "SELECT lo_unlink($1)",
    "DELETE FROM blobs WHERE object = $1",
)
_FORGET_AGE: Final = "DELETE FROM blob_ages WHERE sha256 = $1"

Session = AsyncConnection[Row]


class _Sessions:
    """The few sessions that a process has for blobs; they belong to one event loop."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.writers = asyncio.Semaphore(_WRITERS)
        self.pool = AsyncConnectionPool(
            connection_class=Session,
            kwargs={
                **dialled(parameters),
                "autocommit": True,
                "cursor_factory": AsyncRawCursor,
            },
            min_size=0,
            max_size=_SESSIONS,
            timeout=_SECONDS,
            check=AsyncConnectionPool.check_connection,
            open=False,
        )


class LargeObjectBlobs:
    """Keeps blobs in the database of the events.

    A large object and its row are written in one transaction, so that one which was not finished
    leaves nothing.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Connect with these parameters when a blob is first needed."""
        self.place = f"large objects of {place_of(parameters)}"
        self._parameters = parameters
        self._sessions: _Sessions | None = None

    def _opened(self) -> "_Sessions":
        if self._sessions is None:
            self._sessions = _Sessions(self._parameters)
        return self._sessions

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        """Yield a session whose statements are transactions of their own."""
        pool = self._opened().pool
        try:
            await pool.open()
            async with pool.connection() as session:
                yield session
        except psycopg.Error as error:
            fault = fault_of(error)
            if fault.unavailable:
                raise unavailable(fault) from error
            raise fault from error

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keep these bytes; raises StoreUnavailableError."""
        async with spooled(chunks, tempfile.TemporaryFile) as (file, blob):
            if not await self.renew(blob):
                async with self._opened().writers, self._session() as session:
                    await _write(session, file, blob)
        return blob

    async def read(
        self, blob: Blob, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes; raises BlobMissingError and StoreUnavailableError."""
        end = end_of(blob, stop)
        found = await self._value(_FIND, blob.sha256, blob.size)
        if found is None:
            raise BlobMissingError(blob, self.place)
        while start < end:
            piece = await self._value(_READ, found, start, min(PIECE, end - start))
            if not piece:
                raise BlobMissingError(blob, self.place)
            yield piece
            start += len(piece)

    async def has(self, blob: Blob) -> bool:
        """Return whether bytes of this digest and size are here; raises StoreUnavailableError."""
        return await self._value(_FIND, blob.sha256, blob.size) is not None

    async def renew(self, blob: Blob) -> bool:
        """Return whether bytes are here; they then count as put just now.

        Raises StoreUnavailableError.
        """
        async with self._session() as session, session.transaction():
            # Who removes them waits for this, or this for who removes them.
            if await _value(session, _HOLD, blob.sha256, blob.size) is None:
                return False
            await session.execute(_AGE.encode(), (blob.sha256,))
        return True

    async def aged(self, seconds: float) -> AsyncIterator[Blob]:
        """Yield the blobs that were last put so long ago; raises StoreUnavailableError.

        Those of whom that is not known begin to age now.
        """
        async with self._session() as session:
            await session.execute(_BEGIN_TO_AGE.encode())
        last = ""
        while True:
            async with self._session() as session:
                cursor = await session.execute(_AGED.encode(), (seconds, last))
                page = await cursor.fetchall()
            for sha256, size in page:
                yield Blob(sha256, size)
            if len(page) < _PAGE:
                return
            last = page[-1][0]

    async def remove(self, blob: Blob, seconds: float) -> bool:
        """Remove bytes unless they were put again; raises StoreUnavailableError."""
        async with self._session() as session, session.transaction():
            found = await _value(session, _TAKE, blob.sha256, blob.size)
            # Asked behind the lock, so that this sees what a put has written that had it before.
            if found is None or await _value(session, _OLD, seconds, blob.sha256) is None:
                return False
            for statement in _REMOVE:
                await session.execute(statement.encode(), (found,))
            await session.execute(_FORGET_AGE.encode(), (blob.sha256,))
        return True

    async def _value(self, statement: str, *parameters: object) -> Any:
        async with self._session() as session:
            return await _value(session, statement, *parameters)

    async def sweep(self) -> None:
        """Do nothing: the database undoes what was not finished."""

    async def close(self) -> None:
        """Close the sessions."""
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            await sessions.pool.close()


async def _value(session: Session, statement: str, *parameters: object) -> Any:
    cursor = await session.execute(statement.encode(), parameters, prepare=True, binary=True)
    row = await cursor.fetchone()
    return row[0] if row else None


async def _write(session: Session, file: IO[bytes], blob: Blob) -> None:
    """Write a large object and its row; of those who write the same one at once, one does."""
    async with session.transaction() as transaction:
        found = await _value(session, _CREATE)
        file.seek(0)
        position = 0
        while position < blob.size:
            with failing_as_unavailable():
                piece = await asyncio.to_thread(file.read, PIECE)
            await session.execute(_WRITE.encode(), (found, position, piece), prepare=True)
            position += len(piece)
        named = await session.execute(_NAME.encode(), (blob.sha256, blob.size, found))
        if not named.rowcount:
            raise psycopg.Rollback(transaction)
        await session.execute(_AGE.encode(), (blob.sha256,))
