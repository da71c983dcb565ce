"""Blobs as objects of an S3-compatible service, each named by its digest below the prefix.

Credentials come from where the client library looks for them, the `AWS_*` environment variables
first of all. It is called on threads: its asynchronous calls may abort a process that ends soon
after them (https://github.com/PyO3/pyo3-async-runtimes/issues/40).
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import IO, TYPE_CHECKING, Final, TypeVar

from domain.values import Blob
from replay.blobs.places import Bucket
from replay.blobs.spool import spooled
from replay.blobs.store import BlobMissingError, end_of
from replay.errors import StoreOpenError, StoreUnavailableError

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store
except ImportError as error:
    message = "blob_store s3://… needs the library obstore: install taskledger[s3]"
    raise StoreOpenError(message) from error

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

T = TypeVar("T")

_PIECE: Final = 4 << 20
_PART: Final = 8 << 20
_PARTS_AT_ONCE: Final = 2
_THREADS: Final = 4
_RETRIES: Final = 3
_RETRY_TIME: Final = timedelta(seconds=15)
_LONGEST_TEXT: Final = 300


class S3Blobs:
    """Keeps blobs in a bucket. An object appears as a whole, when all of it is there."""

    def __init__(self, bucket: Bucket) -> None:
        """Use `bucket`; nothing is asked of the service before it is needed."""
        self.place = f"s3://{bucket.name}/{bucket.prefix}"
        config: S3Config = {}
        client: ClientConfig = {}
        if bucket.endpoint:
            config["endpoint"] = bucket.endpoint
            client["allow_http"] = bucket.endpoint.startswith("http:")
        if bucket.region:
            config["region"] = bucket.region
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIME},
        )
        self._threads: ThreadPoolExecutor | None = None

    async def _run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, done on a thread that may take its time."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "s3-blobs")
        with self._failing_as_unavailable():
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    @contextmanager
    def _failing_as_unavailable(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, OSError) as error:
            told = str(error).partition("\n")[0][:_LONGEST_TEXT]
            raise StoreUnavailableError(f"{self.place} is not available: {told}") from error

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keep these bytes; raises StoreUnavailableError."""
        async with spooled(chunks, tempfile.TemporaryFile) as (file, blob):
            if not await self.has(blob):
                await self._run(partial(self._upload, file, blob))
        return blob

    def _upload(self, file: IO[bytes], blob: Blob) -> None:
        file.seek(0)
        obstore.put(
            self._store,
            _path(blob),
            file,
            chunk_size=_PART,
            max_concurrency=_PARTS_AT_ONCE,
        )

    async def read(
        self, blob: Blob, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes; raises BlobMissingError and StoreUnavailableError."""
        end = end_of(blob, stop)
        if start >= end and not await self.has(blob):
            raise BlobMissingError(blob, self.place)
        while start < end:
            upto = min(start + _PIECE, end)
            # Each piece is a request of its own, so a slow reader keeps no connection.
            yield await self._run(partial(self._get, blob, start, upto))
            start = upto

    def _get(self, blob: Blob, start: int, stop: int) -> bytes:
        try:
            found = obstore.get(self._store, _path(blob), options={"range": (start, stop)})
        except FileNotFoundError:
            raise BlobMissingError(blob, self.place) from None
        if found.meta["size"] != blob.size:
            raise BlobMissingError(blob, self.place)
        return bytes(found.bytes())

    async def has(self, blob: Blob) -> bool:
        """Return whether bytes of this digest and size are here; raises StoreUnavailableError."""
        return await self._run(partial(self._has, blob))

    def _has(self, blob: Blob) -> bool:
        try:
            return obstore.head(self._store, _path(blob))["size"] == blob.size
        except FileNotFoundError:
            return False

    async def renew(self, blob: Blob) -> bool:
        """Return whether bytes are here; nothing is ever removed."""
        return await self.has(blob)

    async def sweep(self) -> None:
        """Do nothing: parts of uploads that were stopped are for a rule of the bucket to remove."""

    async def close(self) -> None:
        """End the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)


def _path(blob: Blob) -> str:
    return f"{blob.sha256[:2]}/{blob.sha256}"
