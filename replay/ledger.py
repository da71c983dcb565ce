"""The write side's composition: the library's application over our store, and its read side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Final, Protocol, cast

from eventsourcing.application import AggregateNotFoundError, Application, Repository
from eventsourcing.persistence import (
    ApplicationRecorder,
    EventStore,
    MapperDeserialisationError,
    Recording,
)
from eventsourcing.utils import EnvType

from domain.errors import StreamHeldError
from domain.recorded import Recorded, told_by_last
from domain.refusals import held_back
from domain.world import State, evolve
from replay.cache import StateCache
from replay.codec import LedgerMapper
from replay.errors import StoreOpenError, described, is_unavailable
from replay.event_store import LedgerEventStore
from replay.factory import LedgerFactory, Migrated
from replay.statements import LAST, PAGE, STREAMS
from replay.store import Access, Connection, Row, SqlReader

_LARGEST: Final = (1 << 63) - 1
_FEW: Final = 5_000


def fold(state: State | None, events: Iterable[Recorded]) -> State | None:
    """Return the state of a stream after more of its events.

    The library's own projector function checks a protocol per event, which costs far more.
    """
    for recorded in events:
        state = evolve(state, recorded)
    return state


def unreadable(stream: str, error: Exception) -> StreamHeldError:
    """Return the refusal of what concerns a stream with an event that cannot be read."""
    message = f"{stream} cannot be read by this release: {described(error)}"
    return held_back(stream, f"{message}; start a release that can", "")


class LedgerRecorder(Protocol):
    """What the ledger needs of a recorder beside the library's own interface."""

    def access(self) -> Access:
        """Return the sessions beside the library's pool."""

    def wake_subscriptions(self) -> None:
        """Tell every subscription of this process that there is something new."""


class LedgerRepository(Repository[str]):
    """Folds streams that nobody has used for a while; it keeps nothing, `StateCache` does.

    The library's cache is not used: nothing refreshes it after another process has written.
    """

    def get(self, aggregate_id: str, *, version: int | None = None, **_: Any) -> Any:
        """Return the state of a stream, up to a version if given.

        Raises AggregateNotFoundError for a stream without events.
        """
        last = 1 if told_by_last(aggregate_id) else None
        found = self.event_store.get(aggregate_id, lte=version, desc=bool(last), limit=last)
        events = cast("Iterator[Recorded]", found)
        state = fold(None, events)
        if state is None:
            raise AggregateNotFoundError(aggregate_id)
        return state


class Ledger(Application[str]):
    """All events in one order, and the folded state of each stream.

    Events are appended by the committer, which keeps the read models in step with them. `head` is
    the last sequence known to be committed (0 when empty), `recorded_at` that event's time in µs.
    """

    env: ClassVar[dict[str, str]] = {
        "PERSISTENCE_MODULE": "replay.sqlite",
        "MAPPER_TOPIC": "replay.codec:LedgerMapper",
        "ORIGINATOR_ID_TYPE": "text",
    }
    log_section_size = 5000
    mapper: LedgerMapper
    recorder: LedgerRecorder  # type: ignore[assignment]
    events: LedgerEventStore

    def __init__(self, env: EnvType | None = None) -> None:
        """Open the store that the library's environment names describe.

        Raises OSError for a missing name and StoreOpenError for a store that cannot be used.
        """
        self._resources = ExitStack()
        super().__init__(env)
        self.cache = StateCache()
        self.head = 0
        self.recorded_at = 0
        self.access = self.recorder.access()
        self._resources.callback(self.access.close)
        self.writer = self.access.writer
        self.reader = self.events.reader = self.access.live
        self._look(self.access.place)

    def _look(self, path: str) -> None:
        try:
            self.refresh()
        except MapperDeserialisationError as error:
            self.close()
            message = f"{path} cannot be read with these settings: {error}"
            raise StoreOpenError(message) from error

    def construct_recorder(self) -> ApplicationRecorder:
        """Return the recorder that keeps tracking in the transaction of the events."""
        return self.factory.process_recorder()

    def construct_event_store(self) -> EventStore[str]:
        """Return the event store; raises StoreOpenError when the mapper is not a LedgerMapper."""
        store = super().construct_event_store()
        if not isinstance(store, LedgerEventStore):
            message = "MAPPER_TOPIC and PERSISTENCE_MODULE must name a LedgerMapper and its store"
            raise StoreOpenError(message)
        return store

    def construct_repository(self) -> Repository[str]:
        """Return the repository that folds cold streams."""
        return LedgerRepository(self.events)

    def state(self, stream: str) -> State | None:
        """Return the committed state of a stream, None when it has no events.

        Raises StreamHeldError when one of its events cannot be read.
        """
        found = self.cache.get(stream)
        if found is None:
            found = self._fold(stream, None)
            self.cache.put(stream, found)
        return found

    def known(self, stream: str) -> State | None:
        """Return the committed state of a stream when it need not be read, otherwise None."""
        return self.cache.get(stream)

    def learn(self, stream: str, stored: Iterable[Row]) -> State | None:
        """Return the committed state of a stream of which all stored events are given.

        Raises StreamHeldError as `state` does.
        """
        found = self._fold(stream, stored)
        self.cache.put(stream, found)
        return found

    def _fold(self, stream: str, stored: Iterable[Row] | None) -> State | None:
        try:
            if stored is not None:
                return fold(None, (self.mapper.decode(*row) for row in stored))
            return self.repository.get(stream)
        except AggregateNotFoundError:
            return None
        except Exception as error:
            if is_unavailable(error):
                raise
            raise unreadable(stream, error) from error

    @contextmanager
    def snapshot(self) -> Iterator[SqlReader]:
        """Yield a reader whose selects all see the same commit."""
        with self.access.snapshot() as connection:
            yield SqlReader(connection)

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """Return at most `limit` events with a sequence above `after`, in order."""
        return list(self._read(after, limit, upto))

    def _read(self, after: int, limit: int, upto: int | None) -> Iterator[Recorded]:
        last = self.head if upto is None else upto
        decode = self.mapper.decode
        for row in self.reader.select(PAGE, (after, last, limit)):
            yield decode(*row)

    def refresh(self) -> bool:
        """Take note of commits of other processes; return whether there were any."""
        last = self.reader.select(LAST)
        if (last[0][0] if last else 0) == self.head:
            return False
        return self._note(last, self.reader.select(STREAMS, (self.head, _FEW)))

    def ask(self, connection: Connection) -> Callable[[], bool]:
        """Ask for commits of other processes in a transaction that keeps them from more.

        Returns what takes note of the answer, as `refresh` does.
        """
        last = connection.execute(LAST)
        streams = connection.execute(STREAMS, (self.head, _FEW))
        return lambda: self._note(last.fetchall(), streams.fetchall())

    def _note(self, last: list[Row], streams: list[Row]) -> bool:
        """Take note of the last event and of the streams that have moved on."""
        head = last[0][0] if last else 0
        if head == self.head:
            return False
        if head - self.head < _FEW and head > self.head:
            for (stream,) in streams:
                self.cache.put(stream, None)
        else:
            self.cache.clear()
        self.recorded_at = max(self.recorded_at, self._recorded_at(last[0][4])) if last else 0
        self.head = head
        return True

    def _recorded_at(self, state: bytes) -> int:
        """Return when an event was recorded, 0 for a damaged one behind a sound beginning."""
        try:
            return self.mapper.recorded_at(state)
        except MapperDeserialisationError:
            page = self.reader.select(PAGE, (0, _LARGEST, 1))
            self.mapper.recorded_at(page[0][4])
            return 0

    def advance(self, head: int, recorded_at: int) -> None:
        """Take note of a commit of this process and wake the library's subscriptions."""
        self.head = head
        self.recorded_at = recorded_at
        self.access.committed()
        self.recorder.wake_subscriptions()

    def _notify(self, recordings: Sequence[Recording[str]]) -> None:
        """Take note of events that were saved through the library's own interface."""
        if recordings:
            self.refresh()

    def close(self) -> None:
        """Close every connection; closing twice is no error."""
        self._resources.close()
        super().close()


def migrate(env: EnvType) -> Migrated:
    """Bring the tables of the store that the environment names to the version of this release.

    Servers may be running. Raises StoreOpenError, also for tables of a newer release.
    """
    factory: LedgerFactory = LedgerFactory.construct({**Ledger.env, **env})
    try:
        return factory.migrate()
    finally:
        factory.close()
