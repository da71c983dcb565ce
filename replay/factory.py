"""What the parts of every store have in common, whichever database they use."""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Protocol

from eventsourcing import persistence
from eventsourcing.utils import TopicError
from msgspec import Struct

from replay.codec import LedgerMapper
from replay.errors import StoreOpenError
from replay.event_store import LedgerEventStore
from replay.migrations import MIGRATIONS, Migration

_CIPHER_TOPIC: Final = "eventsourcing.cryptography:AESCipher"


@contextmanager
def _told(names: str) -> Iterator[None]:
    """Turn what the library raises over a setting into one line."""
    try:
        yield
    except (TopicError, OSError, ValueError) as error:
        raise StoreOpenError(f"{names} cannot be used: {error}") from error


class VersionedRecorder(Protocol):
    """A recorder that knows the version of its tables."""

    def check_schema(self) -> int:
        """Return the version, 0 without tables; raises StoreOpenError for a newer one."""


class Migrated(Struct, frozen=True):
    """The version of the tables before and after; 0 is a store without tables."""

    before: int
    version: int


class LedgerFactory(persistence.InfrastructureFactory[Any]):
    """Makes our event store, and what the library's environment names ask for around it."""

    process_recorder_class: type[persistence.ProcessRecorder]
    migrations: ClassVar[tuple[Migration, ...]] = MIGRATIONS

    @abstractmethod
    def recorder(self) -> "VersionedRecorder":
        """Return the recorder, its tables as they are; raises StoreOpenError for a newer schema."""

    def migrate(self) -> Migrated:
        """Bring the tables to the version of this release; raises StoreOpenError."""
        recorder = self.recorder()
        before = recorder.check_schema()
        try:
            self.process_recorder()
        except persistence.PersistenceError as error:
            raise StoreOpenError(f"the tables cannot be made: {error}") from error
        return Migrated(before=before, version=recorder.check_schema())

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
