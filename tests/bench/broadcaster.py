"""A bare application that sends what it is given to everybody: the reference for streams.

Run it as `python -m tests.bench.broadcaster PORT`.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from tests.bench.servers import BROADCAST_PATH, STREAM_PATH, TIMES_PATH
from tests.support.server import HOST


class Broadcaster:
    """One queue for each listener."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()
        self._times: dict[str, int] = {}
        self._last = 0

    async def broadcast(self, request: Request) -> JSONResponse:
        """Send the body as the next event."""
        body = await request.body()
        self._last += 1
        frame = b"id: %d\n%b\n\n" % (self._last, body)
        self._times[str(self._last)] = time.monotonic_ns()
        for queue in self._queues:
            queue.put_nowait(frame)
        return JSONResponse({})

    async def stream(self, _: Request) -> StreamingResponse:
        """Stream all events from now on."""
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queues.add(queue)
        return StreamingResponse(self._events(queue), media_type="text/event-stream")

    async def _events(self, queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)

    async def times(self, _: Request) -> JSONResponse:
        """Return when each event was sent, in nanoseconds of the monotonic clock."""
        times, self._times = self._times, {}
        return JSONResponse(times)


def main() -> None:
    """Serve until a signal comes."""
    broadcaster = Broadcaster()
    routes = [
        Route(BROADCAST_PATH, broadcaster.broadcast, methods=["POST"]),
        Route(STREAM_PATH, broadcaster.stream),
        Route(TIMES_PATH, broadcaster.times),
    ]
    uvicorn.run(
        Starlette(routes=routes),
        host=HOST,
        port=int(sys.argv[1]),
        http="httptools",
        loop="auto",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
