"""Case `in-process`: commands through the committer against the library's own way."""

import asyncio
import time
from pathlib import Path
from typing import Final

from domain.commands import ClaimNext, CompleteLease, EnqueueRun
from tests.bench.agents import AGENT, session_of
from tests.bench.case import Options, run_async
from tests.bench.embedded import DESCRIPTION, RESULT, Embedded, embedded, task_of
from tests.bench.library import Tasks, open_tasks
from tests.bench.measure import Goal, Result, compared, side_by_side_async

NAME: Final = "in-process"
CALLERS: Final = 64
_COMMANDS: Final = 4


async def _live(product: Embedded, caller: int) -> None:
    """Take one task of a caller through its life, four commands of one event each."""
    session = session_of(caller)
    created = await product.submit(task_of("", caller), "tasks.create")
    task_id = created.reply.task_id
    await product.submit(EnqueueRun(task_id=task_id), "tasks.enqueue_run")
    claim = ClaimNext(session_id=session, agent_name=AGENT, claim_token_hash=task_id)
    claimed = await product.submit(claim, "agent.task.next", session)
    done = CompleteLease(run_id=claimed.reply.run_id, session_id=session, result=RESULT)
    await product.submit(done, "agent.task.complete", session)


class _Ours:
    """Callers that all wait for their own commands."""

    def __init__(self, product: Embedded, seconds: float) -> None:
        self._product = product
        self._seconds = seconds

    async def round(self) -> float:
        """Return commands per second."""
        metrics = self._product.committer.metrics
        batches, commands = metrics.batches, metrics.commands
        started = time.perf_counter()
        deadline = started + self._seconds
        await asyncio.gather(*(self._call(caller, deadline) for caller in range(CALLERS)))
        elapsed = time.perf_counter() - started
        self.batch = (metrics.commands - commands) / max(1, metrics.batches - batches)
        return (metrics.commands - commands) / elapsed

    async def _call(self, caller: int, deadline: float) -> None:
        while time.perf_counter() < deadline:
            await _live(self._product, caller)


def _library_round(tasks: Tasks, seconds: float) -> float:
    """Return commands per second of the same lives, one after the other."""
    commands = 0
    started = time.perf_counter()
    while time.perf_counter() < started + seconds:
        session = session_of(commands % CALLERS)
        page = f"https://example.org/pages/{commands}"
        task_id = tasks.create("Check the links of a page", DESCRIPTION, session, page)
        tasks.enqueue(task_id)
        tasks.claim(task_id, session)
        tasks.complete(task_id)
        commands += _COMMANDS
    return commands / (time.perf_counter() - started)


async def measured(
    options: Options, case: str, place: Path | str, library_place: Path | str
) -> Result:
    """Return commands per second in a place, beside the library's in another one."""
    library = open_tasks(library_place)
    with embedded(place) as product:
        ours = _Ours(product, options.seconds)

        async def reference() -> float:
            return _library_round(library, options.seconds)

        pairs = await side_by_side_async(options.rounds, ours.round, reference)
        await product.committer.close()
    library.close()
    return compared(
        pairs,
        case=case,
        what=f"durable commands, {CALLERS} callers",
        unit="commands/s",
        reference_what="Application.save of the library",
        goal=Goal(compare="at least", ratio=8),
        beside={
            "commands per commit": ours.batch,
            "commit ms": product.committer.metrics.commit_ms,
        },
    )


def run(options: Options) -> list[Result]:
    """Measure."""
    folder = options.folder
    return [run_async(measured(options, NAME, folder / "in-process.db", folder / "library.db"))]
