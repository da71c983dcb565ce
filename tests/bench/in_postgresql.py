"""Case `postgresql`: the same load where a database server keeps the ledger."""

from contextlib import ExitStack
from typing import Final

from tests.bench import http_commands, in_process
from tests.bench.agents import Agent, registration
from tests.bench.case import Options, run_async
from tests.bench.load import Load, play
from tests.bench.measure import Goal, Result, compared, side_by_side_async
from tests.bench.servers import product
from tests.support.postgres import PostgresServer, postgres
from tests.support.server import Server, cpu_seconds

NAME: Final = "postgresql"
CONNECTIONS: Final = 32


async def _load(servers: list[Server], first: int) -> Load:
    """Return agents of their own, spread over servers."""
    scripts, ports = [], []
    for number in range(first, first + CONNECTIONS):
        port = servers[number % len(servers)].port
        await play(port, registration(port, number))
        scripts.append(Agent(port, number).work())
        ports.append(port)
    return await Load.connect(ports, scripts)


async def _two_processes(servers: list[Server], options: Options) -> Result:
    one = await _load(servers[:1], 0)
    two = await _load(servers, CONNECTIONS)
    used = [0.0, 0.0]

    async def both() -> float:
        before = [cpu_seconds(server.process.pid) for server in servers]
        found = (await two.run(options.seconds)).rate
        for number, server in enumerate(servers):
            used[number] += cpu_seconds(server.process.pid) - before[number]
        return found

    async def alone() -> float:
        return (await one.run(options.seconds)).rate

    pairs = await side_by_side_async(options.rounds, both, alone)
    one.close()
    two.close()
    return compared(
        pairs,
        case=NAME,
        what=f"two processes, {CONNECTIONS} connections",
        unit="requests/s",
        reference_what="one process",
        goal=Goal(compare="at least", ratio=1.3),
        beside={"cpu s of A": used[0], "cpu s of B": used[1]},
    )


def _measure(cluster: PostgresServer, options: Options) -> list[Result]:
    with ExitStack() as places:
        ours, library, served, shared = (places.enter_context(cluster.database()) for _ in range(4))
        results = [run_async(in_process.measured(options, NAME, ours, library))]
        with product(served, options.folder) as server:
            results.append(run_async(http_commands.measured(server, options, NAME, 0.5)))
        with product(shared, options.folder) as a, product(shared, options.folder) as b:
            results.append(run_async(_two_processes([a, b], options)))
    return results


def run(options: Options) -> list[Result]:
    """Measure on a server of its own that waits for the disk."""
    with postgres(durable=True) as cluster:
        return _measure(cluster, options)
