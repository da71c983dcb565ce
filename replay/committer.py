"""The one writer of a process: what waits in its queue becomes one durable commit.

All of it runs on the event-loop thread, because database work on a second thread of a busy process
waits for the interpreter lock far longer than it runs. Only a slow COMMIT moves to a thread. A
store that is far away is waited for in steps, between which the event loop does other things.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Final, TypeAlias

from domain.commands import Command
from domain.errors import DomainError
from domain.world import Context
from replay.batch import (
    Clock,
    Commit,
    ContextSource,
    Decide,
    Desk,
    Job,
    Outcome,
    Parcel,
    Projector,
    ProjectorError,
    WorldFactory,
)
from replay.errors import (
    StoreUnavailableError,
    is_busy,
    is_unavailable,
    is_undone,
    unavailable,
)
from replay.feed import FEED_TABLE
from replay.ledger import Ledger
from replay.metrics import CommitMetrics
from replay.steps import Course, InThread, Steps, taken
from replay.store import BUSY_PAUSE
from replay.transaction import Transaction

__all__ = ["Commit", "Committer", "Listener", "Outcome"]

Listener: TypeAlias = Callable[[Commit], None]
DetachListener: TypeAlias = Callable[[ProjectorError], None]

MAX_BATCH: Final = 256
SLOW_COMMIT_MS: Final = 2.0
_PROBE_EVERY: Final = 32
_MISSED_PAGE: Final = 500
_MISSED_MOST: Final = 5000

_log = logging.getLogger(__name__)


class Committer:
    """Takes commands, and answers each after the commit that holds its events is durable."""

    def __init__(
        self,
        ledger: Ledger,
        projectors: Iterable[Projector],
        decide: Decide,
        world_factory: WorldFactory,
        clock: Clock,
        *,
        on_commit: Iterable[Listener] = (),
        on_detach: Iterable[DetachListener] = (),
        slow_commit_ms: float = SLOW_COMMIT_MS,
    ) -> None:
        """Make missing tables and catch up; raises StoreOpenError when deciding could be wrong.

        `clock` gives microseconds since the epoch. `on_commit` listeners run after each commit,
        in the order of commits, also for commits of other processes once they are noticed;
        `on_detach` listeners when a projector raised and its read model was left behind.
        """
        desk = Desk(
            committed=ledger,
            decide=decide,
            world_factory=world_factory,
            projectors=projectors,
            clock=clock,
        )
        self.metrics = CommitMetrics()
        self._ledger = ledger
        self._transaction = Transaction(ledger, desk)
        self._listeners = list(on_commit)
        self._detach_listeners = list(on_detach)
        self._slow_commit_ms = slow_commit_ms
        self._queue: deque[Job] = deque()
        self._scheduled = False
        self._busy_since = 0.0
        self._failing = False
        self._course = Course(self._follow, self.metrics.note_stall)
        self._heard = False
        self._thread: ThreadPoolExecutor | None = None
        self._closed = False
        self._drained: asyncio.Future[None] | None = None
        self._projectors = desk.projectors
        self._select_missed = _missed_statement(desk.projectors)
        self._transaction.prepare()
        self._announced = ledger.head

    @property
    def feeding(self) -> bool:
        """Whether the rows of the feed are written; without them its readers have to wait."""
        attached = self._transaction.attached
        detached = (each for each in self._projectors if each not in attached)
        return all(table.name != FEED_TABLE for each in detached for table in each.tables)

    @property
    def feed_position(self) -> int:
        """The sequence up to which the feed can be read."""
        return self._ledger.head if self.feeding else self._feed_end()

    def _feed_end(self) -> int:
        found = self._ledger.reader.select(f"SELECT max(sequence) FROM {FEED_TABLE}")
        return found[0][0] or 0

    @property
    def waiting(self) -> int:
        """How many commands wait to be decided."""
        return len(self._queue)

    @property
    def committing(self) -> bool:
        """Whether a batch is on its way."""
        return self._course.taken

    def can_write(self) -> bool:
        """Return whether the store takes writes now; after a failure something is written to see.

        While somebody holds the write lock, somebody writes.
        """
        if not self._course.taken:
            self._failing = not self._transaction.possible(durably=self._failing)
        return not self._failing

    async def submit(
        self,
        command: Command,
        context: ContextSource,
        *,
        gone: Callable[[], bool] | None = None,
    ) -> Outcome:
        """Return the outcome once it is durable.

        Raises the DomainError of a refusal, StoreUnavailableError when nothing was written
        because of the store or, where that broke down at the end of a commit, when nobody knows.
        A caller that goes away does not undo what was decided; with `gone` it raises
        AbandonedError instead of deciding for one who had gone by then.
        """
        self._require_open()
        loop = asyncio.get_running_loop()
        job = Job(command, context, loop.create_future(), gone)
        self._queue.append(job)
        self._schedule(loop)
        assert job.future is not None
        await job.future
        assert job.outcome is not None
        return job.outcome

    async def submit_together(
        self, commands: Iterable[Command], context: Context
    ) -> list[Outcome | DomainError]:
        """Return what each of at least one command came to, once all of it is durable.

        A refusal hurts its own command only. Raises StoreUnavailableError as `submit` does.
        """
        self._require_open()
        loop = asyncio.get_running_loop()
        parcel = Parcel(commands, context, loop.create_future())
        self._queue.append(parcel)
        self._schedule(loop)
        assert parcel.future is not None
        await parcel.future
        return [part.result() for part in parcel.parts]

    def execute(self, command: Command, context: ContextSource) -> Outcome:
        """Return the outcome of a batch of one, without an event loop; raises as `submit` does."""
        self._require_open()
        self._course.end()
        job = Job(command, context)
        taken(self._begin_and_write([job]))
        if job.outcome is None:
            assert job.error is not None
            raise job.error
        return job.outcome

    def poll(self) -> None:
        """Notice commits of other processes and pass them on; raises StoreUnavailableError."""
        self._heard = self._course.taken
        if not self._heard:
            self._ledger.refresh()
            self._announce_missed(self._ledger.head)

    async def close(self) -> None:
        """Accept nothing more and wait until everything accepted is settled."""
        self._closed = True
        if self._queue or self._course.taken:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self._thread is not None:
            self._thread.shutdown()

    def _require_open(self) -> None:
        if self._closed:
            message = "the store is closing"
            raise StoreUnavailableError(message)

    # The queue.

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled and not self._course.taken:
            self._scheduled = True
            # A turn later, so that requests read in this turn of the loop share the commit.
            loop.call_soon(loop.call_soon, self._run)

    def _run(self) -> None:
        """Turn what waits into one batch; everything that became ready meanwhile is in it."""
        self._scheduled = False
        if not self._course.taken:
            self._course.take(self._batch())

    def _follow(self) -> None:
        """Turn to what has come while there was a batch."""
        if self._queue and not self._busy_since:
            self._schedule(asyncio.get_running_loop())
        if not self._queue and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._heard:
            with suppress(StoreUnavailableError):
                self.poll()

    def _batch(self) -> Steps[None]:
        """Take the steps of one batch."""
        while self._queue and self._queue[0].abandoned():
            self._queue.popleft()
        if not self._queue:
            return
        self._busy_since = self._busy_since or time.monotonic()
        try:
            yield from self._transaction.begin(islice(self._queue, MAX_BATCH))
        except Exception as error:
            if not self._try_later(error):
                yield from self._recover(self._take(), error)
            return
        self._busy_since = 0.0
        yield from self._write(self._take())

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        size = 0
        while self._queue and size < MAX_BATCH:
            job = self._queue.popleft()
            if not job.abandoned():
                jobs.append(job)
                size += job.size
        return jobs

    # Writing.

    def _begin_and_write(self, jobs: list[Job]) -> Steps[None]:
        """Settle the jobs of a batch of their own, whatever has to be waited for."""
        try:
            yield from self._transaction.begin(jobs, wait=True)
        except Exception as error:
            yield from self._recover(jobs, error)
        else:
            yield from self._write(jobs)

    def _write(self, jobs: list[Job]) -> Steps[None]:
        """Settle the jobs of a batch whose transaction has begun."""
        try:
            written = yield from self._transaction.write(jobs)
        except ProjectorError as error:
            yield from self._go_on_without(error, jobs)
        except Exception as error:
            yield from self._recover(jobs, error)
        else:
            if written:
                yield from self._commit(jobs)
            else:
                yield from self._transaction.undoing()
                self._settle(jobs)
                # What the answers say is what the next read shows.
                self._announce_missed(self._ledger.head)

    def _go_on_without(self, error: ProjectorError, jobs: list[Job]) -> Steps[None]:
        """Write a batch without the read model, or the stream of it, that cannot take it."""
        _log.error("a read model cannot take an event: %s", error, exc_info=error.error)
        self._transaction.detach(error)
        if error.name not in self._transaction.names:
            self._tell_detached([error])
        yield from self._begin_and_write(jobs)

    def _try_later(self, error: Exception) -> bool:
        """Wait for another process without blocking the loop; return False when it is too long."""
        if (
            not is_busy(error)
            or time.monotonic() - self._busy_since > self._transaction.lock_timeout
        ):
            self._busy_since = 0.0
            return False
        self._scheduled = True
        asyncio.get_running_loop().call_later(BUSY_PAUSE, self._run)
        return True

    def _recover(self, jobs: list[Job], error: Exception) -> Steps[None]:
        """Settle a batch that could not be written: the store's fault, or one command's."""
        self._transaction.abandon()
        if is_unavailable(error) or len(jobs) == 1:
            self._fail(jobs, error)
            return
        _log.warning("a batch of %d commands is repeated one by one: %r", len(jobs), error)
        for job in jobs:
            yield from self._begin_and_write([job])

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        self._failing = is_unavailable(error)
        for job in jobs:
            job.error = unavailable(error) if is_unavailable(error) else error
            job.outcome = None
        self.metrics.failures += len(jobs)
        self._settle(jobs)

    # Committing.

    def _commit(self, jobs: list[Job]) -> Steps[None]:
        try:
            yield from self._committing()
        except Exception as error:
            yield from self._doubt(jobs, error)
        else:
            self._land(jobs)

    def _committing(self) -> Steps[None]:
        metrics = self.metrics
        metrics.threaded = not self._transaction.far and metrics.commit_ms > self._slow_commit_ms
        # An occasional commit on this thread tells when the disk is fast again.
        if not metrics.threaded or metrics.batches % _PROBE_EVERY == 0:
            metrics.note_commit((yield from self._transaction.committing()))
            return
        self._thread = self._thread or ThreadPoolExecutor(1, "commit")
        commit = InThread(self._thread, self._transaction.commit)
        yield commit
        commit.result()

    def _doubt(self, jobs: list[Job], error: Exception) -> Steps[None]:
        """Settle a batch whose COMMIT reported an error, which may yet have been done."""
        if is_undone(error):
            yield from self._recover(jobs, error)
        elif (yield from self._transaction.survived()):
            self._land(jobs)
        else:
            self._fail(jobs, unavailable(error))

    def _land(self, jobs: list[Job]) -> None:
        self._failing = False
        commit = self._transaction.finish()
        self._tell_detached(self._transaction.held_back)
        self.metrics.events += commit.head - commit.previous
        self._settle(jobs)
        self._announce_missed(commit.previous)
        self._announce(commit)

    def _settle(self, jobs: list[Job]) -> None:
        metrics = self.metrics
        metrics.batches += 1
        for job in jobs:
            metrics.commands += job.size
            if job.error is not None:
                metrics.refusals += 1
            job.settle()

    # Telling others.

    def _tell_detached(self, errors: Iterable[ProjectorError]) -> None:
        for error in errors:
            for listener in self._detach_listeners:
                listener(error)

    def _announce(self, commit: Commit) -> None:
        self._announced = commit.head
        for listener in self._listeners:
            try:
                listener(commit)
            except Exception:
                _log.exception("a listener failed at sequence %d", commit.head)

    def _announce_missed(self, upto: int) -> None:
        """Pass on commits of other processes up to a sequence; without rows when there are many."""
        while self._announced < upto:
            commit = Commit(previous=upto, head=upto, rows={})
            if upto - self._announced <= _MISSED_MOST:
                # Who cannot be told the rows reads them later, as after too many.
                with suppress(StoreUnavailableError):
                    commit = self._missed(upto)
            self._announce(commit)

    def _missed(self, upto: int) -> Commit:
        if not self.feeding:
            return Commit(previous=self._announced, head=upto, rows={})
        bounds = (self._announced, upto, _MISSED_PAGE)
        page = self._ledger.reader.select(self._select_missed, bounds)
        head = page[-1][0] if len(page) == _MISSED_PAGE else upto
        return Commit(previous=self._announced, head=head, rows={FEED_TABLE: page})


def _missed_statement(projectors: Iterable[Projector]) -> str:
    tables = (table for projector in projectors for table in projector.tables)
    feed = next((table for table in tables if table.name == FEED_TABLE), None)
    columns = ",".join(feed.columns) if feed else "notification_id"
    source = FEED_TABLE if feed else "stored_events"
    return (
        f"SELECT {columns} FROM {source} WHERE {columns.partition(',')[0]} > ?"
        f" AND {columns.partition(',')[0]} <= ? ORDER BY 1 LIMIT ?"
    )
