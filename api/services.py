"""The composition root: everything a server is made of, and what it does by itself."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from api.access import Access
from api.bridges.bridges import Bridges
from api.facades.tempest.forgetting import Forgetting
from api.guard import Guard
from api.moments import Moments
from api.numbers import Numbers
from api.projections import Projections
from api.redaction import log_failure
from api.settings import Settings
from api.siblings import NUMBERS, Siblings
from api.signing import Signer
from api.vault import Vault
from api.waiting import ClaimQueue, CommitSignal
from domain.commands import EndReviews, EscalateRuns, ExpireLeases, NoteProjection
from domain.decide import decide
from domain.events import ProjectionDetached
from domain.instants import SECOND
from domain.recorded import SCHEDULER_STREAM
from domain.registry import SchedulerState
from domain.values import (
    BOOT_ACTOR,
    BOOT_ORIGIN,
    SCHEDULER_ACTOR,
    SCHEDULER_ORIGIN,
    Actor,
    Origin,
)
from domain.world import ClaimQuery, Context, Policy, State, World
from projections.backlog import BACKLOG
from projections.catalog import PROJECTORS
from projections.lookup import Lookup
from projections.ona.lookup import OnaLookup
from projections.queries.claims import claimable_runs, waiting_runs
from projections.queries.scheduler import scheduler_status
from projections.rows import Projector, Store
from projections.wire import SchedulerStatus
from replay.batch import ProjectorError, separable
from replay.blobs.places import blobs_at
from replay.blobs.store import BlobStore
from replay.committer import Commit, Committer
from replay.errors import StoreUnavailableError, described
from replay.feed import FEED_TABLE, Hub
from replay.ledger import Ledger
from replay.places import environment_of

Clock = Callable[[], int]
NewId = Callable[[str], str]

_LOG: Final = logging.getLogger("taskledger")
_SNAPSHOT_SECONDS: Final = 5.0
_RECOVER_SECONDS: Final = 1.0
_TICK_BITS: Final = 6
_COUNT_BITS: Final = 8
_MOST_COUNT: Final = (1 << _COUNT_BITS) - 1
_TELL_SECONDS: Final = 2.0
_NODES: Final = 1 << 10
_LOW_BITS: Final = 18
_TASK, _TYPE, _WORKSPACE = 1, 3, 4
_DETACH_ORIGIN: Final = Origin("daemon", "projections.detach")


def now() -> int:
    """Return the time in microseconds since the epoch."""
    return time.time_ns() // 1000


class Ids:
    """Makes ids: a prefix and 16 hexadecimal digits, which grow with time.

    Rows that are written together then lie together, so that a commit touches fewer pages of the
    store. The digits are 46 bits of time in steps of 64 microseconds, which last until 2112, 10
    bits of the process's number and 8 that count; within a process no id comes twice.
    """

    def __init__(self, clock: Clock = now, node: int = 0) -> None:
        """Make ids that no process with another number makes, modulo 1024."""
        self._clock = clock
        self._node = node % _NODES << _COUNT_BITS
        self._tick = self._count = 0

    def __call__(self, prefix: str) -> str:
        """Return a fresh id."""
        tick = self._clock() >> _TICK_BITS
        if tick > self._tick:
            self._tick, self._count = tick, 0
        elif self._count < _MOST_COUNT:
            self._count += 1
        else:
            self._tick, self._count = self._tick + 1, 0
        return f"{prefix}-{self._tick << _LOW_BITS | self._node | self._count:016x}"


class LedgerWorld(Lookup, OnaLookup):
    """What deciding looks at: folded states, and the lookups over the writer's rows."""

    def __init__(self, state_of: Callable[[str], State | None], store: Store) -> None:
        """Join states and rows."""
        super().__init__(store)
        self.state = state_of

    def claimable_runs(self, query: ClaimQuery) -> Any:
        """Yield (task id, run id) in claim order."""
        return claimable_runs(self._store.select_stored, query, self._store.unstored(BACKLOG))

    def waiting_runs(self, queued_before: int, limit: int) -> Any:
        """Return (task id, run id) of runs that wait, oldest first."""
        return waiting_runs(self._store, queued_before, limit)


def world_of(state_of: Callable[[str], State | None], store: Store) -> World:
    """Return the world over these states and rows."""
    return LedgerWorld(state_of, store)


class Services:
    """The parts of one server. `start` and `stop` belong to its event loop."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        new_id: NewId | None,
        projectors: tuple[Projector, ...] = PROJECTORS,
    ) -> None:
        """Open the store; raises StoreOpenError or OSError when that is impossible."""
        self.settings = settings
        self.projectors = projectors
        self.clock = clock
        self.started_at = clock()
        self.policy = Policy(
            max_lease_expiries=settings.max_lease_expiries,
            max_review_rounds=settings.max_review_rounds,
            default_lease_seconds=settings.lease_seconds,
            strict_sessions=settings.strict_sessions,
            allow_agent_force=settings.allow_agent_force,
            allow_provider_override=settings.allow_provider_override,
            allow_sandbox_none=settings.allow_sandbox_none,
            allow_sandbox_ref=settings.allow_sandbox_ref,
        )
        self.ledger = Ledger(environment_of(settings.store))
        self.new_id = new_id or Ids(node=self.ledger.access.node())
        self.hub = Hub(self.ledger.head)
        self.claims = ClaimQueue()
        self.signal = CommitSignal()
        self.blobs, self.vault = self._beside()
        self.signer = Signer(self.vault, clock)
        self.bridges = Bridges(self)
        self.forgetting = Forgetting(self)
        self.committer = self._committer()
        if not self.committer.feeding:
            self.hub.head = self.committer.feed_position
        self.numbers = Numbers(process=os.getpid(), commit=self.committer.metrics)
        self.siblings = Siblings(self.numbers, os.environ.get(NUMBERS, ""))
        self.access = Access(self.ledger, self.committer.poll)
        self.guard = Guard(settings.host, settings.port, settings.allowed_hosts)
        self.stopping = asyncio.Event()
        self.bells: set[asyncio.Event] = set()
        self.document = b""
        self._tasks: set[asyncio.Task[Any]] = set()
        self.projections = Projections(self)
        self.moments = Moments(self)

    def _beside(self) -> tuple[BlobStore, Vault]:
        """Return what is kept beside the events."""
        try:
            return blobs_at(self.settings.blob_store, self.ledger.access), Vault(
                self.ledger, self.settings
            )
        except BaseException:
            self.ledger.close()
            raise

    def _committer(self) -> Committer:
        listeners = (self.hub.publish, self._notice)
        try:
            return Committer(
                self.ledger,
                self.projectors,
                decide,
                world_of,
                self.clock,
                on_commit=listeners,
                on_detach=(self._note_detached,),
            )
        except BaseException:
            self.ledger.close()
            raise

    def scheduler_status(self) -> SchedulerStatus:
        """Return how the scheduler stands now."""
        state = self.ledger.state(SCHEDULER_STREAM)
        scheduler = state if isinstance(state, SchedulerState) else SchedulerState()
        starved_after = self.settings.starvation_seconds * SECOND
        return scheduler_status(self.ledger.reader, scheduler, self.clock(), starved_after)

    def context(self, actor: Actor, origin: Origin) -> Context:
        """Return the context of a command that comes from no request."""
        return Context(
            actor=actor,
            origin=origin,
            now=self.clock(),
            command_id=self.new_id("cmd"),
            new_id=self.new_id,
            policy=self.policy,
        )

    async def start(self) -> None:
        """Begin the background work, and recover: now, or as soon as the store allows it."""
        self.keep(asyncio.create_task(self._every(self.settings.sweep_seconds, self._sweep)))
        self.keep(asyncio.create_task(self._every(self.settings.sweep_seconds, self._escalate)))
        self.keep(asyncio.create_task(self._every(self.settings.sweep_seconds, self._forget)))
        self.keep(asyncio.create_task(self._every(self.settings.poll_seconds, self._poll)))
        self.keep(asyncio.create_task(self.ledger.access.watch(self._heard)))
        self.keep(asyncio.create_task(self._every(_TELL_SECONDS, self._tell)))
        self.keep(asyncio.create_task(self.bridges.deliveries.run()))
        self.keep(asyncio.create_task(self._every(_SNAPSHOT_SECONDS, self.moments.keep_up)))
        if not await self._recovered():
            self.keep(asyncio.create_task(self._recover_later()))

    async def _recovered(self) -> bool:
        """Take back leases that ran out while nobody served, and go on with what was begun."""
        try:
            expiry = ExpireLeases(reason="orphaned_on_boot")
            await self.committer.submit(expiry, self.context(BOOT_ACTOR, BOOT_ORIGIN))
            await self.blobs.sweep()
            await self.projections.resume()
        except StoreUnavailableError as error:
            _LOG.warning("cannot recover, next try in %g s: %s", _RECOVER_SECONDS, error)
            return False
        return True

    async def _recover_later(self) -> None:
        while True:
            await asyncio.sleep(_RECOVER_SECONDS)
            if await self._recovered():
                return

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Keep a task alive until it ends or the server stops."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def begin_stop(self) -> None:
        """Let streams and waiting requests end."""
        self.stopping.set()
        self.projections.stop()
        for bell in self.bells:
            bell.set()
        self.claims.wake_all()
        self.signal.notice()

    async def stop(self) -> None:
        """End the background work and wait until everything accepted is committed."""
        self.begin_stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bridges.close()
        await self.blobs.close()
        await self.committer.close()

    def close(self) -> None:
        """Close the store."""
        self.ledger.close()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except StoreUnavailableError as error:
                _LOG.warning("background work failed, next try in %g s: %s", seconds, error)
            except Exception as error:
                # Leases have to be swept again, whatever this was.
                log_failure(error)

    async def _sweep(self) -> None:
        """Take back leases and end reviews whose time is over, also while claiming is paused."""
        if not self.ledger.access.leads():
            return
        command = ExpireLeases(limit=self.settings.sweep_limit, reason="scheduler_sweep")
        await self.committer.submit(command, self.context(SCHEDULER_ACTOR, SCHEDULER_ORIGIN))
        overdue = EndReviews(limit=self.settings.sweep_limit)
        await self.committer.submit(overdue, self.context(SCHEDULER_ACTOR, SCHEDULER_ORIGIN))

    async def _escalate(self) -> None:
        """Let a cycle pass for the runs that wait too long."""
        if not self.ledger.access.leads():
            return
        settings = self.settings
        command = EscalateRuns(
            min_queued_age=settings.starvation_seconds * SECOND,
            event_after=settings.starved_after_cycles,
            needs_attention_after=settings.attention_after_cycles,
            limit=settings.sweep_limit,
        )
        await self.committer.submit(command, self.context(SCHEDULER_ACTOR, SCHEDULER_ORIGIN))

    async def _forget(self) -> None:
        """Let secrets go that were for an operation which is over."""
        if self.ledger.access.leads():
            await self.forgetting.look()

    async def _poll(self) -> None:
        """Notice what other processes committed."""
        self.committer.poll()

    async def _tell(self) -> None:
        """Let the processes beside this one know its numbers."""
        self.siblings.tell()

    def _heard(self) -> None:
        with suppress(StoreUnavailableError):
            self.committer.poll()

    def _note_detached(self, error: ProjectorError) -> None:
        """Put on record that a read model was left behind; without a loop its status says it."""
        held = separable(self.projections.projector(error.name))
        fact = ProjectionDetached(
            projection=error.name,
            failed_sequence=error.recorded.sequence,
            failed_type=error.recorded.type,
            error=described(error.error),
            held_stream=error.recorded.originator_id if held else "",
        )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        context = self.context(SCHEDULER_ACTOR, _DETACH_ORIGIN)
        submitted = self.committer.submit(NoteProjection(fact=fact), context)
        self.keep(loop.create_task(submitted))

    def _notice(self, commit: Commit) -> None:
        """Tell those who wait for a commit what it may mean to them."""
        self.signal.notice()
        self.bridges.deliveries.notice(commit)
        rows = commit.rows.get(FEED_TABLE)
        if rows is None:
            self.access.forget()
            self.claims.wake_all()
            return
        events = [(row[_TYPE], row[_WORKSPACE], row[_TASK]) for row in rows]
        if any(kind.startswith("ops.") for kind, *_ in events):
            self.access.forget()
        self.claims.notice(events)


def build(
    settings: Settings,
    clock: Clock = now,
    new_id: NewId | None = None,
    projectors: tuple[Projector, ...] = PROJECTORS,
) -> Services:
    """Return the services over the store that the settings name.

    Raises StoreOpenError or OSError when the store cannot be used.
    """
    return Services(settings, clock, new_id, projectors)
