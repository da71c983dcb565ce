"""Case `claim-wait`: from queueing a run to the claim in the hands of an agent that waits for it.

The clock stops when the waiting claim is answered. It starts when the request that queues the run
is sent, so that two durable commits lie between, or when that request is answered, so that the run
is in the queue and one commit lies between. Beside both stands one request at the same pace to the
same server, which does nothing.
"""

import asyncio
import gc
import time
from typing import Final

from tests.bench.agents import RESULT, Agent, id_in, identity, registration, repeat
from tests.bench.case import Options, run_async
from tests.bench.load import Load, Script, Step, play, post
from tests.bench.measure import Goal, Pairs, Result, compared, percentile
from tests.bench.servers import NOTHING_PATH, product

NAME: Final = "claim-wait"
_WAIT: Final = b'{"wait":true,"lease_seconds":600}'
_PACE: Final = 0.003
_SAMPLES_PER_SECOND: Final = 150


class _Waiting:
    """One agent that waits, and somebody who queues its runs."""

    def __init__(self, port: int, samples: int) -> None:
        self._port = port
        self._samples = samples
        self._arrived = asyncio.Event()
        self._at = 0.0

    async def connect(self) -> None:
        """Open both connections; the agent begins to wait."""
        self._waiter = await Load.connect(self._port, [self._wait()])
        self._maker = await Load.connect(self._port, [self._make()])
        self._waiting = asyncio.create_task(self._waiter.run(float("inf")))

    def _wait(self) -> Script:
        agent, who = Agent(self._port, 0), identity(0)
        claim = Step(post(self._port, "/api/agent/tasks/claim-next", _WAIT, who), 200)
        while True:
            body = yield claim
            self._at = time.perf_counter()
            self._arrived.set()
            yield agent.complete(id_in(body, "run"))

    def _make(self) -> Script:
        agent = Agent(self._port, 0)
        while True:
            task_id = id_in((yield agent.creation), "task")
            yield Step(post(self._port, f"/api/tasks/{task_id}/runs", b"{}"), 201)

    async def round(self) -> tuple[float, float]:
        """Return the 99th percentiles from sending and from the answer, in milliseconds."""
        sent_at, queued_at = [], []
        for _ in range(self._samples):
            await self._maker.run(0)
            await asyncio.sleep(_PACE)
            self._arrived.clear()
            started = time.perf_counter()
            await self._maker.run(0)
            queued = time.perf_counter()
            await self._arrival()
            sent_at.append((self._at - started) * 1e3)
            # The claim may be answered first: both answers follow the commits at once.
            queued_at.append(max(0.0, self._at - queued) * 1e3)
        return percentile(sent_at, 0.99), percentile(queued_at, 0.99)

    async def _arrival(self) -> None:
        """Return when the claim has come; raises UnexpectedAnswerError when something else did."""
        arrived = asyncio.create_task(self._arrived.wait())
        await asyncio.wait({arrived, self._waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not arrived.done():
            arrived.cancel()
            self._waiting.result()

    def close(self) -> None:
        """Hang up."""
        self._waiting.cancel()
        self._waiter.close()
        self._maker.close()


async def _bare(load: Load, samples: int) -> float:
    """Return the 99th percentile of requests that do nothing, in milliseconds."""
    latencies = []
    for _ in range(samples):
        await asyncio.sleep(_PACE)
        latencies += (await load.run(0)).latencies
    return percentile(latencies, 0.99) * 1e3


async def _measure(port: int, options: Options) -> list[Result]:
    samples = max(10, round(options.seconds * _SAMPLES_PER_SECOND))
    await play(port, registration(port, 0))
    ours = _Waiting(port, samples)
    await ours.connect()
    idle = await Load.connect(port, [repeat(Step(post(port, NOTHING_PATH, RESULT), 200))])
    pairs = {"sending": Pairs([], []), "answer": Pairs([], [])}
    for number in range(options.rounds + 1):
        gc.collect()
        found, bare = await ours.round(), await _bare(idle, samples)
        if number:
            for pair, value in zip(pairs.values(), found, strict=True):
                pair.a.append(value)
                pair.b.append(bare)
    ours.close()
    idle.close()
    return [
        compared(
            pair,
            case=NAME,
            what=f"p99 from the {start} of queueing to the waiting claim",
            unit="ms",
            reference_what="p99 of a POST that does nothing",
            goal=Goal(compare="at most", ratio=3),
        )
        for start, pair in pairs.items()
    ]


def run(options: Options) -> list[Result]:
    """Measure."""
    with product(options.folder / "claim-wait.db", options.folder) as server:
        return run_async(_measure(server.port, options))
