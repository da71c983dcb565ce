"""Case `restart`: a large ledger is killed under load and started again."""

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.bench import seed
from tests.bench.agents import Agent, registration
from tests.bench.case import Options, run_async
from tests.bench.load import Load, UnexpectedAnswerError, play
from tests.bench.measure import Goal, Result, absolute
from tests.bench.servers import spawn_product
from tests.support.server import HOST, READY_PATH, Server, resident_bytes, wait_ready

NAME: Final = "restart"
CONNECTIONS: Final = 8
_READY: Final = f"GET {READY_PATH} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
_OK: Final = b"HTTP/1.1 200"
_LOOK_SECONDS: Final = 0.002
_GIVE_UP_SECONDS: Final = 120.0
_IMPORTS: Final = "import api.server, tests.bench.serve"


async def _load(server: Server, agents: Sequence[int], seconds: float, *, killed: bool) -> None:
    """Let agents work; with `killed` the server is ended in the middle of it."""
    port = server.port
    for agent in agents:
        await play(port, registration(port, agent))
    load = await Load.connect(port, [Agent(port, agent).work() for agent in agents])
    if killed:
        asyncio.get_running_loop().call_later(seconds / 2, server.kill)
    try:
        await load.run(seconds)
    except UnexpectedAnswerError:
        if server.process.poll() is None:
            raise
    load.close()


def _is_ready(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(_READY)
        return connection.recv(len(_OK)) == _OK
    return False


def _start(store: Path, options: Options) -> tuple[Server, float]:
    """Start the server; return it with the seconds until it was ready."""
    started = time.perf_counter()
    server = spawn_product(store, options.folder)
    while not _is_ready(server.port):
        elapsed = time.perf_counter() - started
        if server.process.poll() is not None or elapsed > _GIVE_UP_SECONDS:
            message = f"the server did not come back:\n{server.log.read_text()}"
            raise RuntimeError(message)
        time.sleep(_LOOK_SECONDS)
    return server, time.perf_counter() - started


def _imports() -> float:
    """Return the seconds an interpreter takes that does nothing but import."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.perf_counter() - started


def _round(store: Path, options: Options, number: int) -> tuple[float, float]:
    """Return the seconds until ready and the resident mebibytes after some requests."""
    # Agents of killed servers keep their leases, so each load has agents of its own.
    first = 2 * number * CONNECTIONS
    before = range(first, first + CONNECTIONS)
    after = range(before.stop, before.stop + CONNECTIONS)
    server = spawn_product(store, options.folder)
    try:
        wait_ready(server)
        run_async(_load(server, before, options.seconds, killed=True))
    finally:
        server.kill()
    server, seconds = _start(store, options)
    try:
        run_async(_load(server, after, options.seconds / 4, killed=False))
        return seconds, resident_bytes(server.process.pid) / 2**20
    finally:
        server.stop()


def run(options: Options) -> list[Result]:
    """Measure."""
    store = seed.seeded(options.tasks, options)
    rounds = options.rounds // 2
    imports: list[float] = []
    found = []
    for number in range(rounds + 1):
        found.append(_round(store, options, number))
        imports.append(_imports())
    return [
        absolute(
            [seconds for seconds, _ in found],
            case=NAME,
            what=f"killed under load with {options.tasks:,} tasks, until ready",
            unit="s",
            goal=Goal(compare="at most", value=1),
            beside={"imports alone s": statistics.median(imports)},
        ),
        absolute(
            [memory for _, memory in found],
            case=NAME,
            what="resident memory afterwards",
            unit="MiB",
            goal=Goal(compare="at most", value=300),
        ),
    ]
