"""Case `beside-rebuild`: how long commands over HTTP take while read models are rebuilt."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.request import Request, urlopen

import msgspec

from projections.catalog import PROJECTORS
from tests.bench import seed
from tests.bench.agents import Agent, registration
from tests.bench.case import Options, run_async
from tests.bench.load import Load, play
from tests.bench.measure import Goal, Pairs, Result, compared, percentile
from tests.bench.servers import product_command
from tests.support.ports import free_port
from tests.support.server import Server, running

NAME: Final = "beside-rebuild"
CONNECTIONS: Final = 8
_SHARE: Final = 10
_LOOK_SECONDS: Final = 0.2


class _Operator:
    """Has one read model rebuilt after the other for as long as it is asked to."""

    def __init__(self, server: Server) -> None:
        self._url = f"{server.url}/api/projections"
        self.rebuilt = 0

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        with urlopen(Request(f"{self._url}{path}", body, headers)) as reply:
            found: bytes = reply.read()
            return found

    def _is_busy(self) -> bool:
        found = msgspec.json.decode(self._ask(""))["projections"]
        return any("work" in each for each in found)

    async def _work(self) -> None:
        while True:
            for projector in PROJECTORS:
                await asyncio.to_thread(self._ask, f"/{projector.name}/rebuild", b"{}")
                self.rebuilt += 1
                await self.idle()

    async def idle(self) -> None:
        """Wait until nothing is rebuilt."""
        while await asyncio.to_thread(self._is_busy):
            await asyncio.sleep(_LOOK_SECONDS)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Rebuild until the end of the block, and let the last one end behind it."""
        work = asyncio.create_task(self._work())
        yield
        work.cancel()
        await asyncio.wait({work})
        await self.idle()


async def _measure(server: Server, options: Options) -> Result:
    port = server.port
    for number in range(CONNECTIONS):
        await play(port, registration(port, number))
    load = await Load.connect(port, [Agent(port, n).work() for n in range(CONNECTIONS)])
    operator, pairs = _Operator(server), Pairs([], [])
    for number in range(options.rounds + 1):
        alone = await load.run(options.seconds)
        async with operator.working():
            beside = await load.run(options.seconds)
        if number:
            pairs.a.append(percentile(beside.latencies, 0.99) * 1e3)
            pairs.b.append(percentile(alone.latencies, 0.99) * 1e3)
    load.close()
    return compared(
        pairs,
        case=NAME,
        what=f"p99 of commands during rebuilds, {CONNECTIONS} connections",
        unit="ms",
        reference_what="without a rebuild",
        goal=Goal(compare="at most", ratio=2),
        beside={"rebuilds": float(operator.rebuilt)},
    )


def run(options: Options) -> list[Result]:
    """Measure."""
    store = seed.seeded(max(options.tasks // _SHARE, 1_000), options)
    port, log = free_port(), options.folder / "beside.log"
    with running(product_command(store, port), port=port, log=log) as server:
        return [run_async(_measure(server, options))]
