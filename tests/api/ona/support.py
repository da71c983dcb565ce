"""Calls of Ona's methods, and a worker that does the steps of an environment."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final
from uuid import UUID

import httpx2

from tests.api.live import Client, JsonObject
from tests.api.ona.shapes import complaints

PATH: Final = "/api/gitpod.v1.EnvironmentAutomationService/"
PHASE: Final = "TASK_EXECUTION_PHASE_"
Do = Callable[[Client, JsonObject], None]
_numbers = count(1)


def new_environment() -> str:
    """Return an environment that no other test uses."""
    return str(UUID(int=(0x7E << 96) + next(_numbers)))


def send(client: Client, method: str, body: Any, **options: Any) -> httpx2.Response:
    """Return the answer to a call in JSON, which must be as agreed."""
    response = client.post(PATH + method, body, **options)
    shape = method if response.is_success else "Error"
    assert not list(complaints(response.json(), shape)), response.text
    return response


def call(client: Client, method: str, body: Any, **options: Any) -> JsonObject:
    """Return what a successful call answers."""
    response = send(client, method, body, **options)
    assert response.status_code == 200, response.text
    return dict(response.json())


def refused(client: Client, method: str, body: Any, code: str, status: int) -> str:
    """Return the text of a refusal."""
    response = send(client, method, body)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["message"])


def create(client: Client, environment: str, reference: str, *depends_on: str, **spec: Any) -> str:
    """Return the id of a new task."""
    metadata = {"reference": reference, "name": reference.upper()}
    body = {"environmentId": environment, "metadata": metadata, "spec": spec}
    made = call(client, "CreateTask", {**body, "dependsOn": depends_on})
    return str(made["task"]["id"])


def start(client: Client, task_id: str) -> JsonObject:
    """Return a new execution of a task."""
    return dict(call(client, "StartTask", {"id": task_id})["taskExecution"])


def execution(client: Client, execution_id: str) -> JsonObject:
    """Return an execution."""
    return dict(call(client, "GetTaskExecution", {"id": execution_id})["taskExecution"])


def phases(found: JsonObject) -> list[str]:
    """Return the phases of an execution and of the steps that it tells of."""
    status = found["status"]
    each = [status, *status.get("steps", ())]
    return [str(one["phase"]).removeprefix(PHASE) for one in each]


def claim(client: Client, environment: str, session: str, **more: Any) -> JsonObject | None:
    """Let a session claim a step of an environment and start it; None when none waits."""
    agent = client.agent(session)
    body = {"workspace_id": environment, **more}
    answer = agent.post("/api/agent/tasks/claim-next", body)
    if answer.status_code != 200:
        # Nothing waits, or the environment is not in use yet.
        assert answer.status_code in {204, 403}, answer.text
        return None
    run: JsonObject = answer.json()["claim"]["run"]
    started = agent.post(f"/api/task-runs/{run['id']}/start", {"idempotency_key": run["id"]})
    # It may have been stopped meanwhile.
    assert started.status_code in {200, 409}, started.text
    return run if started.is_success else None


def report(client: Client, run: JsonObject, outcome: str, **body: Any) -> None:
    """Let the session that holds a run say how it ended."""
    agent = client.agent(run["session_id"])
    agent.ok("POST", f"/api/agent/tasks/{run['id']}/{outcome}", body)


def completed(client: Client, run: JsonObject) -> None:
    """Say that a run went well, also when it was stopped meanwhile."""
    path = f"/api/agent/tasks/{run['id']}/complete"
    done = client.agent(run["session_id"]).post(path, {"result": {"exit": 0}})
    assert done.status_code in {200, 409}, done.text


@contextmanager
def working(url: str, environment: str, do: Do = completed) -> Iterator[None]:
    """Let a worker of its own do the steps of an environment until the end of the block."""
    done = threading.Event()

    def work() -> None:
        client = Client(url)
        while not done.is_set():
            run = claim(client, environment, f"worker-{environment}", wait=True)
            if run is not None:
                do(client, run)
        client.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
