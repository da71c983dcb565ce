"""Case `http-commands`: durable commands over HTTP against a route that does nothing."""

import statistics
from typing import Final

from tests.bench.agents import CLAIM, Agent, registration, repeat
from tests.bench.case import Options, run_async
from tests.bench.load import Load, Step, play, post
from tests.bench.measure import Goal, Result, compared, percentile, side_by_side_async
from tests.bench.servers import NOTHING_PATH, product
from tests.support.server import Server, cpu_seconds

NAME: Final = "http-commands"
CONNECTIONS: Final = 32


class _Side:
    """One kind of load, with what the server's processor time and its latencies came to."""

    def __init__(self, server: Server, load: Load, seconds: float) -> None:
        self._server = server
        self._load = load
        self._seconds = seconds
        self.latencies: list[float] = []
        self.cpu: list[float] = []

    async def round(self) -> float:
        """Return requests per second."""
        before = cpu_seconds(self._server.process.pid)
        found = await self._load.run(self._seconds)
        used = cpu_seconds(self._server.process.pid) - before
        self.latencies += found.latencies
        self.cpu.append(used / len(found.latencies) * 1e6)
        return found.rate

    @property
    def cpu_per_request(self) -> float:
        """The server's processor time per request in µs."""
        return statistics.median(self.cpu)

    def seen(self, name: str) -> dict[str, float | str]:
        """Return processor time per request in µs and latencies in ms."""
        return {
            f"{name} cpu µs": self.cpu_per_request,
            f"{name} p50 ms": percentile(self.latencies, 0.5) * 1e3,
            f"{name} p99 ms": percentile(self.latencies, 0.99) * 1e3,
        }


async def measured(server: Server, options: Options, case: str, ratio: float) -> Result:
    """Return requests per second, beside those of a route that does nothing."""
    port = server.port
    for number in range(CONNECTIONS):
        await play(port, registration(port, number))
    working = await Load.connect(port, [Agent(port, n).work() for n in range(CONNECTIONS)])
    nothing = Step(post(port, NOTHING_PATH, CLAIM), 200)
    idling = await Load.connect(port, [repeat(nothing) for _ in range(CONNECTIONS)])
    ours = _Side(server, working, options.seconds)
    bare = _Side(server, idling, options.seconds)
    pairs = await side_by_side_async(options.rounds, ours.round, bare.round)
    working.close()
    idling.close()
    return compared(
        pairs,
        case=case,
        what=f"durable commands, {CONNECTIONS} connections",
        unit="requests/s",
        reference_what="POST that does nothing",
        goal=Goal(compare="at least", ratio=ratio),
        beside={
            **ours.seen("command"),
            **bare.seen("nothing"),
            "ratio by cpu": bare.cpu_per_request / max(ours.cpu_per_request, 1e-9),
        },
    )


def run(options: Options) -> list[Result]:
    """Measure."""
    with product(options.folder / "http-commands.db", options.folder) as server:
        return [run_async(measured(server, options, NAME, 0.6))]
