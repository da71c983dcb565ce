"""One transaction's worth of commands: decided one after the other, written together."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from domain.commands import Command, Reply
from domain.errors import DomainError, StreamHeldError
from domain.events import FACT_BY_TYPE, Fact
from domain.recorded import Recorded, task_stream
from domain.refusals import held_back
from domain.task.state import Run, TaskState
from domain.world import Change, Context, Plan, State, World
from replay.errors import described, is_unavailable
from replay.rows import MissingError, RowBuffer, Table
from replay.statements import stream_query
from replay.store import Row

ContextSource: TypeAlias = Context | Callable[[], Context]
Decide: TypeAlias = Callable[[Command, Plan], Reply]
StateOf: TypeAlias = Callable[[str], State | None]
Clock: TypeAlias = Callable[[], int]
"""Gives the time in microseconds since the epoch."""


WorldFactory: TypeAlias = Callable[[StateOf, RowBuffer], World]


class Projector(Protocol):
    """Turns changes into rows of its own tables."""

    @property
    def name(self) -> str:
        """The name of the read model; its position is stored under it."""

    @property
    def version(self) -> int:
        """Raised whenever the same events would give other rows."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of the read model."""

    def apply(self, change: Change, rows: RowBuffer) -> None:
        """Bring the rows up to date with one change."""


class ProjectorError(Exception):
    """A projector raised; the transaction has to be repeated without it."""

    def __init__(self, name: str, recorded: Recorded, error: Exception) -> None:
        """Keep which read model failed at which event."""
        self.name = name
        self.recorded = recorded
        self.error = error
        super().__init__(f"read model {name} at event {recorded.sequence}: {error!r}")


def separable(projector: Projector) -> bool:
    """Whether its rows about one stream can stand still while the others go on.

    A projector says so in `separable`; one that says nothing stands still as a whole.
    """
    return getattr(projector, "separable", False)


def passed_over(projector: Projector) -> frozenset[str]:
    """Return the types of events that never change its rows.

    A projector names in `facts` those that may; one that says nothing gets them all, and so does
    every projector those of unknown types.
    """
    facts: frozenset[type[Fact]] = getattr(projector, "facts", frozenset(FACT_BY_TYPE.values()))
    return frozenset(FACT_BY_TYPE) - {fact.TYPE for fact in facts}


def apart(projector: Projector) -> frozenset[type[Fact]] | None:
    """Return the facts whose events it needs as changes of their own; None stands for all.

    A projector says so in `apart`. Of other events it only compares the states before and after
    them, so that several of one stream may be one change, and streams may change places.
    """
    return getattr(projector, "apart", None)


def decides(projector: Projector) -> bool:
    """Whether later commands are decided by what this projector writes."""
    return any(table.eager for table in projector.tables)


class Outcome(Struct, frozen=True, kw_only=True):
    """What a command came to. `task` and `run` are those of the reply, after the command.

    `head` is the last sequence the command saw, its own events included.
    """

    reply: Reply
    task: TaskState | None
    run: Run | None
    paused_by: str
    head: int
    changes: tuple[Change, ...]


class Commit(Struct, frozen=True, kw_only=True):
    """What a durable commit added: sequences above `previous` up to `head`, and the rows written.

    Without rows the listener has to read for itself what lies between.
    """

    previous: int
    head: int
    rows: Mapping[str, list[Row]]


class AbandonedError(Exception):
    """Whoever sent the command went away before it was decided, so it was left out."""


class Job:
    """A command with whoever waits for it; `future` is None when nobody has to be woken.

    `gone` tells whether the one for whom the command is meant has left.
    """

    __slots__ = ("command", "context", "error", "foreseen", "future", "gone", "outcome")
    size = 1

    def __init__(
        self,
        command: Command,
        context: ContextSource,
        future: asyncio.Future[Outcome | None] | None = None,
        gone: Callable[[], bool] | None = None,
    ) -> None:
        self.command = command
        self.context = context
        self.future = future
        self.gone = gone
        self.foreseen = False
        self.outcome: Outcome | None = None
        self.error: Exception | None = None

    @property
    def parts(self) -> "Sequence[Job]":
        """The commands, each on its own."""
        return (self,)

    def made_context(self) -> Context:
        """Return the context, made now if it has to be."""
        return self.context if isinstance(self.context, Context) else self.context()

    def abandoned(self) -> bool:
        """Return whether there is no reason to decide the command any more."""
        if self.future is None:
            return False
        if not self.future.done() and self.gone is not None and self.gone():
            self.future.set_exception(AbandonedError())
        return self.future.done()

    def result(self) -> Outcome | DomainError:
        """Return the outcome or the refusal of a settled job."""
        if isinstance(self.error, DomainError):
            return self.error
        assert self.outcome is not None
        return self.outcome

    def settle(self) -> None:
        """Wake the caller with the outcome or the error, unless it went away."""
        future = self.future
        if future is None or future.done():
            return
        if isinstance(self.error, StopIteration):
            # A future refuses this one, and whoever waits for it would wait for ever.
            future.set_exception(RuntimeError(f"a command raised {self.error!r}"))
        elif self.error is not None:
            future.set_exception(self.error)
        elif self.outcome is not None:
            future.set_result(self.outcome)


class Parcel(Job):
    """Commands of one caller, decided one after the other; what they come to is one commit.

    The parts hold their own outcomes and refusals; `error` is for what befell all of them.
    """

    __slots__ = ("_parts",)

    def __init__(
        self,
        commands: Iterable[Command],
        context: Context,
        future: asyncio.Future[Outcome | None] | None,
    ) -> None:
        self._parts = [Job(command, context) for command in commands]
        super().__init__(self._parts[0].command, context, future)

    @property
    def parts(self) -> Sequence[Job]:
        """The commands, each on its own."""
        return self._parts

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many commands there are."""
        return len(self.parts)

    def settle(self) -> None:
        """Wake the caller, who looks at the parts."""
        if self.error is None and self.future is not None and not self.future.done():
            self.future.set_result(None)
        super().settle()


class States(Protocol):
    """The committed states of streams."""

    def state(self, stream: str) -> State | None:
        """Return the state of a stream, read when it is not known; None without events."""

    def known(self, stream: str) -> State | None:
        """Return the state of a stream when it is known, otherwise None."""

    def learn(self, stream: str, stored: Iterable[Row]) -> State | None:
        """Return the state of a stream, which all of its stored events are given of."""


class Desk:
    """Decides commands against everything committed and everything earlier in the transaction."""

    def __init__(
        self,
        *,
        committed: States,
        decide: Decide,
        world_factory: WorldFactory,
        projectors: Iterable[Projector],
        clock: Clock,
    ) -> None:
        """Deciding looks at `committed` states and at the rows of the projectors."""
        self.projectors = tuple(projectors)
        self.attached = self.projectors
        # With a list, whatever fails is tried apart, and streams that cannot be taken are noted.
        self.held: Mapping[str, Collection[str]] = {}
        self.holding: list[ProjectorError] | None = None
        self.rows = RowBuffer(table for each in self.projectors for table in each.tables)
        self.states: dict[str, State | None] = {}
        self.groups: list[list[Recorded]] = []
        self.base = 0
        self.head = 0
        self.recorded_at = 0
        self._seen: dict[str, State | None] = {}
        self._committed = committed
        self._decide = decide
        self.clock = clock
        self._world = world_factory(self._state, self.rows)
        self._ahead: set[type[Command]] = set()

    def start(self, head: int, recorded_at: int) -> None:
        """Begin a transaction behind `head`, whose event was recorded at `recorded_at`."""
        self.states = {}
        self._seen = {}
        self.groups = []
        self.base = self.head = head
        self.recorded_at = recorded_at

    def _state(self, stream: str) -> State | None:
        if stream in self.states:
            return self.states[stream]
        if stream not in self._seen:
            self._seen[stream] = self._known(stream)
        return self._seen[stream]

    def _known(self, stream: str) -> State | None:
        known = self._committed.known(stream)
        if known is not None:
            return known
        if self.rows.looks_ahead:
            self.rows.note(*stream_query(stream), partial(self._learn, stream))
        self.rows.reads += 1
        return self._committed.state(stream)

    def _learn(self, stream: str, stored: list[Row]) -> None:
        # What cannot be read is told when the command is decided.
        with suppress(StreamHeldError):
            self._seen[stream] = self._committed.learn(stream, stored)

    def look_ahead(self, jobs: Iterable[Job]) -> None:
        """Note what the next thing is that each command will look at and that is not known."""
        with self.rows.looking_ahead():
            for job in jobs:
                for part in job.parts:
                    if not part.foreseen and type(part.command) in self._ahead:
                        part.foreseen = not self._misses(part)

    def _misses(self, job: Job) -> bool:
        """Return whether deciding a command, which comes to nothing here, has to read first."""
        context = replace(job.made_context(), new_id=_no_id)
        plan = Plan(self._world, context, head=self.head, recorded_at=self.recorded_at)
        try:
            self._decide(job.command, plan)
        except MissingError:
            return True
        except Exception:
            return False
        return False

    def run(self, job: Job) -> None:
        """Decide a command, or those of a parcel; a refusal is noted and leaves nothing behind.

        Raises ProjectorError, StreamHeldError when it is a read model of deciding that fails, or
        what the store raises; then the transaction has to be rolled back.
        """
        job.outcome = job.error = None
        recorded_at = max(self.recorded_at, self.clock())
        # One request is recorded at one time, however many commands it holds.
        for each in job.parts:
            self._run(each, recorded_at)

    def _run(self, job: Job, recorded_at: int) -> None:
        job.outcome = job.error = None
        plan = Plan(self._world, job.made_context(), head=self.head, recorded_at=recorded_at)
        reads = self.rows.reads
        try:
            reply = self._decide(job.command, plan)
        except DomainError as refusal:
            job.error = refusal
            return
        finally:
            if self.rows.reads > reads:
                self._ahead.add(type(job.command))
        if plan.changes:
            self._take(plan, recorded_at)
        job.outcome = _outcome(reply, plan, self.head)

    def _takers(self, change: Change) -> Iterator[Projector]:
        """Yield the read models that do not stand still for the stream of a change."""
        stream = change.recorded.originator_id
        for projector in self.attached:
            if stream not in self.held.get(projector.name, ()):
                yield projector
            elif decides(projector):
                message = f"{stream}: {projector.name} stands still for it; see its status"
                raise held_back(stream, message, f"taskledger projections status {projector.name}")

    def _try(self, projector: Projector, change: Change) -> None:
        """Apply a change, or let the read model stand still for the stream where it can."""
        saved = self.rows.saved(projector.tables)
        try:
            projector.apply(change, self.rows)
        except Exception as error:
            if is_unavailable(error) or decides(projector) or not separable(projector):
                raise
            self.rows.restore(saved)
            self._hold(ProjectorError(projector.name, change.recorded, error))
        else:
            self.rows.keep()

    def _hold(self, failure: ProjectorError) -> None:
        assert self.holding is not None
        self.holding.append(failure)
        known = self.held.get(failure.name, ())
        self.held = {**self.held, failure.name: {*known, failure.recorded.originator_id}}

    def _take(self, plan: Plan, recorded_at: int) -> None:
        changes, rows = plan.changes, self.rows
        for change in changes:
            for projector in self._takers(change) if self.held else self.attached:
                try:
                    if self.holding is None:
                        projector.apply(change, rows)
                    else:
                        self._try(projector, change)
                except Exception as error:
                    if is_unavailable(error):
                        raise
                    failure = ProjectorError(projector.name, change.recorded, error)
                    # What deciding looks at has to be right, so there the command is refused.
                    raise (refusal(failure) if decides(projector) else failure) from error
        self.states.update(plan.states())
        self.groups.append([change.recorded for change in changes])
        self.head += len(changes)
        self.recorded_at = recorded_at


def _no_id(prefix: str) -> str:
    """Return what stands for an id where nothing is kept."""
    return f"{prefix}-"


def refusal(failure: ProjectorError) -> StreamHeldError:
    """Return the refusal of a command whose event a read model of deciding cannot take."""
    stream, why = failure.recorded.originator_id, described(failure.error)
    message = f"{stream}: {failure.name} cannot take a {failure.recorded.type}: {why}"
    return held_back(stream, f"{message}; start a release that can", "")


def _outcome(reply: Reply, plan: Plan, head: int) -> Outcome:
    state = plan.state(task_stream(reply.task_id)) if reply.task_id else None
    task = state if isinstance(state, TaskState) else None
    return Outcome(
        reply=reply,
        task=task,
        run=task.runs.get(reply.run_id) if task else None,
        paused_by=plan.paused_by(task) if task else "",
        head=head,
        changes=tuple(plan.changes),
    )
