"""What long work needs of the store: short transactions with pauses, snapshots, and progress."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from msgspec import Struct

from replay.batch import Clock, Projector
from replay.errors import ReplayError, StoreInUseError
from replay.ledger import Ledger
from replay.read_models import Phase, Standing, standing_of
from replay.statements import HEAD
from replay.store import BUSY_PAUSE, Connection, locked

_LOCK_SECONDS: Final = 30.0
_SLICE_SECONDS: Final = 0.002
_SMALLEST, _LARGEST = 20, 2_000
_ALONE_SECONDS: Final = 0.2
_LARGEST_ALONE: Final = 20_000


class RefusedError(ReplayError):
    """The work cannot be begun or finished; the text says why and what to do."""


class BusyError(RefusedError):
    """Another process works on the same read model."""


class CanceledError(ReplayError):
    """Somebody asked to stop."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far the work is: sequences while folding and following, rows while copying.

    `per_second` and `eta_seconds` are those of the phase so far.
    """

    projection: str
    phase: str
    applied: int
    target: int
    per_second: float
    eta_seconds: float


Report = Callable[[Progress], None]


def _nobody(_: Progress) -> None:
    """Tell nobody."""


class Workbench:
    """The store as work on one read model sees it."""

    def __init__(
        self,
        ledger: Ledger,
        projector: Projector,
        clock: Clock,
        *,
        report: Report = _nobody,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """Report each page or slice; end with CanceledError as soon as `stopping` says so."""
        self.projector = projector
        self.ledger = ledger
        self.clock = clock
        self._report = report
        self._stopping = stopping
        self.name = projector.name
        self.path = f"{ledger.access.beside}.rebuild-{self.name}"
        self._began = (0.0, 0)
        self.served = ledger.access.served
        self._seconds = _SLICE_SECONDS if self.served else _ALONE_SECONDS
        self._largest = _LARGEST if self.served else _LARGEST_ALONE
        # Whoever finds the lock taken looks again after a while, and must not miss the gap.
        self._shortest = 5 * BUSY_PAUSE if self.served else 0.0
        self._longest = 20 * _SLICE_SECONDS if self.served else 0.0
        self.slice = 100

    def standing(self) -> Standing:
        """Return how the read model stands."""
        return standing_of(self.ledger.writer.connection, self.name)

    def head(self) -> int:
        """Return the last sequence of the ledger."""
        return self.ledger.reader.select(HEAD)[0][0] or 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from the same read model; raises BusyError when one is at it.

        Raises CanceledError when somebody asked to stop meanwhile: whoever did may have given it up
        by now, and it must not be begun again.
        """
        with ExitStack() as held:
            try:
                held.enter_context(self.ledger.access.alone(self.name))
            except StoreInUseError as error:
                who = f"the process with id {error.pid}" if error.pid else "another process"
                message = f"{self.name} is being worked on by {who}"
                raise BusyError(message) from error
            self._check()
            yield

    def _check(self) -> None:
        if self._stopping():
            raise CanceledError("canceled")

    def snapshot(self) -> AbstractContextManager[Connection]:
        """Return a context manager giving a session whose selects all see the same commit."""
        return self.ledger.access.snapshot(large=True)

    @contextmanager
    def slicing(self, *, last: bool = False) -> Iterator[Connection]:
        """Give a short transaction and, with a server on the store, more time after it.

        Its size follows from how long the one before took. Slices are not synced one by one: what
        a crash of the machine takes away is done again. The last one is.
        """
        self._check()
        self.ledger.writer.sync(durably=last)
        started = time.perf_counter()
        with self._transaction() as connection:
            self._check()
            started = time.perf_counter()
            yield connection
        took = max(time.perf_counter() - started, 1e-5)
        fitting = int(self.slice * self._seconds / took)
        self.slice = min(max(fitting, self.slice // 2, _SMALLEST), 2 * self.slice, self._largest)
        time.sleep(max(min(took, self._longest), self._shortest))

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield the connection of a transaction, which commits unless something is raised.

        A server on the store has a moment for itself afterwards.
        """
        with self._transaction() as connection:
            yield connection
        time.sleep(self._shortest)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        writer = self.ledger.writer
        connection = locked(writer, _LOCK_SECONDS)
        try:
            yield connection
            writer.commit()
            if not self.served:
                # A server sees to this by itself.
                self.ledger.access.committed()
        finally:
            writer.rollback()

    # Progress.

    def start_phase(self, applied: int) -> None:
        """Begin to measure how fast it goes."""
        self._began = (time.perf_counter(), applied)

    def tell(self, phase: Phase, applied: int, target: int) -> None:
        """Report progress; raises CanceledError when somebody asked to stop."""
        self._check()
        since, before = self._began
        rate = (applied - before) / max(time.perf_counter() - since, 1e-6)
        self._report(
            Progress(
                projection=self.name,
                phase=phase,
                applied=applied,
                target=target,
                per_second=round(rate, 1),
                eta_seconds=round(max(target - applied, 0) / rate, 1) if rate > 0 else 0.0,
            )
        )
