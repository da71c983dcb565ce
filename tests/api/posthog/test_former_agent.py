"""The calls of the agent packages before version 2, by a client of our own with their shapes.

Those packages are not free to be used here. Source of the shapes: what they send and read.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.api.links import fetched
from tests.api.live import HANG_SECONDS, JsonObject
from tests.api.posthog.project import Project, unsigned
from tests.api.posthog.shapes import ARTIFACT, RUN, RUN_PAGE, TASK, TASK_PAGE, check


class FormerAgent:
    """Sends what they sent: a key, a content type also where there is no content, slashes."""

    def __init__(self, host: str, project_id: int) -> None:
        headers = {"Authorization": "Bearer phx_any", "Content-Type": "application/json"}
        self._http = httpx2.Client(
            base_url=f"{host}/api/projects/{project_id}/tasks/",
            headers=headers,
            timeout=HANG_SECONDS,
        )

    def close(self) -> None:
        self._http.close()

    def _request(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        content = None if body is None else json.dumps(body)
        response = self._http.request(method, path, content=content, params=query)
        assert response.is_success, f"Failed request: [{response.status_code}] {response.text}"
        return response.json()

    def list_tasks(self, **query: str) -> list[JsonObject]:
        page = self._request("GET", "", **query)
        check(page, TASK_PAGE)
        return list(page["results"])

    def fetch_task(self, task_id: str) -> JsonObject:
        return self._task(self._request("GET", f"{task_id}/"))

    def create_task(self, **payload: Any) -> JsonObject:
        return self._task(self._request("POST", "", {"origin_product": "user_created", **payload}))

    def update_task(self, task_id: str, **updates: Any) -> JsonObject:
        return self._task(self._request("PATCH", f"{task_id}/", updates))

    def list_task_runs(self, task_id: str) -> list[JsonObject]:
        page = self._request("GET", f"{task_id}/runs/")
        check(page, RUN_PAGE)
        return list(page["results"])

    def get_task_run(self, task_id: str, run_id: str) -> JsonObject:
        return self._run(self._request("GET", f"{task_id}/runs/{run_id}/"))

    def create_task_run(self, task_id: str, **payload: Any) -> JsonObject:
        return self._run(self._request("POST", f"{task_id}/runs/", payload))

    def update_task_run(self, task_id: str, run_id: str, **payload: Any) -> JsonObject:
        return self._run(self._request("PATCH", f"{task_id}/runs/{run_id}/", payload))

    def set_task_run_output(self, task_id: str, run_id: str, output: JsonObject) -> JsonObject:
        path = f"{task_id}/runs/{run_id}/set_output/"
        return self._run(self._request("PATCH", path, {"output": output}))

    def append_task_run_log(
        self, task_id: str, run_id: str, entries: list[JsonObject]
    ) -> JsonObject:
        path = f"{task_id}/runs/{run_id}/append_log/"
        return self._run(self._request("POST", path, {"entries": entries}))

    def upload_task_artifacts(
        self, task_id: str, run_id: str, artifacts: list[JsonObject]
    ) -> list[JsonObject]:
        path = f"{task_id}/runs/{run_id}/artifacts/"
        found = self._request("POST", path, {"artifacts": artifacts})["artifacts"]
        check(found, f"[{ARTIFACT}]")
        return list(found)

    def fetch_task_run_logs(self, run: JsonObject) -> list[JsonObject]:
        """Read the log by its address alone, as it was once told."""
        response = fetched(run["log_url"])
        assert response.is_success
        return [json.loads(line) for line in response.text.strip().split("\n") if line]

    def _task(self, answer: Any) -> JsonObject:
        check(answer, TASK)
        return dict(answer)

    def _run(self, answer: Any) -> JsonObject:
        check(answer, RUN)
        return dict(answer)


class SessionStore:
    """Their way through a run: it reads the run once, flushes lines in batches, and ends it."""

    def __init__(self, agent: FormerAgent, task_id: str, run_id: str) -> None:
        self.agent = agent
        self.ids = (task_id, run_id)
        self.pending: list[JsonObject] = []
        self.run = agent.get_task_run(*self.ids)
        agent.update_task_run(*self.ids, status="in_progress")

    def append(self, line: str) -> None:
        notification = {"jsonrpc": "2.0", "method": "_posthog/console", "params": {"line": line}}
        self.pending.append({"type": "notification", "notification": notification})

    def flush(self) -> None:
        batch, self.pending = self.pending, []
        if batch:
            self.agent.append_task_run_log(*self.ids, batch)

    def poll(self) -> list[str]:
        found = self.agent.fetch_task_run_logs(self.run)
        return [each["notification"]["params"]["line"] for each in found]

    def complete(self) -> JsonObject:
        self.flush()
        return self.agent.update_task_run(*self.ids, status="completed")

    def fail(self, error: str) -> JsonObject:
        self.flush()
        return self.agent.update_task_run(*self.ids, status="failed", error_message=error)


@pytest.fixture(name="agent")
def _agent(project: Project) -> Iterator[FormerAgent]:
    agent = FormerAgent(project.client.url, int(project.ref))
    yield agent
    agent.close()


def test_a_session_goes_its_way(agent: FormerAgent) -> None:
    task = agent.create_task(title="Fix it", description="Now", repository="PostHog/posthog")
    run = agent.create_task_run(task["id"])
    store = SessionStore(agent, task["id"], run["id"])

    assert store.poll() == []
    store.append("one")
    store.append("two")
    store.flush()
    assert store.poll() == ["one", "two"]
    store.append("three")
    assert agent.get_task_run(*store.ids)["status"] == "in_progress"
    done = store.complete()
    assert (done["status"], store.poll()) == ("completed", ["one", "two", "three"])
    assert done["completed_at"] is not None


def test_a_session_may_fail(agent: FormerAgent) -> None:
    task = agent.create_task(title="Fix it", description="")
    run = agent.create_task_run(task["id"])
    failed = SessionStore(agent, task["id"], run["id"]).fail("no disk")

    assert (failed["status"], failed["error_message"]) == ("failed", "no disk")


def test_every_other_call_is_answered(agent: FormerAgent) -> None:
    task = agent.create_task(title="a", description="b", repository="x/y")
    other = agent.create_task(title="c", description="")
    runs = [agent.create_task_run(task["id"]) for _ in range(2)]

    assert [each["id"] for each in agent.list_tasks()] == [other["id"], task["id"]]
    assert [each["id"] for each in agent.list_tasks(repository="x/y")] == [task["id"]]
    assert agent.list_tasks(organization="z") == []
    changed = agent.update_task(task["id"], title="new", repository=None)
    assert unsigned(agent.fetch_task(task["id"])) == unsigned(changed)
    assert [each["id"] for each in agent.list_task_runs(task["id"])] == [
        run["id"] for run in reversed(runs)
    ]
    ids = (task["id"], runs[0]["id"])
    assert agent.set_task_run_output(*ids, {"pr": 1})["output"] == {"pr": 1}
    assert agent.update_task_run(*ids, output={"x": 2})["output"] == {"pr": 1, "x": 2}
    stored = agent.upload_task_artifacts(
        *ids, [{"name": "plan.md", "type": "plan", "content": "# Plan", "content_type": "text/md"}]
    )
    assert agent.get_task_run(*ids)["artifacts"] == stored
