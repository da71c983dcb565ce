"""Case `sse-lag`: from commit to client with many streams open, against a bare broadcaster."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from tests.bench.agents import Agent, registration, repeat
from tests.bench.case import Options, run_async
from tests.bench.load import HOST, Load, Script, Step, play, post, request
from tests.bench.measure import Goal, Result, compared, percentile, side_by_side_async
from tests.bench.servers import BROADCAST_PATH, STREAM_PATH, TIMES_PATH, bare, product

NAME: Final = "sse-lag"
EVENTS_PER_SECOND: Final = 20
_ROUND_LENGTH: Final = 5
_SETTLE_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 10.0
"""An event that comes later than that is lost."""

_AGENT: Final = 10_000
"""None of those who work on the same ledger in other cases."""
_END: Final = b"\n\n"
_ID: Final = b"id: "


class Listener(asyncio.Protocol):
    """One open stream; notes when each event has arrived."""

    def __init__(self, sent: bytes, arrived: Callable[[int, bytes, int], None]) -> None:
        self._sent = sent
        self._arrived = arrived
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        at = time.monotonic_ns()
        self._buffer += data
        while (end := self._buffer.find(_END)) >= 0:
            event, self._buffer = self._buffer[:end], self._buffer[end + len(_END) :]
            start = event.find(_ID)
            if start >= 0:
                number, _, rest = event[start + len(_ID) :].partition(b"\n")
                self._arrived(int(number), rest, at)

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


class Side:
    """One server with its listeners and what makes its events."""

    def __init__(
        self,
        port: int,
        script: Callable[[], Script],
        options: Options,
        listen_port: int | None = None,
    ) -> None:
        """Listen at a port; `script` makes one event with each of its requests to `port`."""
        self._port = port
        self._listen_port = listen_port or port
        self._script = script
        self._options = options
        self._arrivals: list[tuple[int, int]] = []
        self._listeners: list[Listener] = []
        self.seconds = _ROUND_LENGTH * options.seconds
        self.last_event = b""
        self.lags: list[float] = []

    def _arrived(self, number: int, event: bytes, at: int) -> None:
        self._arrivals.append((number, at))
        self.last_event = event

    async def open(self, stream: str) -> None:
        """Open all streams."""
        loop = asyncio.get_running_loop()
        sent = request(self._listen_port, "GET", stream)
        for _ in range(self._options.subscribers):
            make = partial(Listener, sent, self._arrived)
            _, listener = await loop.create_connection(make, HOST, self._listen_port)
            self._listeners.append(listener)
        await asyncio.sleep(_SETTLE_SECONDS)

    async def round(self) -> float:
        """Make events at an even rate; return the 99th percentile of the lag in milliseconds."""
        await self._times()
        self._arrivals.clear()
        events = max(1, round(self.seconds * EVENTS_PER_SECOND))
        # A connection of the last round may have been closed for idling.
        maker = await Load.connect(self._port, [self._script()])
        started = time.perf_counter()
        for number in range(events):
            wait = started + number / EVENTS_PER_SECOND - time.perf_counter()
            await asyncio.sleep(max(0.0, wait))
            await maker.run(0)
        maker.close()
        give_up = time.perf_counter() + _PATIENCE_SECONDS
        while len(self._arrivals) < events * self._options.subscribers:
            await asyncio.sleep(_SETTLE_SECONDS)
            if time.perf_counter() > give_up:
                break
        lags = self._lags(await self._times(), events)
        self.lags += lags
        return percentile(lags, 0.99)

    def _lags(self, times: dict[int, int], events: int) -> list[float]:
        lags = [(at - times[number]) / 1e6 for number, at in self._arrivals if number in times]
        if len(lags) != events * self._options.subscribers:
            message = f"{len(lags)} arrivals of {events} events, {len(times)} of them sent"
            raise RuntimeError(message)
        return lags

    async def _times(self) -> dict[int, int]:
        """Fetch when the server sent each event since the last call."""
        found: list[bytes] = []

        def fetch() -> Script:
            found.append((yield Step(request(self._port, "GET", TIMES_PATH), 200)))

        await play(self._port, fetch())
        return {int(number): at for number, at in json.loads(found[0]).items()}

    def close(self) -> None:
        """Hang up everywhere."""
        for listener in self._listeners:
            listener.close()


def _broadcasts(port: int, source: Side) -> Script:
    """Send what the other side's listeners got last, so that both carry the same bytes."""
    while True:
        yield Step(post(port, BROADCAST_PATH, source.last_event or b"data: {}"), 200)


async def _claimed(port: int) -> tuple[str, Step]:
    """Claim a run; return the path of its task's stream, and the request that reports in."""
    await play(port, registration(port, _AGENT))
    agent = Agent(port, _AGENT)
    claims: list[tuple[str, str]] = []
    await play(port, agent.claim(lambda *claimed: claims.append(claimed)))
    ((task_id, run_id),) = claims
    return f"/api/tasks/{task_id}/stream", agent.heartbeat(run_id)


async def across(port: int, other_port: int, options: Options, case: str) -> Result:
    """Return the lag of streams of another process beside that of streams of the same one."""
    stream, heartbeat = await _claimed(port)
    other = Side(port, lambda: repeat(heartbeat), options, other_port)
    same = Side(port, lambda: repeat(heartbeat), options)
    await other.open(stream)
    await same.open(stream)
    pairs = await side_by_side_async(options.rounds // 2 + 1, other.round, same.round)
    other.close()
    same.close()
    return compared(
        pairs,
        case=case,
        what=f"p99 from commit to client of another process, {options.subscribers} streams",
        unit="ms",
        reference_what="client of the same process",
        goal=Goal(compare="at most", ratio=3),
        beside={
            "other p50 ms": percentile(other.lags, 0.5),
            "same p50 ms": percentile(same.lags, 0.5),
        },
    )


async def _measure(port: int, bare_port: int, options: Options) -> Result:
    stream, heartbeat = await _claimed(port)
    ours = Side(port, lambda: repeat(heartbeat), options)
    reference = Side(bare_port, lambda: _broadcasts(bare_port, ours), options)
    await ours.open(stream)
    await reference.open(STREAM_PATH)
    rounds = options.rounds // 2 + 1
    pairs = await side_by_side_async(rounds, ours.round, reference.round)
    ours.close()
    reference.close()
    return compared(
        pairs,
        case=NAME,
        what=f"p99 from commit to client, {options.subscribers} streams",
        unit="ms",
        reference_what="bare broadcaster",
        goal=Goal(compare="at most", ratio=2),
        beside={
            "ours p50 ms": percentile(ours.lags, 0.5),
            "bare p50 ms": percentile(reference.lags, 0.5),
            "bytes per event": len(ours.last_event),
        },
    )


def run(options: Options) -> list[Result]:
    """Measure."""
    with product(options.folder / "sse.db", options.folder) as server, bare(options.folder) as b:
        return [run_async(_measure(server.port, b.port, options))]
