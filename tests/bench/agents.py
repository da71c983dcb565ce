"""What an agent sends: create a task of its own, queue it, claim it, report in, complete it."""

import re
from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from tests.bench.load import Script, Step, post, request

AGENT: Final = "bench"
_RUN: Final = re.compile(rb'"id":"(run-[^"]+)"')


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


def run_of(body: bytes) -> str:
    """Return the id of the run that an answer is about."""
    found = _RUN.search(body)
    assert found is not None, body
    return found[1].decode()


def create_body(number: int, task_id: str) -> bytes:
    """Return a task that only this agent may claim."""
    return msgspec.json.encode(
        {
            "id": task_id,
            "scope": "global",
            "title": "Check the links of a page",
            "description": "Fetch the page, follow each link once and note those that are broken.",
            "owner": {"kind": "agent_session", "ref": session_of(number)},
            "metadata": {"page": f"https://example.org/pages/{task_id}", "depth": 2},
        }
    )


CLAIM: Final = b'{"lease_seconds":600}'
RESULT: Final = b'{"result":{"links":41,"broken":["https://example.org/gone"]}}'


def claim_one(port: int, number: int, task_id: str, claimed: Callable[[str], None]) -> Script:
    """Create and queue a task and claim the next; `claimed` is called with the id of its run."""
    who = identity(number)
    yield Step(post(port, "/api/tasks", create_body(number, task_id), who), 201)
    key = msgspec.json.encode({"idempotency_key": task_id})
    yield Step(post(port, f"/api/tasks/{task_id}/runs", key, who), 201)
    claimed(run_of((yield Step(post(port, "/api/agent/tasks/claim-next", CLAIM, who), 200))))


def work(port: int, number: int, name: str) -> Script:
    """Go through the whole life of a task again and again; `name` keeps task ids apart."""
    who = identity(number)
    runs: list[str] = []
    for cycle in count():
        yield from claim_one(port, number, f"task-{name}-{number}-{cycle}", runs.append)
        path = f"/api/agent/tasks/{runs.pop()}"
        yield Step(post(port, f"{path}/heartbeat", CLAIM, who), 200)
        yield Step(post(port, f"{path}/complete", RESULT, who), 200)


def repeat(step: Step) -> Script:
    """Send the same request again and again."""
    while True:
        yield step
