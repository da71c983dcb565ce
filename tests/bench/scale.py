"""Case `scale`: what a command costs in a large ledger, against the same in a small one."""

import asyncio
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from domain.commands import ClaimNext, Command, CompleteLease, EnqueueRun, Heartbeat
from replay.batch import Outcome
from tests.bench import seed
from tests.bench.agents import AGENT, session_of
from tests.bench.case import Options, run_async
from tests.bench.embedded import RESULT, Embedded, embedded
from tests.bench.measure import Goal, Pairs, Result, compared

NAME: Final = "scale"
SMALL: Final = 1_000
SESSIONS: Final = 16
STEPS: Final = ("claim-next", "heartbeat", "complete")
_MICROSECONDS: Final = 1e6
_PASSES: Final = 5


class _Bench:
    """Sessions that claim, report and complete together on one ledger; its size stays the same."""

    def __init__(self, product: Embedded, total: int) -> None:
        self._product = product
        self._total = total
        self._idle = self._idle_tasks()
        self._numbers = count()

    def _idle_tasks(self) -> Iterator[int]:
        """Yield tasks without a run, spread over the whole ledger."""
        # A step without a common factor visits every number once before it repeats.
        step = 7919
        for index in count():
            number = (index * step) % self._total
            if not seed.is_queued(number):
                yield number

    async def round(self) -> dict[str, float]:
        """Return the median microseconds per command of each step."""
        found: dict[str, list[float]] = {step: [] for step in STEPS}
        for _ in range(_PASSES):
            for step, cost in (await self._pass()).items():
                found[step].append(cost)
        return {step: sorted(costs)[len(costs) // 2] for step, costs in found.items()}

    async def _pass(self) -> dict[str, float]:
        claimed, claim = await self._timed(self._claim)
        runs = {outcome.reply.session_id: outcome.reply.run_id for outcome in claimed}

        def heartbeat(session: str) -> Command:
            return Heartbeat(run_id=runs[session], session_id=session)

        def complete(session: str) -> Command:
            return CompleteLease(run_id=runs[session], session_id=session, result=RESULT)

        _, beat = await self._timed(heartbeat)
        _, done = await self._timed(complete)
        await self._refill()
        return dict(zip(STEPS, (claim, beat, done), strict=True))

    def _claim(self, session: str) -> Command:
        fresh = f"hash-{next(self._numbers)}"
        return ClaimNext(session_id=session, agent_name=AGENT, claim_token_hash=fresh)

    async def _timed(self, command_of: Callable[[str], Command]) -> tuple[list[Outcome], float]:
        """Submit a command for every session at once; return outcomes and cost of one."""
        sessions = [session_of(number) for number in range(SESSIONS)]
        commands = [command_of(each) for each in sessions]
        started = time.perf_counter()
        outcomes = await asyncio.gather(
            *(
                self._product.submit(command, "agent.task", session)
                for command, session in zip(commands, sessions, strict=True)
            )
        )
        elapsed = time.perf_counter() - started
        return outcomes, elapsed / len(commands) * _MICROSECONDS

    async def _refill(self) -> None:
        """Queue as many other tasks as were completed."""
        tasks = [seed.task_id(next(self._idle)) for _ in range(SESSIONS)]
        queued = (EnqueueRun(task_id=each) for each in tasks)
        await asyncio.gather(*(self._product.submit(each, "tasks.enqueue_run") for each in queued))


async def _measure(options: Options, large: Path, small: Path) -> list[Result]:
    pairs = {step: Pairs([], []) for step in STEPS}
    with embedded(large) as a, embedded(small) as b:
        benches = (_Bench(a, options.tasks), _Bench(b, SMALL))
        for number in range(2 * options.rounds + 1):
            in_large, in_small = [await bench.round() for bench in benches]
            if number:
                for step in STEPS:
                    pairs[step].a.append(in_large[step])
                    pairs[step].b.append(in_small[step])
        await a.committer.close()
        await b.committer.close()
    return [
        compared(
            pairs[step],
            case=NAME,
            what=f"{step} with {options.tasks:,} tasks",
            unit="µs",
            reference_what=f"with {SMALL:,} tasks",
            goal=Goal(compare="at most", ratio=2),
        )
        for step in STEPS
    ]


def run(options: Options) -> list[Result]:
    """Measure."""
    large, small = seed.seeded(options.tasks, options), seed.seeded(SMALL, options)
    return run_async(_measure(options, large, small))
