"""What the parts of every store have in common, whichever database they use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from eventsourcing import persistence
from eventsourcing.utils import TopicError

from replay.codec import LedgerMapper
from replay.errors import StoreOpenError
from replay.event_store import LedgerEventStore

_CIPHER_TOPIC: Final = "eventsourcing.cryptography:AESCipher"


@contextmanager
def _told(names: str) -> Iterator[None]:
    """Turn what the library raises over a setting into one line."""
    try:
        yield
    except (TopicError, OSError, ValueError) as error:
        raise StoreOpenError(f"{names} cannot be used: {error}") from error


class LedgerFactory(persistence.InfrastructureFactory[Any]):
    """Makes our event store, and what the library's environment names ask for around it."""

    process_recorder_class: type[persistence.ProcessRecorder]

    def event_store(
        self,
        mapper: persistence.Mapper[Any] | None = None,
        recorder: persistence.AggregateRecorder | None = None,
    ) -> persistence.EventStore[Any]:
        """Return our event store; another mapper or recorder than ours gets the library's."""
        mapper = mapper or self.mapper()
        recorder = recorder or self.process_recorder()
        ours = isinstance(mapper, LedgerMapper) and isinstance(
            recorder, self.process_recorder_class
        )
        kind = LedgerEventStore if ours else persistence.EventStore
        return kind(mapper, recorder)

    def cipher(self) -> persistence.Cipher | None:
        """Return the cipher; a bare CIPHER_KEY means AES by the `cryptography` package.

        Raises StoreOpenError when the settings cannot be used.
        """
        if self.env.get("CIPHER_KEY") and not self.env.get(self.CIPHER_TOPIC):
            self.env[self.CIPHER_TOPIC] = _CIPHER_TOPIC
        with _told("CIPHER_TOPIC or CIPHER_KEY"):
            return super().cipher()

    def compressor(self) -> persistence.Compressor | None:
        """Return the compressor; raises StoreOpenError when the setting cannot be used."""
        with _told("COMPRESSOR_TOPIC"):
            return super().compressor()

    def is_snapshotting_enabled(self) -> bool:
        """Return False: the library takes snapshots in a second transaction of each save."""
        return False
