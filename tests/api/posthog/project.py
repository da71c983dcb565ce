"""A project of PostHog in a running server, and what clients of it send."""

import re
from typing import Any, Final

import httpx2

from tests.api.live import Client, JsonObject
from tests.api.posthog.shapes import ARTIFACT, RUN, RUN_PAGE, TASK, TASK_PAGE, check

_SIGNED: Final = re.compile(r"\?expires=\d+&signature=[0-9a-f]+$")
_ENDINGS = {
    ("GET", "tasks"): TASK_PAGE,
    ("POST", "tasks"): TASK,
    ("GET", "task"): TASK,
    ("PATCH", "task"): TASK,
    ("PUT", "task"): TASK,
    ("POST", "task/run"): TASK,
    ("GET", "task/runs"): RUN_PAGE,
    ("POST", "task/runs"): RUN,
    ("GET", "task/runs/run"): RUN,
    ("PATCH", "task/runs/run"): RUN,
    ("POST", "task/runs/run/start"): TASK,
    ("PATCH", "task/runs/run/set_output"): RUN,
    ("POST", "task/runs/run/append_log"): RUN,
    ("POST", "task/runs/run/artifacts"): f"[{ARTIFACT}]",
    ("POST", "task/runs/run/artifacts/finalize_upload"): f"[{ARTIFACT}]",
}


def _kind_of(method: str, path: str) -> str | None:
    """Return the shape of what a request is answered."""
    task_id, *more = path.partition("?")[0].strip("/").split("/")
    if more[:1] == ["runs"] and len(more) > 1:
        more[1] = "run"
    return _ENDINGS.get((method, "/".join(["task", *more] if task_id else ["tasks"])))


def _check(method: str, path: str, answer: httpx2.Response) -> None:
    kind = _kind_of(method, path)
    if kind is None or not answer.is_success:
        return
    check(answer.json()["artifacts"] if kind.startswith("[") else answer.json(), kind)


def unsigned(document: Any) -> Any:
    """Return a document without what signs the links in it: that is another one each second."""
    match document:
        case dict():
            return {name: unsigned(value) for name, value in document.items()}
        case list():
            return [unsigned(value) for value in document]
        case str():
            return _SIGNED.sub("", document)
        case _:
            return document


class Project:
    """A client with a project; each answer is held against the document and against its shape."""

    def __init__(self, client: Client, ref: str) -> None:
        self.client = client
        self.ref = ref
        self.path = f"/api/projects/{ref}/tasks"

    def send(self, method: str, path: str = "", body: Any = None, **more: Any) -> httpx2.Response:
        """Return the answer to a request below the tasks of the project."""
        options = {"json": body} if body is not None else {}
        response = self.client.send(method, f"{self.path}{path}", **options, **more)
        _check(method, path, response)
        return response

    def ok(self, method: str, path: str = "", body: Any = None, status: int = 200) -> JsonObject:
        """Return the JSON of a success."""
        response = self.send(method, path, body)
        assert response.status_code == status, (response.status_code, response.text)
        return dict(response.json()) if response.content else {}

    def task(self, **members: Any) -> JsonObject:
        """Return a new task."""
        return self.ok("POST", "", {"title": "a task", **members}, 201)

    def run(self, task: JsonObject, **members: Any) -> JsonObject:
        """Return a new run."""
        return self.ok("POST", f"/{task['id']}/runs", members, 201)

    def patch(self, run: JsonObject, **members: Any) -> JsonObject:
        """Return a run with members changed."""
        return self.ok("PATCH", self.of(run), members)

    def of(self, run: JsonObject) -> str:
        """Return the path of a run."""
        return f"/{run['task']}/runs/{run['id']}"

    def refused(
        self, status: int, method: str, path: str = "", body: Any = None, **more: Any
    ) -> tuple[str, str, str | None]:
        """Return type, code and attr of a refusal with this status."""
        response = self.send(method, path, body, **more)
        assert response.status_code == status, (response.status_code, response.text)
        error = response.json()
        assert error["detail"]
        return error["type"], error["code"], error["attr"]
