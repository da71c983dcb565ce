"""What an agent sends: create a task of its own, queue it, claim it, report in, complete it."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from tests.bench.load import Script, Step, post, request

AGENT: Final = "bench"
_ID: Final = {kind: re.compile(rb'"id":"(%b-[^"]+)"' % kind.encode()) for kind in ("task", "run")}


def session_of(number: int) -> str:
    """Return the id of an agent's session."""
    return f"sess-bench-{number}"


def identity(number: int) -> str:
    """Return the header lines that tell who sends."""
    return f"X-AGH-Session-ID: {session_of(number)}\r\nX-AGH-Agent: {AGENT}\r\n"


def registration(port: int, number: int) -> Script:
    """Register the session of an agent."""
    body = msgspec.json.encode({"agent_name": AGENT})
    yield Step(request(port, "PUT", f"/api/sessions/{session_of(number)}", body), 200)


def id_in(body: bytes, kind: str) -> str:
    """Return the first id of a task or a run in an answer."""
    found = _ID[kind].search(body)
    assert found is not None, body
    return found[1].decode()


def create_body(number: int) -> bytes:
    """Return a task that only this agent may claim."""
    return msgspec.json.encode(
        {
            "scope": "global",
            "title": "Check the links of a page",
            "description": "Fetch the page, follow each link once and note those that are broken.",
            "owner": {"kind": "agent_session", "ref": session_of(number)},
            "metadata": {"page": "https://example.org/pages/1", "depth": 2},
        }
    )


CLAIM: Final = b'{"lease_seconds":600}'
RESULT: Final = b'{"result":{"links":41,"broken":["https://example.org/gone"]}}'


class Agent:
    """Sends the commands of one session."""

    def __init__(self, port: int, number: int) -> None:
        who = identity(number)
        self._port = port
        self._who = who
        self.creation = Step(post(port, "/api/tasks", create_body(number), who), 201)
        self._claim = Step(post(port, "/api/agent/tasks/claim-next", CLAIM, who), 200)

    def claim(self, claimed: Callable[[str, str], None]) -> Script:
        """Create and queue a task and claim the next; `claimed` gets the ids of task and run."""
        created = id_in((yield self.creation), "task")
        key = b'{"idempotency_key":"%b"}' % created.encode()
        yield Step(post(self._port, f"/api/tasks/{created}/runs", key, self._who), 201)
        body = yield self._claim
        claimed(id_in(body, "task"), id_in(body, "run"))

    def heartbeat(self, run_id: str) -> Step:
        """Return the request that extends the lease."""
        return self._of_run(run_id, "heartbeat", CLAIM)

    def complete(self, run_id: str) -> Step:
        """Return the request that ends the run well."""
        return self._of_run(run_id, "complete", RESULT)

    def _of_run(self, run_id: str, action: str, body: bytes) -> Step:
        return Step(post(self._port, f"/api/agent/tasks/{run_id}/{action}", body, self._who), 200)

    def work(self) -> Script:
        """Go through the whole life of a task again and again."""
        runs: list[str] = []
        while True:
            yield from self.claim(lambda _, run_id: runs.append(run_id))
            run_id = runs.pop()
            yield self.heartbeat(run_id)
            yield self.complete(run_id)


def repeat(step: Step) -> Script:
    """Send the same request again and again."""
    while True:
        yield step
