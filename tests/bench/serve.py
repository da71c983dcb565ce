"""The product with the routes that measuring needs.

Run it as `python -m tests.bench.serve STORE_FILE PORT`.
"""

import asyncio
import sys
import time
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from api.server import run
from api.services import Services
from api.settings import Settings
from replay.feed import Live, Match, Subscription
from tests.bench.servers import NOTHING_PATH, TIMES_PATH
from tests.support.server import HOST


async def nothing(request: Request) -> JSONResponse:
    """Read a JSON body and answer a small one."""
    body = await request.json()
    return JSONResponse({"read": len(body)})


class CommitTimes:
    """When each event was offered to streams, in nanoseconds of the monotonic clock."""

    def __init__(self, services: Services) -> None:
        self._hub = services.hub
        self._times: dict[str, int] = {}
        self._subscription: Subscription | None = None

    def _woken(self) -> None:
        # The hub may not be called back from here.
        asyncio.get_running_loop().call_soon(self._take, time.monotonic_ns())

    def _take(self, at: int) -> None:
        taken = self._subscription.take() if self._subscription else None
        if isinstance(taken, Live):
            self._times |= {str(frame.sequence): at for frame in taken.frames}

    async def times(self, _: Request) -> JSONResponse:
        """Return the times since the last call; the first call begins to take them."""
        if self._subscription is None:
            self._subscription = self._hub.subscribe(Match(), self._hub.head, self._woken)
        times, self._times = self._times, {}
        return JSONResponse(times)


def routes(services: Services) -> Iterable[BaseRoute]:
    """Return what is added to the product."""
    return [
        Route(NOTHING_PATH, nothing, methods=["POST"]),
        Route(TIMES_PATH, CommitTimes(services).times),
    ]


def main() -> None:
    """Serve until a signal comes."""
    settings = Settings(host=HOST, port=int(sys.argv[2]), store=sys.argv[1])
    run(settings, routes)


if __name__ == "__main__":
    main()
