"""What a place for bytes beside the events does, whichever one it is."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from domain.values import Blob
from replay.errors import StoreUnavailableError

PIECE: Final = 1 << 18
"""How many bytes are read or written at a time."""


class BlobMissingError(StoreUnavailableError):
    """The bytes that an event names are not here, or not as many as it says."""

    def __init__(self, blob: Blob, place: str) -> None:
        """Say which ones, and where."""
        super().__init__(f"the {blob.size} bytes with the SHA-256 {blob.sha256} are not in {place}")


class BlobStore(Protocol):
    """Keeps bytes by their digest: the same bytes once, and either whole or not at all.

    They are kept for ever, but for those that no event names: a collection may remove these some
    time after they were last put.

    Memory does not grow with a blob, and nothing here keeps an event loop waiting. Every method
    raises StoreUnavailableError when the place is full or cannot be reached.
    """

    @property
    def place(self) -> str:
        """What an operator knows it by; it holds no secret."""

    async def put(self, chunks: AsyncIterator[bytes]) -> Blob:
        """Keep these bytes and return what an event names them by; they are durable by then.

        What `chunks` raises leaves nothing behind.
        """

    def read(self, blob: Blob, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop` or the end, in pieces.

        Raises BlobMissingError before the first piece.
        """

    async def has(self, blob: Blob) -> bool:
        """Return whether bytes of this digest and size are here."""

    async def renew(self, blob: Blob) -> bool:
        """Return whether bytes are here; they then count as put just now."""

    async def sweep(self) -> None:
        """Remove what puts left behind that were stopped half-way; none may be running."""

    async def close(self) -> None:
        """Close what is open; the next use opens it again."""


async def require(store: BlobStore, blob: Blob) -> None:
    """Do nothing when the bytes are here; raises BlobMissingError and StoreUnavailableError."""
    if not await store.has(blob):
        raise BlobMissingError(blob, store.place)


class Collectable(BlobStore, Protocol):
    """A place that knows how long ago bytes were last put, and lets them go again."""

    def aged(self, seconds: float) -> AsyncIterator[Blob]:
        """Yield the blobs that were last put at least so long ago."""

    async def remove(self, blob: Blob, seconds: float) -> bool:
        """Remove bytes; return False, and leave them, when they were put again since then.

        Of a put and a removal at the same moment one is done after the other.
        """


def end_of(blob: Blob, stop: int | None) -> int:
    """Return where a read ends."""
    return blob.size if stop is None else min(stop, blob.size)


@contextmanager
def failing_as_unavailable() -> Iterator[None]:
    """Turn what the operating system refuses into StoreUnavailableError; paths stay unsaid."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"the store is not available: {error.strerror}") from error
