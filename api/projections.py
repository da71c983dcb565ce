"""The read models as an operator sees and works on them, with a server or without one.

The work itself is done by a process of its own for each read model; here it is started, watched,
started again when it was killed, and put on record.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from api.projection_ends import fact_of, not_begun, operators, untold
from api.projection_status import (
    HeldStream,
    ProjectionOutcome,
    ProjectionState,
    ProjectionStatus,
    failure_of,
    held_stream,
    outcome,
    rebuild_failure_of,
    recorded_outcome,
)
from api.rebuilding import Line, Work
from api.settings import child_environment
from domain.commands import NoteProjection, SkipEvent
from domain.errors import (
    ConflictError,
    ProjectionNotFoundError,
    ValidationError,
)
from domain.events import Fact, ProjectionRebuildStarted
from domain.values import SCHEDULER_ACTOR, Origin
from domain.world import Context
from projections.rows import Projector
from replay.attach import skipped_by
from replay.batch import Commit
from replay.errors import StoreUnavailableError
from replay.read_models import Failure, Standing
from replay.skipping import is_in_the_way
from replay.workbench import Progress

if TYPE_CHECKING:
    from api.services import Services

_LOG: Final = logging.getLogger("taskledger")
_ORIGIN: Final = Origin("daemon", "projections")
_RESTARTS: Final = 20
_BUSY_SECONDS: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
_TAKEN_TRIES: Final = 3
"""So often work that was asked for is tried beside another process, which may be an orphan."""
_KILLED: Final = (-signal.SIGKILL, -signal.SIGTERM)
_LINE_BYTES: Final = 16 << 20
_decode: Final = msgspec.json.Decoder(Line).decode
_SHOWN: Final = 20
_COUNT_HELD: Final = "SELECT count(*) FROM read_model_holds WHERE name=?"
_SELECT_HELD: Final = (
    "SELECT stream, doc FROM read_model_holds WHERE name=? ORDER BY stream LIMIT ?"
)
_decode_failure: Final = msgspec.json.Decoder(Failure).decode
_decode_standing: Final = msgspec.json.Decoder(Standing).decode


class Job:
    """Work under way; `done` gives how it ended.

    It is `resumed` when nobody asked for it, but it had been begun or something waits for it.
    """

    def __init__(self, work: Work) -> None:
        self.work = work
        self.progress: Progress | None = None
        self.process: asyncio.subprocess.Process | None = None
        self.done: asyncio.Task[Line] | None = None
        self.canceled = asyncio.Event()
        self.resumed = False

    async def ended(self) -> Line:
        """Wait for the end and return how it was."""
        assert self.done is not None
        return await asyncio.shield(self.done)


class Projections:
    """Starts and watches work on the read models of one store."""

    def __init__(self, services: "Services") -> None:
        """Work for these services; the processes are given the read models of the catalog."""
        self._services = services
        self._projectors = {each.name: each for each in services.projectors}
        self._jobs: dict[str, Job] = {}
        self._last: dict[str, ProjectionOutcome] = {}
        self.command: tuple[str, ...] = (sys.executable, "-m", "api.rebuilding")

    def projector(self, name: str) -> Projector:
        """Return a read model; raises ProjectionNotFoundError naming those there are."""
        found = self._projectors.get(name)
        if found is None:
            known = ", ".join(self._projectors)
            raise ProjectionNotFoundError(f'"{name}"; there are: {known}')
        return found

    # How they stand.

    def statuses(self) -> tuple[ProjectionStatus, ...]:
        """Return how every read model stands, in the order of the catalog."""
        return tuple(map(self.status, self._projectors))

    def status(self, name: str) -> ProjectionStatus:
        """Return how a read model stands; raises ProjectionNotFoundError."""
        projector = self.projector(name)
        reader, head = self._services.ledger.reader, self._services.ledger.head
        rows = reader.select("SELECT doc FROM read_models WHERE name=?", (name,))
        standing = _decode_standing(rows[0][0])
        tracked = reader.select(
            "SELECT notification_id FROM tracking WHERE application_name=?", (name,)
        )
        live = standing.state == "live"
        job = self._jobs.get(name)
        rebuild = standing.rebuild
        return ProjectionStatus(
            name=name,
            state=_state_of(standing, job),
            version=standing.version,
            current_version=projector.version,
            position=head if live else (tracked[0][0] if tracked else 0),
            head=head,
            failure=failure_of(name, standing.failure),
            held_count=self._held_count(name),
            held=self._held(name),
            rebuild_failure=rebuild_failure_of(
                name,
                rebuild.failure if rebuild else None,
                skipped_by(self._services.ledger, name),
            ),
            previous=standing.previous,
            work=job.work if job else None,
            progress=job.progress if job else None,
            last=self._last.get(name) or self._recorded_outcome(name),
        )

    def notices(self) -> tuple[str, ...]:
        """Return which read models stand still and for what, one sentence each."""
        found = []
        for name, projector in self._projectors.items():
            standing = self._standing(name)
            if standing.state == "detached":
                why = standing.failure.error if standing.failure else "it is behind the log"
                found.append(f"{name} is detached: {why}")
            elif standing.version != projector.version:
                found.append(f"{name} has rows of version {standing.version}")
            if standing.rebuild is not None and standing.rebuild.failure is not None:
                found.append(f"the rebuild of {name} stopped: {standing.rebuild.failure.error}")
            held = self._held_count(name)
            if held:
                first = self._held(name)[0]
                found.append(
                    f"{name} stands still for {held} streams, first for {first.stream}"
                    f" at sequence {first.sequence}: {first.error}"
                )
        return tuple(found)

    def _held_count(self, name: str) -> int:
        rows = self._services.ledger.reader.select(_COUNT_HELD, (name,))
        count: int = rows[0][0]
        return count

    def _held(self, name: str) -> tuple[HeldStream, ...]:
        """Return some of the streams that a read model stands still for."""
        rows = self._services.ledger.reader.select(_SELECT_HELD, (name, _SHOWN))
        return tuple(held_stream(name, stream, _decode_failure(doc)) for stream, doc in rows)

    def _recorded_outcome(self, name: str) -> ProjectionOutcome | None:
        """Return how the last work ended, as the ledger tells."""
        state = operators(self._services.ledger)
        fact = state.worked.get(name) if state is not None else None
        return recorded_outcome(fact) if fact is not None else None

    # What an operator may do.

    async def start(self, name: str, work: Work, context: Context) -> Job:
        """Begin to work on a read model and return the work under way.

        Raises ProjectionNotFoundError, or ConflictError when something is under way.
        """
        projector = self.projector(name)
        self._require_idle(name)
        job = self._jobs[name] = Job(work)
        try:
            if work in {"rebuild", "repair"}:
                fact = ProjectionRebuildStarted(
                    projection=name, version=projector.version, repair=work == "repair"
                )
                await self._note(fact, context)
        except BaseException:
            del self._jobs[name]
            raise
        job.done = asyncio.create_task(self._watch(name, job, context))
        self._services.keep(job.done)
        return job

    async def cancel(self, name: str, context: Context) -> None:
        """Give a rebuild up and remove what there is of it.

        Raises ConflictError without one, when it was done before it could be stopped, and when it
        is that of another process.
        """
        job = self._jobs.get(name)
        if job is None and self._standing(name).rebuild is None:
            raise _idle(name)
        if job is not None and job.work not in {"rebuild", "repair"}:
            raise ConflictError(f'"{name}": {job.work} cannot be canceled')
        if job is not None:
            job.canceled.set()
            self._terminate(job)
            if job.done is not None and (await job.ended()).end == "done":
                raise _idle(name)
        line = await (await self.start(name, "discard", context)).ended()
        if line.end != "done":
            raise ConflictError(line.text or f"giving it up ended: {line.end}")

    async def roll_back(self, name: str, context: Context) -> Line:
        """Go back to the tables before the last rebuild; raises ConflictError when that fails."""
        line = await (await self.start(name, "roll_back", context)).ended()
        if line.end != "done":
            raise ConflictError(line.text or f"the rollback ended: {line.end}")
        return line

    async def skip(self, name: str, sequence: int, reason: str, context: Context) -> None:
        """Have a read model pass over an event, and catch it up when it is detached.

        Raises ProjectionNotFoundError, ValidationError when there is no such event, and
        ConflictError when it is in nobody's way.
        """
        self.projector(name)
        head = self._services.ledger.head
        if not 1 <= sequence <= head:
            raise ValidationError(f"projection.sequence must be from 1 to {head}: {sequence}")
        standing = self._standing(name)
        command = SkipEvent(
            projection=name,
            sequence=sequence,
            reason=reason,
            in_the_way=is_in_the_way(self._services.ledger, name, standing, sequence),
        )
        await self._services.committer.submit(command, context)
        stands_still = standing.state == "detached" or self._held_count(name)
        if stands_still and name not in self._jobs:
            await self.start(name, "catch_up", context)

    async def resume(self) -> None:
        """Go on with what a crash or a stop has interrupted, and with what is far behind."""
        context = self._services.context(SCHEDULER_ACTOR, _ORIGIN)
        for name in self._projectors:
            if name in self._jobs:
                continue
            await self._note_untold(name, context)
            work = self._waits_for(name)
            if work is not None:
                (await self.start(name, work, context)).resumed = True

    def _waits_for(self, name: str) -> Work | None:
        """Return the work that is to be gone on with, None when another process has done it."""
        standing = self._standing(name)
        work = _unfinished(standing, self._projectors[name])
        if work is None and self._held_count(name):
            return "catch_up"
        return work or not_begun(self._services.ledger, name, standing)

    def stop(self) -> None:
        """Stop every process; what they did is gone on with at the next start."""
        for job in self._jobs.values():
            self._terminate(job)

    # The processes.

    def _standing(self, name: str) -> Standing:
        self.projector(name)
        statement = "SELECT doc FROM read_models WHERE name=?"
        return _decode_standing(self._services.ledger.reader.select(statement, (name,))[0][0])

    def _require_idle(self, name: str) -> None:
        job = self._jobs.get(name)
        if job is not None:
            raise ConflictError(f'"{name}" is being worked on already: {job.work}')

    @staticmethod
    def _terminate(job: Job) -> None:
        if job.process is not None and job.process.returncode is None:
            job.process.terminate()

    async def _watch(self, name: str, job: Job, context: Context) -> Line:
        """See the work through to its end, and put that on record.

        It is an end also while the store is away: the next server records what that tells of it.
        """
        try:
            line = await self._run(name, job)
            if job.work != "discard":
                self._last[name] = outcome(job.work, line)
            with _unless_away(f"how {job.work} of {name} ended is not on record"):
                await self._record(name, job, line, context)
        finally:
            del self._jobs[name]
        with _unless_away("streams may have to wait for what they missed"):
            self._tell_readers()
        return line

    async def _run(self, name: str, job: Job) -> Line:
        line = Line(end="failed", text="the process that did the work was killed again and again")
        for number in range(_RESTARTS):
            if job.canceled.is_set() or self._services.stopping.is_set():
                return Line(end="canceled")
            found = await self._run_once(name, job)
            if found is not None and found.end not in {"busy", "taken"}:
                return found
            if found is not None:
                line = found
                if line.end == "taken" and not job.resumed and number + 1 >= _TAKEN_TRIES:
                    return Line(end="refused", text=line.text)
                await self._pause(name, job, line, number)
                if job.resumed and self._waits_for(name) != job.work:
                    return Line(end="done")
        return line

    @staticmethod
    async def _pause(name: str, job: Job, line: Line, number: int) -> None:
        """Wait before the next try, unless the work is canceled meanwhile."""
        pause = min(_BUSY_SECONDS * 2**number, _LONGEST_PAUSE)
        _LOG.warning("work on %s waits, next try in %g s: %s", name, pause, line.text)
        with suppress(TimeoutError):
            await asyncio.wait_for(job.canceled.wait(), pause)

    async def _run_once(self, name: str, job: Job) -> Line | None:
        """Return how a process ended, None when it was killed."""
        job.process = await asyncio.create_subprocess_exec(
            *self.command,
            job.work,
            name,
            str(os.getpid()),
            stdout=asyncio.subprocess.PIPE,
            env=child_environment(self._services.settings),
            limit=_LINE_BYTES,
        )
        assert job.process.stdout is not None
        if job.canceled.is_set():
            # There was no process yet that could have been told.
            self._terminate(job)
        ended: Line | None = None
        try:
            async for text in job.process.stdout:
                line = _decode(text)
                job.progress = line.progress or job.progress
                ended = line if line.end else ended
            code = await job.process.wait()
        except BaseException:
            self._terminate(job)
            raise
        if ended is None and code not in _KILLED:
            _LOG.error("the process that works on %s ended with %d", name, code)
            return Line(end="failed", text=f"the process ended with {code}")
        return ended

    async def _record(self, name: str, job: Job, line: Line, context: Context) -> None:
        fact = fact_of(name, job.work, line)
        if fact is not None:
            await self._note(fact, context)
        await self._note_untold(name, context)

    async def _note_untold(self, name: str, context: Context) -> None:
        """Put on record how work ended whose process had nobody left to tell."""
        for fact in untold(self._services.ledger, name, self._standing(name)):
            await self._note(fact, context)

    async def _note(self, fact: Fact, context: Context) -> None:
        """Put something on record; what happens later in the same work is a command of its own."""
        services = self._services
        fresh = replace(context, now=services.clock(), command_id=services.new_id("cmd"))
        await services.committer.submit(NoteProjection(fact=fact), fresh)

    def _tell_readers(self) -> None:
        """Let streams that waited for the feed read what they missed."""
        head = self._services.ledger.head
        self._services.committer.poll()
        if self._services.committer.feeding:
            self._services.hub.publish(Commit(previous=head, head=head, rows={}))


@contextmanager
def _unless_away(otherwise: str) -> Iterator[None]:
    """Do without what is in the block, and say so, when the store is not available."""
    try:
        yield
    except StoreUnavailableError as error:
        _LOG.warning("%s: %s", otherwise, error)


def _idle(name: str) -> ConflictError:
    return ConflictError(f'"{name}" is not being rebuilt')


def _unfinished(standing: Standing, projector: Projector) -> Work | None:
    """Return the work that a read model waits for, None when somebody has to decide first."""
    rebuild = standing.rebuild
    if rebuild is not None:
        work: Work = "repair" if rebuild.repair else "rebuild"
        return work if rebuild.failure is None else None
    if standing.state == "live" or standing.rolled_back:
        return None
    if standing.version != projector.version:
        return "rebuild"
    return "catch_up" if standing.failure is None else None


def _state_of(standing: Standing, job: Job | None) -> ProjectionState:
    if job is not None and job.work in {"rebuild", "repair"}:
        return "rebuilding"
    if job is not None and job.work == "catch_up":
        return "catching_up"
    return standing.state
