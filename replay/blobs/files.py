"""Blobs as files in a folder, each named by its digest: `ab/abcd…`."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, cast

from domain.values import Blob
from replay.blobs.spool import spooled
from replay.blobs.store import PIECE, BlobMissingError, end_of, failing_as_unavailable

_UNFINISHED: Final = "unfinished"


class FileBlobs:
    """Keeps blobs in a folder, which is made when the first one comes.

    A file gets its name when all of it is on disk, so whatever has a name is whole.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`; nothing is looked at before it is needed."""
        self.place = str(folder)
        self._folder = folder
        self._made: set[Path] = set()

    def _path(self, blob: Blob) -> Path:
        return self._folder / blob.sha256[:2] / blob.sha256

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keep these bytes; raises StoreUnavailableError."""
        async with spooled(chunks, self._open_new) as (file, blob):
            with failing_as_unavailable():
                await asyncio.to_thread(self._publish, file, blob)
        return blob

    def _open_new(self) -> IO[bytes]:
        """Open a file that is removed when it is closed, unless it got another name."""
        unfinished = self._folder / _UNFINISHED
        self._make(unfinished)
        return cast("IO[bytes]", tempfile.NamedTemporaryFile(dir=unfinished))

    def _make(self, folder: Path) -> None:
        """Make a folder, durably even if another put makes it just now."""
        if folder in self._made and folder.is_dir():
            return
        if folder != self._folder:
            self._make(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
        self._made.add(folder)

    def _publish(self, file: IO[bytes], blob: Blob) -> None:
        os.fsync(file.fileno())
        path = self._path(blob)
        self._make(path.parent)
        with _holding(path.parent, fcntl.LOCK_SH):
            os.replace(file.name, path)
        sync_folder(path.parent)

    async def read(
        self, blob: Blob, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the bytes; raises BlobMissingError and StoreUnavailableError."""
        end = end_of(blob, stop)
        while True:
            size = max(0, min(PIECE, end - start))
            piece = await asyncio.to_thread(self._piece, blob, start, size)
            if piece:
                yield piece
            start += len(piece)
            if start >= end:
                return

    def _piece(self, blob: Blob, start: int, size: int) -> bytes:
        """Return some of the bytes. No file is open when a caller who has given up is gone."""
        with (
            failing_as_unavailable(),
            suppress(FileNotFoundError),
            self._path(blob).open("rb", buffering=0) as file,
        ):
            if os.fstat(file.fileno()).st_size == blob.size:
                return os.pread(file.fileno(), size, start)
        raise BlobMissingError(blob, self.place)

    async def has(self, blob: Blob) -> bool:
        """Return whether bytes of this digest and size are here; raises StoreUnavailableError."""
        return await asyncio.to_thread(self._has, blob)

    def _has(self, blob: Blob) -> bool:
        with failing_as_unavailable():
            try:
                return self._path(blob).stat().st_size == blob.size
            except FileNotFoundError:
                return False

    async def renew(self, blob: Blob) -> bool:
        """Return whether bytes are here; they then count as put just now.

        Raises StoreUnavailableError.
        """
        return await asyncio.to_thread(self._renew, blob)

    def _renew(self, blob: Blob) -> bool:
        with self._held(blob, fcntl.LOCK_SH) as path:
            here = path is not None and path.stat().st_size == blob.size
            if here and path is not None:
                os.utime(path)
        return here

    async def aged(self, seconds: float) -> AsyncIterator[Blob]:
        """Yield the blobs that were last put so long ago; raises StoreUnavailableError."""
        for folder in await asyncio.to_thread(lambda: sorted(self._folder.glob("??"))):
            for blob in await asyncio.to_thread(self._aged, folder, seconds):
                yield blob

    def _aged(self, folder: Path, seconds: float) -> list[Blob]:
        with failing_as_unavailable():
            before = self._now() - seconds
            found = ((each.name, each.stat()) for each in folder.glob("?" * 64))
            return [Blob(name, stat.st_size) for name, stat in found if stat.st_mtime <= before]

    def _now(self) -> float:
        """Return the time by the clock that files get theirs from."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            return os.fstat(file.fileno()).st_mtime

    async def remove(self, blob: Blob, seconds: float) -> bool:
        """Remove bytes unless they were put again; raises StoreUnavailableError."""
        return await asyncio.to_thread(self._remove, blob, seconds)

    def _remove(self, blob: Blob, seconds: float) -> bool:
        with self._held(blob, fcntl.LOCK_EX) as path:
            old = path is not None and path.stat().st_mtime <= self._now() - seconds
            if old and path is not None:
                path.unlink()
        return old

    @contextmanager
    def _held(self, blob: Blob, how: int) -> Iterator[Path | None]:
        """Yield the file of a blob, None without one, kept from or with others who put it.

        Raises StoreUnavailableError.
        """
        path = self._path(blob)
        with failing_as_unavailable(), ExitStack() as held:
            with suppress(FileNotFoundError):
                held.enter_context(_holding(path.parent, how))
            yield path if path.exists() else None

    async def sweep(self) -> None:
        """Remove what puts left behind that were stopped; raises StoreUnavailableError."""
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        with failing_as_unavailable():
            for left in (self._folder / _UNFINISHED).glob("*"):
                left.unlink(missing_ok=True)

    async def close(self) -> None:
        """Do nothing: files are open only while they are used."""


@contextmanager
def _holding(folder: Path, how: int) -> Iterator[None]:
    """Hold a folder, with others or alone, among those who put, renew and remove."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
