"""Two ways to the API: over HTTP, and by calling the application in this process."""

import asyncio
import json
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from api.app import create_app
from api.services import Services, build
from api.settings import Settings
from domain.commands import Command, EndReviews, ExpireLeases
from domain.recorded import Recorded
from domain.values import SCHEDULER_ACTOR, SCHEDULER_ORIGIN
from tests.faults.client import Client
from tests.faults.embedded import embedded
from tests.faults.serving import history_of
from tests.support.verify import verify

T = TypeVar("T")
START = 1_777_777_777_000_000
STEP = 1_000
NEVER = 3_600
"""Seconds after which the server would come in between."""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer; `json` is None without a body."""

    status: int
    json: Any
    replayed: bool
    body: bytes = b""


class Gate(Protocol):
    """A way to an API over a fresh store."""

    now: int
    """The server's clock in microseconds, as far as it is known."""

    def send(self, method: str, path: str, body: Any = None, session: str = "") -> Answer:
        """Return the answer to a request, of an agent when a session is named."""

    def history(self) -> list[Recorded]:
        """Stop the server, check the ledger it leaves, and return its events."""

    def clean(self) -> None:
        """Remove the store."""


def agent_of(session: str) -> str:
    """Return the name of the agent of a session: what stands before the dot."""
    return session.partition(".")[0]


class HttpGate:
    """A listening server and one kept connection per caller.

    Its clock goes on whenever it looks, so that nothing runs out however long a day takes.
    """

    def __init__(self) -> None:
        self.now = 0
        self._folder = tempfile.TemporaryDirectory()
        self._stack = ExitStack()
        clock = count(START, STEP).__next__
        served = embedded(Path(self._folder.name), clock, sweep_seconds=NEVER)
        self._services = self._stack.enter_context(served)
        self._clients: dict[str, Client] = {}

    def send(self, method: str, path: str, body: Any = None, session: str = "") -> Answer:
        if session not in self._clients:
            port = self._services.settings.port
            self._clients[session] = Client(port, session, agent_of(session))
        reply = self._clients[session].call(method, path, body)
        return Answer(
            status=reply.status,
            json=reply.json if reply.body else None,
            replayed=reply.headers.get("idempotent-replayed") == "true",
        )

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._stack.close()

    def history(self) -> list[Recorded]:
        self.close()
        settings = self._services.settings
        path = settings.sqlite_path
        return verify(Path(path)) if path else history_of(settings.store)

    def clean(self) -> None:
        self._folder.cleanup()


class DirectGate:
    """The application itself, with a clock and ids of the test; nothing happens by itself."""

    def __init__(self, folder: Path | None = None, **settings: Any) -> None:
        self.now = START
        self._folder = None if folder else tempfile.TemporaryDirectory()
        self._path = (folder or Path(self._folder.name if self._folder else "")) / "ledger.db"
        self._ids = count(1)
        chosen = Settings(store=f"sqlite:{self._path}", **settings)
        self.services: Services = build(chosen, lambda: self.now, self._new_id)
        self._app = create_app(self.services)
        self._loop = asyncio.new_event_loop()

    def send(self, method: str, path: str, body: Any = None, session: str = "") -> Answer:
        self.now += STEP
        return self.read(path, method=method, body=body, session=session)

    def read(
        self, path: str, *, method: str = "GET", body: Any = None, session: str = ""
    ) -> Answer:
        """Return the answer to a request that takes no time."""
        return self.run(self._send(method, path, body, session))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of some work on the loop of the application."""
        return self._loop.run_until_complete(work)

    def sweep(self) -> None:
        """Look for leases and reviews whose time is over, as the server does by itself."""
        self.now += STEP
        commands: tuple[Command, ...] = (
            ExpireLeases(limit=100, reason="scheduler_sweep"),
            EndReviews(limit=100),
        )
        for command in commands:
            context = self.services.context(SCHEDULER_ACTOR, SCHEDULER_ORIGIN)
            self.services.committer.execute(command, context)

    def close(self) -> Path:
        self.run(self.services.stop())
        self._loop.close()
        self.services.close()
        return self._path

    def history(self) -> list[Recorded]:
        return verify(self.close())

    def clean(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}-{next(self._ids):08d}"

    async def _send(self, method: str, path: str, body: Any, session: str) -> Answer:
        sent = b"" if body is None else json.dumps(body).encode()
        messages: list[Any] = []
        incoming = _incoming(sent)

        async def receive() -> dict[str, Any]:
            return next(incoming)

        async def send(message: Any) -> None:
            messages.append(message)

        await self._app(_scope(method, path, session), receive, send)
        head, *chunks = messages
        text = b"".join(chunk.get("body", b"") for chunk in chunks)
        return Answer(
            status=head["status"],
            json=json.loads(text) if text else None,
            replayed=dict(head["headers"]).get(b"idempotent-replayed") == b"true",
            body=text,
        )


def _scope(method: str, path: str, session: str) -> dict[str, Any]:
    headers = [(b"host", b"localhost")]
    if session:
        agent = agent_of(session).encode()
        headers += [(b"x-agh-session-id", session.encode()), (b"x-agh-agent", agent)]
    where, _, query = path.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "headers": headers,
    }


def _incoming(body: bytes) -> Iterator[dict[str, Any]]:
    yield {"type": "http.request", "body": body, "more_body": False}
    while True:
        yield {"type": "http.disconnect"}
