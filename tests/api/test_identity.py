"""Who calls: agent headers on every route, and what is wrong with them."""

import pytest

from tests.api.live import Client

BOTH = {"X-AGH-Session-ID": "known", "X-AGH-Agent": "coder"}


@pytest.fixture(name="known", autouse=True)
def _known(client: Client) -> None:
    client.ok("PUT", "/api/workspaces/w1", {"name": "one"}, 200)
    client.ok("PUT", "/api/sessions/known", {"agent_name": "coder", "workspace": "one"}, 200)
    client.ok("PUT", "/api/sessions/gone", {"agent_name": "coder"}, 200)
    client.send("DELETE", "/api/sessions/gone")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-AGH-Agent": "coder"}, 401, "identity_required"),
        ({"X-AGH-Session-ID": "known"}, 401, "identity_required"),
        ({"X-AGH-Session-ID": "known", "X-AGH-Agent": ""}, 401, "identity_required"),
        ({"X-AGH-Session-ID": "unknown", "X-AGH-Agent": "coder"}, 401, "identity_stale"),
        ({"X-AGH-Session-ID": "gone", "X-AGH-Agent": "coder"}, 401, "identity_stale"),
        ({"X-AGH-Session-ID": "known", "X-AGH-Agent": "other"}, 401, "identity_mismatch"),
        ({**BOTH, "X-AGH-Workspace-ID": "w2"}, 403, "identity_unauthorized"),
    ],
)
def test_a_wrong_identity_is_refused_everywhere(
    client: Client, headers: dict[str, str], status: int, code: str
) -> None:
    for method, path in (
        ("GET", "/api/tasks"),
        ("POST", "/api/tasks"),
        ("POST", "/api/agent/tasks/run-1/heartbeat"),
    ):
        response = client.send(method, path, headers=headers, content=b"{}")

        assert response.status_code == status
        diagnostic = response.json()["diagnostic"]
        assert (diagnostic["code"], diagnostic["category"]) == (code, "session")
        assert response.json()["error"].startswith(diagnostic["message"])


def test_agent_routes_need_an_identity(client: Client) -> None:
    for path in ("claim-next", "run-1/heartbeat"):
        response = client.post(f"/api/agent/tasks/{path}", {})

        assert response.status_code == 401
        assert response.json()["diagnostic"]["code"] == "identity_required"


def test_an_agent_acts_as_its_session(client: Client) -> None:
    agent = client.like(**{name.replace("-", "_"): value for name, value in BOTH.items()})
    task = agent.ok(
        "POST", "/api/tasks", {"scope": "workspace", "workspace": "w1", "title": "t"}, 201
    )["task"]

    assert task["created_by"] == {"kind": "agent_session", "ref": "known"}
    assert task["origin"] == {"kind": "http", "ref": "tasks.create"}


def test_an_agent_creates_in_its_own_workspace_only(client: Client) -> None:
    client.ok("PUT", "/api/workspaces/w2", {}, 200)
    agent = client.like(**{name.replace("-", "_"): value for name, value in BOTH.items()})
    body = {"scope": "workspace", "workspace": "w2", "title": "t"}

    assert agent.post("/api/tasks", body).status_code == 403


def test_a_workspace_header_alone_makes_nobody_an_agent(client: Client) -> None:
    assert client.get("/api/tasks", headers={"X-AGH-Workspace-ID": "w9"}).status_code == 200


def test_sessions_and_workspaces_are_listed_and_removed(client: Client) -> None:
    sessions = client.ok("GET", "/api/sessions")["sessions"]
    workspaces = client.ok("GET", "/api/workspaces")["workspaces"]

    assert {"known", "gone"} <= {session["session_id"] for session in sessions}
    assert client.ok("GET", "/api/sessions/gone")["session"]["state"] == "stopped"
    assert client.ok("GET", "/api/workspaces/w1")["workspace"]["name"] == "one"
    assert workspaces
    client.ok("PUT", "/api/workspaces/w3", {"path": "/srv/three"}, 200)
    assert client.send("DELETE", "/api/workspaces/w3").status_code == 204
    for path in ("/api/workspaces/w3", "/api/sessions/never"):
        assert client.get(path).status_code == 404
        assert client.send("DELETE", path).status_code == 404


def test_a_name_that_is_taken_is_a_conflict(client: Client) -> None:
    assert client.send("PUT", "/api/workspaces/w4", json={"name": "one"}).status_code == 409
    assert client.send("PUT", "/api/sessions/s9", json={"agent_name": ""}).status_code == 422
    body = {"agent_name": "coder", "workspace": "nowhere"}
    assert client.send("PUT", "/api/sessions/s9", json=body).status_code == 404
