"""Case `claims`: workers that claim and complete, one run at a time and in batches.

Everything is measured in process, as a library: ours through the committer, pgqueuer through its
queries over a local socket to PostgreSQL, huey through its own calls over SQLite. Each does it
durably, with settings of its own, and each is given all work before the clock starts. Ours writes
a lease with its fence, two events, and every read model.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import uvloop

from domain.commands import (
    ClaimNext,
    ClaimSeveral,
    CompleteLease,
    EnqueueRun,
    RegisterSession,
)
from domain.events import RunClaimed
from replay.batch import Outcome
from tests.bench.agents import AGENT, session_of
from tests.bench.case import Options
from tests.bench.embedded import RESULT, Embedded, embedded, task_of
from tests.bench.measure import Goal, Pairs, Result, absolute, compared, in_turn
from tests.bench.rivals.programs import MissingError, environment, running
from tests.support.postgres import USER, postgres

NAME: Final = "claims"
WORKERS: Final = 8
BATCH: Final = 10
_JOBS_PER_SECOND: Final = 2_000
_FILL: Final = 200

Round = Callable[[], float]


class _Ours:
    """Workers that empty the queue."""

    def __init__(self, product: Embedded, runner: asyncio.Runner, jobs: int, batch: int) -> None:
        self._product = product
        self._runner = runner
        self._jobs = jobs
        self._batch = batch
        self._tokens = count()

    def round(self) -> float:
        """Return claimed and completed runs per second."""
        return self._runner.run(self._round())

    async def _round(self) -> float:
        for worker in range(WORKERS):
            registration = RegisterSession(
                session_id=session_of(worker), agent_name=AGENT, concurrency=self._batch
            )
            await self._product.submit(registration, "tasks.put_session")
        for first in range(0, self._jobs, _FILL):
            filling = range(first, min(first + _FILL, self._jobs))
            await asyncio.gather(*(self._queue() for _ in filling))
        work = self._one_by_one if self._batch == 1 else self._in_batches
        started = time.perf_counter()
        done = await asyncio.gather(*(work(session_of(worker)) for worker in range(WORKERS)))
        elapsed = time.perf_counter() - started
        assert sum(done) == self._jobs
        return self._jobs / elapsed

    async def _queue(self) -> None:
        created = await self._product.submit(task_of(""), "tasks.create")
        await self._product.submit(EnqueueRun(task_id=created.reply.task_id), "tasks.enqueue_run")

    async def _one_by_one(self, session: str) -> int:
        done = 0
        while True:
            claim = ClaimNext(
                session_id=session,
                agent_name=AGENT,
                claim_token_hash=f"sha256:{next(self._tokens)}",
            )
            claimed = await self._product.submit(claim, "agent.task.next", session)
            if not claimed.reply.run_id:
                return done
            await self._product.submit(
                _completion(claimed.reply.run_id, session), "agent.task.complete", session
            )
            done += 1

    async def _in_batches(self, session: str) -> int:
        done = 0
        while True:
            hashes = tuple(f"sha256:{next(self._tokens)}" for _ in range(self._batch))
            claim = ClaimSeveral(session_id=session, agent_name=AGENT, claim_token_hashes=hashes)
            claimed = await self._product.submit(claim, "agent.task.claim", session)
            runs = list(_runs_of(claimed))
            if not runs:
                return done
            reports = [_completion(run_id, session) for run_id in runs]
            found = await self._product.submit_together(reports, "agent.task.report", session)
            assert all(isinstance(each, Outcome) for each in found)
            done += len(runs)


def _completion(run_id: str, session: str) -> CompleteLease:
    return CompleteLease(run_id=run_id, session_id=session, result=RESULT)


def _runs_of(claimed: Outcome) -> Iterator[str]:
    for change in claimed.changes:
        if isinstance(change.recorded.fact, RunClaimed):
            yield change.recorded.run_id


class _Rivals:
    """The other queues that can be run here, and why the others cannot."""

    def __init__(self, options: Options, stack: ExitStack, jobs: int) -> None:
        self._stack = stack
        self._jobs = jobs
        self.missing: dict[str, float | str] = {}
        self._python: Path | None = None
        self._dsn = ""
        if not options.rivals:
            self.missing["others"] = "left out of a quick run"
            return
        try:
            self._python = environment(options.cache)
            server = stack.enter_context(postgres(durable=True))
            self._dsn = f"postgresql://{USER}@/postgres?host={server.folder}&port={server.port}"
        except (MissingError, FileNotFoundError) as error:
            self.missing["others"] = str(error)

    def rounds(self, batch: int, folder: Path) -> dict[str, Round]:
        """Return what measures each of them, by name."""
        if self._python is None:
            return {}
        programs: dict[str, tuple[str, ...]] = {
            "huey on SQLite": ("huey_jobs", str(folder / f"huey-{batch}.db"), str(WORKERS))
        }
        if self._dsn:
            programs["pgqueuer on PostgreSQL"] = (
                "pgqueuer_jobs",
                self._dsn,
                str(WORKERS),
                str(batch),
            )
        started = {
            name: self._stack.enter_context(running(self._python, *command))
            for name, command in programs.items()
        }
        return {name: partial(program.round, self._jobs) for name, program in started.items()}


def _measure(options: Options, rivals: _Rivals, jobs: int, batch: int) -> list[Result]:
    with (
        embedded(options.folder / f"claims-{batch}.db") as product,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        ours = _Ours(product, runner, jobs, batch)
        others = rivals.rounds(batch, options.folder)
        found = in_turn(options.rounds, [ours.round, *others.values()])
        runner.run(product.committer.close())
    what = f"{WORKERS} workers, {'one at a time' if batch == 1 else f'batches of {batch}'}"
    goal = Goal(compare="at least", ratio=1)
    results = [_alone(found[0], what, goal, rivals.missing)] if rivals.missing else []
    return results + [
        compared(
            Pairs(found[0], measured),
            case=NAME,
            what=what,
            unit="runs/s",
            reference_what=name,
            goal=goal,
        )
        for name, measured in zip(others, found[1:], strict=True)
    ]


def _alone(measured: list[float], what: str, goal: Goal, missing: dict[str, float | str]) -> Result:
    return absolute(measured, case=NAME, what=what, unit="runs/s", goal=goal, beside=missing)


def run(options: Options) -> list[Result]:
    """Measure."""
    jobs = max(BATCH * WORKERS, round(options.seconds * _JOBS_PER_SECOND))
    with ExitStack() as stack:
        rivals = _Rivals(options, stack, jobs)
        return [result for batch in (1, BATCH) for result in _measure(options, rivals, jobs, batch)]
