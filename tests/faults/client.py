"""A plain HTTP client: one kept connection, no retries unless they are asked for."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from msgspec import Struct

LOST = (OSError, http.client.HTTPException)
"""What a connection raises when it breaks."""

SECONDS = 30.0
PATIENCE = 120.0
"""Seconds that a state is waited for: work on read models gives way to everything else."""

LONGEST_IDLE = 20.0
"""Seconds after which a connection is made anew, before the server hangs up."""

_PAUSE = 0.02


class Reply(Struct, frozen=True, kw_only=True):
    """An answer. `uncertain` tells that an earlier attempt may have been carried out."""

    status: int
    headers: dict[str, str]
    body: bytes
    uncertain: bool = False

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


def refused(reply: Reply) -> bool:
    """Whether an answer says to come back later, in the documented way."""
    if reply.status != 503:
        return False
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json == {"error": "Service Unavailable"}
    return True


class Client:
    """Talks to the server on a port, as an agent session when one is named."""

    def __init__(self, port: int, session: str = "", agent: str = "coder") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        self._used = time.monotonic()
        self._headers = {"Content-Type": "application/json"}
        if session:
            self._headers |= {"X-AGH-Session-ID": session, "X-AGH-Agent": agent}

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """Return the answer; raises one of `LOST` when the connection breaks."""
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if time.monotonic() - self._used > LONGEST_IDLE:
            self.close()
        try:
            self._connection.request(method, path, sent, self._headers)
            answer = self._connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            reply = Reply(status=answer.status, headers=headers, body=answer.read())
        except LOST:
            self.close()
            raise
        self._used = time.monotonic()
        return reply

    def get(self, path: str) -> Any:
        """Return the JSON of a successful GET."""
        reply = self.call("GET", path)
        assert reply.status == 200, reply
        return reply.json

    def post(self, path: str, body: Any = None) -> Any:
        """Return the JSON of a successful POST."""
        reply = self.call("POST", path, body)
        assert reply.status in {200, 201}, reply
        return reply.json

    def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        while_: Callable[[], bool] = lambda: True,
        doubtful: bool = False,
    ) -> Reply | None:
        """Ask until there is an answer that is no 503; None when `while_` says to give up.

        With `doubtful` what a 503 answered may have been carried out.
        """
        uncertain = False
        while while_():
            with contextlib.suppress(*LOST):
                reply = self.call(method, path, body)
                if not refused(reply):
                    return Reply(
                        status=reply.status,
                        headers=reply.headers,
                        body=reply.body,
                        uncertain=uncertain,
                    )
                uncertain = uncertain or doubtful
                time.sleep(_PAUSE)
                continue
            uncertain = True
            time.sleep(_PAUSE)
        return None


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value of a condition; raises AssertionError when it takes too long."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(_PAUSE)
    raise AssertionError(f"still not so after {seconds} s: {what}")
