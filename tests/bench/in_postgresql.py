"""Case `postgresql`: the same load where a database server keeps the ledger."""

import itertools
import statistics
from contextlib import ExitStack
from typing import Final

from tests.bench import http_commands, in_process, sse_lag
from tests.bench.agents import Agent, id_in, registration
from tests.bench.case import Options, run_async
from tests.bench.load import Load, Script, Step, play, request
from tests.bench.measure import Goal, Result, absolute, compared, side_by_side_async
from tests.bench.servers import product
from tests.support.postgres import PostgresServer, postgres
from tests.support.server import Server, cpu_seconds

NAME: Final = "postgresql"
CONNECTIONS: Final = 32
HOT_TASKS: Final = 10


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
        goal=Goal(compare="at least", ratio=1.3, cores=6),
        beside={"cpu s of A": used[0], "cpu s of B": used[1]},
    )


def _patches(port: int, task_id: str, number: int) -> Script:
    """Change the title of a task again and again."""
    for count in itertools.count():
        body = b'{"title":"Hot for %d: %d"}' % (number, count)
        yield Step(request(port, "PATCH", f"/api/tasks/{task_id}", body), 200)


async def _contention(servers: list[Server], options: Options) -> Result:
    hot: list[str] = []
    for number in range(HOT_TASKS):
        await play(servers[0].port, _creation(servers[0].port, number, hot))
    ports = [servers[number % len(servers)].port for number in range(CONNECTIONS)]
    scripts = [_patches(port, hot[n % HOT_TASKS], n) for n, port in enumerate(ports)]
    load = await Load.connect(ports, scripts, strict=False)
    rates, done = [], []
    for _ in range(options.rounds):
        before = load.wrong
        found = await load.run(options.seconds)
        rates.append(found.rate)
        done.append(1 - (load.wrong - before) / len(found.latencies))
    load.close()
    return absolute(
        done,
        case=NAME,
        what=f"{HOT_TASKS} hot tasks, two processes, {CONNECTIONS} connections",
        unit="of all commands done",
        goal=Goal(compare="at least", value=1),
        beside={"requests/s": statistics.median(rates)},
    )


def _creation(port: int, number: int, created: list[str]) -> Script:
    created.append(id_in((yield Agent(port, number).creation), "task"))


def _measure(cluster: PostgresServer, options: Options) -> list[Result]:
    with ExitStack() as places:
        ours, library, served, shared = (places.enter_context(cluster.database()) for _ in range(4))
        results = [run_async(in_process.measured(options, NAME, ours, library))]
        with product(served, options.folder) as server:
            results.append(run_async(http_commands.measured(server, options, NAME, 0.5)))
        with product(shared, options.folder) as a, product(shared, options.folder) as b:
            results.append(run_async(_two_processes([a, b], options)))
            results.append(run_async(_contention([a, b], options)))
            results.append(run_async(sse_lag.across(a.port, b.port, options, NAME)))
    return results


def run(options: Options) -> list[Result]:
    """Measure on a server of its own that waits for the disk."""
    with postgres(durable=True) as cluster:
        return _measure(cluster, options)
