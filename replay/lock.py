"""One server for each SQLite file: a lock file beside it says who that is.

The operating system releases the lock when its process ends in any way, so it is never stale. The
file stays; removing it would let two servers lock two files of the same name.
"""

import fcntl
import os
import time
from typing import Final

import msgspec
from msgspec import Struct

from replay.errors import StoreInUseError

_ATTEMPTS: Final = 50
_PAUSE: Final = 0.02


class Holder(Struct, frozen=True):
    """The server that holds a store; `url` is empty until it listens."""

    pid: int
    url: str = ""


def _lock_path(store_path: str) -> str:
    return f"{store_path}.lock"


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=Holder)
    except msgspec.DecodeError:
        return None


class StoreLock:
    """The exclusive right to serve a store."""

    def __init__(self, store_path: str) -> None:
        """Take the lock; raises StoreInUseError when another server has it."""
        self._descriptor = os.open(_lock_path(store_path), os.O_RDWR | os.O_CREAT, 0o644)
        # Somebody who looks whether the lock is held has it for an instant.
        for _ in range(_ATTEMPTS):
            if _try(self._descriptor, fcntl.LOCK_EX):
                self.announce("")
                return
            time.sleep(_PAUSE)
        holder = _read(self._descriptor) or Holder(0)
        os.close(self._descriptor)
        raise StoreInUseError(store_path, holder.pid, holder.url)

    def announce(self, url: str) -> None:
        """Say where the server listens."""
        text = msgspec.json.encode(Holder(os.getpid(), url))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)

    def release(self) -> None:
        """Give the lock back; twice is no error."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def live_server(store_path: str) -> Holder | None:
    """Return the server that holds a store now, None when there is none."""
    try:
        descriptor = os.open(_lock_path(store_path), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _try(descriptor, fcntl.LOCK_SH):
            return None
        return _read(descriptor) or Holder(0)
    finally:
        os.close(descriptor)
