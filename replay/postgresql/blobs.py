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
_FIND: Final = "SELECT object FROM blobs WHERE sha256 = $1 AND size = $2"
_CREATE: Final = "SELECT lo_create(0)"
_WRITE: Final = "SELECT lo_put($1, $2, $3)"
_READ: Final = "SELECT lo_get($1, $2, $3)"
_NAME: Final = "INSERT INTO blobs VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

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
            if not await self.has(blob):
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
