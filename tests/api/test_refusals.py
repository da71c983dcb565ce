"""Every refusal of tasks, runs and leases over HTTP: its status, its text, and no diagnostic."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.live import NEVER, Client, error_of, serving
from tests.api.refusals import (
    AGENT,
    BY_AGENTS,
    INVALID,
    LIMIT,
    NEW,
    NOT_FOUND,
    RUNS,
    STATES,
    TASKS,
    VALUES,
    Row,
)


def task(client: Client, task_id: str, **more: Any) -> None:
    """Create a task of a given id, in a workspace if one is named."""
    scope = "workspace" if "workspace" in more else "global"
    client.ok("POST", TASKS, {"id": task_id, "title": task_id, "scope": scope, **more}, 201)


def below(client: Client, parent: str, task_id: str) -> None:
    body = {"id": task_id, "title": task_id, "scope": "global"}
    client.ok("POST", f"{TASKS}/{parent}/children", body, 201)


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("refusals"), sweep_seconds=NEVER) as server:
        yield server.client


@pytest.fixture(name="runs", scope="module")
def _runs(client: Client) -> dict[str, str]:
    """Return the ids of runs by the names that paths give them."""
    for workspace in ("w1", "w2"):
        client.ok("PUT", f"/api/workspaces/{workspace}", {}, 200)
    for session in ("free", "gone", "holder"):
        client.ok("PUT", f"/api/sessions/{session}", {"agent_name": "coder"}, 200)
    client.send("DELETE", "/api/sessions/gone")
    runs: dict[str, str] = {}
    wanted: dict[str, dict[str, Any]] = {
        "queued": {},
        "claimed": {},
        "running": {},
        "ended": {"max_attempts": 1},
        "canceled": {},
        "pooled": {"owner": {"kind": "pool", "ref": "painter"}},
        "stale": {"workspace": "w1"},
        "other": {"workspace": "w2", "network_channel": "taken"},
        "leased": {"priority": "urgent"},
    }
    for name, members in wanted.items():
        task(client, name, **members)
        runs[name] = str(client.enqueue(name)["id"])
    for name in ("claimed", "running", "ended", "stale"):
        client.ok("POST", f"{RUNS}/{runs[name]}/claim")
    client.ok("POST", f"{RUNS}/{runs['running']}/start", {"session_id": "busy"})
    client.ok("POST", f"{RUNS}/{runs['ended']}/start")
    client.ok("POST", f"{RUNS}/{runs['ended']}/fail", {"error": "broken"})
    client.ok("POST", f"{TASKS}/canceled/cancel")
    client.send("PATCH", f"{TASKS}/stale", json={"network_channel": "taken"})
    holder = client.agent("holder")
    claim = holder.ok("POST", f"{AGENT}/claim-next", {"priority_min": 40}, 200)["claim"]
    assert claim["run"]["id"] == runs["leased"]
    task(client, "draft", draft=True)
    task(client, "manual", approval_policy="manual")
    for name in ("one", "two"):
        task(client, name)
    client.ok("POST", f"{TASKS}/one/dependencies", {"depends_on_task_id": "two"})
    return runs


def refused(client: Client, runs: dict[str, str], row: Row) -> None:
    method, path, body, status, text = row
    for name, run_id in runs.items():
        path = path.replace(f"@{name}", run_id)
    response = client.send(method, path, **({} if body is None else {"json": body}))
    assert error_of(response, status).startswith(text), response.text
    assert "diagnostic" not in response.json()


def told(row: Row) -> str:
    return f"{row[0]} {row[1]} {row[4][:40]}"


@pytest.mark.parametrize("row", [*NOT_FOUND, *VALUES, *STATES], ids=told)
def test_a_request_that_cannot_be_granted_is_refused(
    client: Client, runs: dict[str, str], row: Row
) -> None:
    before = client.get("/api/timeline?limit=1").json()["head"]
    refused(client, runs, row)
    told_of = 1 if "stale network channel" in row[4] else 0
    assert client.get("/api/timeline?limit=1").json()["head"] == before + told_of


@pytest.mark.parametrize(("session", "row"), BY_AGENTS)
def test_what_an_agent_may_not_have_is_refused(
    client: Client, runs: dict[str, str], session: str, row: Row
) -> None:
    refused(client.agent(session), runs, row)


def test_a_graph_has_its_limits(client: Client) -> None:
    task(client, "deep-1")
    for depth in range(2, 9):
        below(client, f"deep-{depth - 1}", f"deep-{depth}")
    task(client, "wide")
    for number in range(64):
        below(client, "wide", f"wide-{number}")
    for number in range(32):
        blocker = {"depends_on_task_id": f"wide-{number}"}
        client.ok("POST", f"{TASKS}/deep-1/dependencies", blocker)
    for path, body, text in (
        ("deep-8/children", NEW, f"{LIMIT}: hierarchy depth exceeds 8: 9"),
        ("wide/children", NEW, f"{LIMIT}: direct child count exceeds 64: 65"),
        (
            "deep-1/dependencies",
            {"depends_on_task_id": "wide-32"},
            f"{LIMIT}: dependency count exceeds 32: 33",
        ),
    ):
        assert error_of(client.post(f"{TASKS}/{path}", body), 409) == text
    kept = client.send("DELETE", f"{TASKS}/wide")
    assert error_of(kept, 400) == (
        f'{INVALID}: task "wide" has 64 child tasks; delete children first'
    )


def test_a_finished_task_is_not_paused(client: Client, runs: dict[str, str]) -> None:
    assert runs
    response = client.post(f"{TASKS}/ended/pause", {"reason": "why"})
    assert error_of(response, 409) == 'Task already terminal: task "ended" is already failed'
    diagnostic = response.json()["diagnostic"]
    assert diagnostic["id"] == "task.pause.task_run_already_terminal"
    found = (diagnostic["code"], diagnostic["severity"])
    assert found == ("task_run_already_terminal", "info")
    assert diagnostic["evidence"] == {"task_id": "ended", "task_status": "failed"}
    assert "doc_url" not in diagnostic
    response = client.post(f"{TASKS}/one/pause", {"reason": " "})
    assert error_of(response, 422) == "Reason required: pause_task requires a reason"
    diagnostic = response.json()["diagnostic"]
    assert diagnostic["id"] == "task.force.force_op_requires_reason"
    found = (diagnostic["code"], diagnostic["severity"])
    assert found == ("force_op_requires_reason", "error")
