"""Case `catch-up`: a client reads a long timeline, against a plain SELECT of the same bytes."""

import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain.commands import ClaimNext, Command, EnqueueRun, Heartbeat
from tests.bench import seed
from tests.bench.agents import AGENT, session_of
from tests.bench.case import Options
from tests.bench.embedded import embedded, task_of
from tests.bench.load import HOST, request
from tests.bench.measure import Goal, Result, compared, side_by_side
from tests.bench.servers import product

NAME: Final = "catch-up"
TASK: Final = "task-long"
PAGE: Final = 500
_ITEM: Final = b'{"sequence":'
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
_READ: Final = 1 << 20
_SESSION: Final = session_of(0)


def _write(path: Path, options: Options) -> None:
    """Write one task with a long history."""
    with embedded(path) as writer:
        writer.execute(task_of(TASK), "tasks.create")
        writer.execute(EnqueueRun(task_id=TASK), "tasks.enqueue_run")
        claim = ClaimNext(session_id=_SESSION, agent_name=AGENT, claim_token_hash="hash")
        run_id = writer.execute(claim, "agent.task.next", _SESSION).reply.run_id
        left = options.events - writer.head

    def beats() -> Iterator[Command]:
        for _ in range(left):
            yield Heartbeat(run_id=run_id, session_id=_SESSION)

    seed.write(path, beats(), left, f"{options.events:,} events", options)


class _Client:
    """Reads whole timelines over one connection."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection((HOST, port))
        self._request = request(port, "GET", path)
        self.bytes = 0
        self.items = 0

    def events_per_second(self) -> float:
        """Read the timeline once."""
        chunks: list[bytes] = []
        tail = b""
        started = time.perf_counter()
        self._socket.sendall(self._request)
        while not tail.endswith(_LAST_CHUNK):
            data = self._socket.recv(_READ)
            if not data:
                message = "the server closed the connection in the middle of the timeline"
                raise RuntimeError(message)
            chunks.append(data)
            tail = (tail + data)[-len(_LAST_CHUNK) :]
        elapsed = time.perf_counter() - started
        answer = b"".join(chunks)
        self.bytes = len(answer)
        self.items = answer.count(_ITEM)
        return self.items / elapsed

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _select_per_second(connection: sqlite3.Connection) -> float:
    statement = "SELECT sequence, frame FROM timeline WHERE sequence > ? ORDER BY sequence LIMIT ?"
    after = found = 0
    started = time.perf_counter()
    while page := connection.execute(statement, (after, PAGE)).fetchall():
        found += len(page)
        after = page[-1][0]
    return found / (time.perf_counter() - started)


def _compare(client: _Client, connection: sqlite3.Connection, what: str, o: Options) -> Result:
    pairs = side_by_side(o.rounds, client.events_per_second, lambda: _select_per_second(connection))
    if client.items < o.events - PAGE:
        message = f"the timeline had {client.items} items, expected about {o.events}"
        raise RuntimeError(message)
    return compared(
        pairs,
        case=NAME,
        what=f"{o.events:,} events of {what}",
        unit="events/s",
        reference_what="plain SELECT",
        goal=Goal(compare="at least", ratio=0.5, value=100_000),
        beside={"bytes per event": client.bytes / client.items},
    )


def run(options: Options) -> list[Result]:
    """Measure."""
    path = options.folder / "catch-up.db"
    _write(path, options)
    results = []
    with product(path, options.folder) as server:
        connection = sqlite3.connect(path)
        sources = {"a task": f"/api/tasks/{TASK}/timeline", "the ledger": "/api/timeline"}
        for what, route in sources.items():
            client = _Client(server.port, route)
            results.append(_compare(client, connection, what, options))
            client.close()
        connection.close()
    return results
