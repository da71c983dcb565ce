"""Runs over HTTP, by operators and by agents under a lease."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.api.live import Client, Clock, error_of
from tests.api.waiters import patient, waiting

LEASE = "/api/agent/tasks"


def claimed(client: Client, agent: Client, **task: Any) -> str:
    """Return the id of a run that the agent has claimed."""
    run = client.enqueue(client.create(priority="urgent", **task)["id"])
    claim = agent.ok("POST", f"{LEASE}/claim-next", {"priority_min": 40}, 200)["claim"]
    assert claim["run"]["id"] == run["id"]
    return str(run["id"])


def test_an_operator_takes_a_run_through_its_life(client: Client) -> None:
    task = client.create()
    path = f"/api/task-runs/{client.enqueue(task['id'])['id']}"

    assert client.ok("POST", f"{path}/claim")["run"]["claimed_by"]["ref"] == "local-user"
    started = client.ok("POST", f"{path}/start", {"session_id": "sess-mine"})["run"]
    assert (started["status"], started["session_id"]) == ("running", "sess-mine")
    assert client.ok("POST", f"{path}/complete", {"result": {"n": 1}})["run"]["result"] == {"n": 1}
    detail = client.ok("GET", path)["run"]
    assert detail["summary"]["last_event_type"] == "task.run_completed"
    assert detail["session"]["session_id"] == "sess-mine"
    assert client.ok("GET", f"/api/tasks/{task['id']}")["task"]["task"]["status"] == "completed"
    again = client.post(f"{path}/complete", {"result": {"n": 1}})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["run"]["result"] == {"n": 1}
    assert client.post(f"{path}/complete").status_code == 409
    assert client.post(f"{path}/fail", {"error": "late"}).status_code == 409


def test_a_run_is_failed_canceled_and_bound_to_a_session(client: Client) -> None:
    client.ok("PUT", "/api/sessions/attached", {"agent_name": "coder"}, 200)
    path = f"/api/task-runs/{client.enqueue(client.create()['id'])['id']}"
    client.ok("POST", f"{path}/claim")

    assert client.post(f"{path}/attach-session", {"session_id": "nobody"}).status_code == 404
    bound = client.ok("POST", f"{path}/attach-session", {"session_id": "attached"})["run"]
    assert (bound["status"], bound["session_id"]) == ("starting", "attached")
    assert client.post(f"{path}/attach-session", {"session_id": "attached"}).status_code == 409
    failed = client.ok("POST", f"{path}/fail", {"error": "broken", "metadata": {"why": 1}})
    assert failed["run"]["error"] == "broken"
    again = client.post(f"{path}/fail", {"error": "broken", "metadata": {"why": 1}})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert client.post(f"{path}/fail", {"error": "broken"}).status_code == 409
    assert client.post(f"{path}/cancel").status_code == 409


@pytest.mark.parametrize(
    ("end", "body"),
    [
        ("", None),
        ("/claim", {}),
        ("/start", {}),
        ("/complete", {}),
        ("/cancel", {}),
        ("/attach-session", {"session_id": "s"}),
        ("/fail", {"error": "e"}),
    ],
)
def test_an_unknown_run_is_not_found(client: Client, end: str, body: Any) -> None:
    method = "POST" if end else "GET"
    response = client.send(method, f"/api/task-runs/run-none{end}", json=body)
    blank = client.send(method, f"/api/task-runs/%20{end}", json=body)

    assert "task run not found" in error_of(response, 404)
    assert error_of(blank, 422).endswith("task run id is required")


def test_an_agent_claims_reports_and_completes(client: Client) -> None:
    agent = client.agent("reporter")
    run_id = claimed(client, agent)
    lease = agent.ok("POST", f"{LEASE}/{run_id}/heartbeat", {"lease_seconds": 60}, 200)["lease"]

    assert lease["claim_token_hash"].startswith("sha256:")
    assert lease["session_id"] == "reporter"
    done = agent.ok("POST", f"{LEASE}/{run_id}/complete", {"result": "ok"})["lease"]
    assert (done["status"], "lease_until" in done) == ("completed", False)
    again = agent.post(f"{LEASE}/{run_id}/complete", {"result": "ok"})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert "AUTONOMY_LEASE_EXPIRED" in error_of(
        agent.post(f"{LEASE}/{run_id}/fail", {"error": "e"}), 409
    )
    origin = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["origin"]
    assert origin == {"kind": "http", "ref": "tasks.enqueue_run"}


def test_an_agent_fails_or_releases_what_it_holds(client: Client) -> None:
    agent = client.agent("releaser")
    run_id = claimed(client, agent)

    released = agent.ok("POST", f"{LEASE}/{run_id}/release", {"reason": "busy"})["lease"]
    assert (released["status"], "session_id" in released) == ("queued", False)
    agent.ok("POST", f"{LEASE}/claim-next", {"priority_min": 40}, 200)
    failed = agent.ok("POST", f"{LEASE}/{run_id}/fail", {"error": "no", "metadata": {"a": 1}})
    assert failed["lease"]["status"] == "failed"


def test_a_session_holds_one_lease_and_touches_no_other(client: Client) -> None:
    mine, other = client.agent("mine"), client.agent("other")
    run_id, foreign = claimed(client, mine), claimed(client, other)

    assert "active run lease exists" in error_of(mine.post(f"{LEASE}/claim-next"), 409)
    assert "AUTONOMY_FOREIGN_RUN" in error_of(mine.post(f"{LEASE}/{foreign}/complete", {}), 403)
    mine.ok("POST", f"{LEASE}/{run_id}/complete", {})
    assert "AUTONOMY_NO_ACTIVE_LEASE" in error_of(mine.post(f"{LEASE}/{foreign}/release", {}), 409)
    assert "token-fenced" in error_of(client.post(f"/api/task-runs/{foreign}/complete"), 409)
    other.ok("POST", f"{LEASE}/{foreign}/complete", {})


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"lease_seconds": -1}, 422),
        ({"lease_seconds": 86_401}, 422),
        ({"priority_min": -1}, 422),
        ({"required_capabilities": ["a b"]}, 422),
        ({"workspace_id": "elsewhere"}, 403),
    ],
)
def test_an_unacceptable_claim_is_refused(client: Client, body: Any, status: int) -> None:
    agent = client.agent("picky")
    agent.post(f"{LEASE}/claim-next", {"priority_min": 1000})

    error_of(agent.post(f"{LEASE}/claim-next", body), status)


@pytest.mark.parametrize("verb", ["heartbeat", "complete", "fail", "release"])
def test_what_a_holder_sends_needs_a_body(client: Client, verb: str) -> None:
    agent = client.agent("bodiless")
    agent.post(f"{LEASE}/claim-next", {"priority_min": 1000})
    text = error_of(agent.post(f"{LEASE}/run-1/{verb}"), 422)

    assert text.startswith("task: validation failed: httpapi: decode ")
    assert text.endswith("request: expected an object, got nothing")


def test_a_result_with_a_lease_credential_is_refused(client: Client) -> None:
    agent = client.agent("leaky")
    run_id = claimed(client, agent)
    body = {"result": {"deep": [{"Claim_Token": "x"}]}}

    assert "raw lease credentials" in error_of(agent.post(f"{LEASE}/{run_id}/complete", body), 422)
    agent.ok("POST", f"{LEASE}/{run_id}/complete", {})


def test_an_expired_lease_goes_back_to_the_queue(client: Client, clock: Clock) -> None:
    agent = client.agent("sleepy")
    run_id = claimed(client, agent)
    clock.advance(301)
    give_up = time.monotonic() + 30
    while client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["status"] != "queued":
        assert time.monotonic() < give_up
        time.sleep(0.02)

    assert "AUTONOMY_NO_ACTIVE_LEASE" in error_of(
        agent.post(f"{LEASE}/{run_id}/heartbeat", {}), 409
    )
    assert client.ok("GET", f"/api/task-runs/{run_id}")["run"]["summary"]["last_event_type"] == (
        "task.run_lease_expired"
    )
    client.ok("POST", f"/api/task-runs/{run_id}/cancel")


def test_no_answer_tells_a_claim_token(client: Client) -> None:
    shown = "agh_claim_" + "x" * 43
    text = error_of(client.get(f"/api/tasks/{shown}"), 404)

    assert text == 'task: task not found: task "agh_claim_[REDACTED]"'


def test_a_waiting_claim_gets_the_run_when_it_comes(tmp_path: Path) -> None:
    answers: list[int] = []
    with patient(tmp_path) as server:
        client = server.client
        client.ok("PUT", "/api/workspaces/ws-waiters", {}, 200)
        threads = []
        for number in range(3):
            agent = {"agent_name": "coder", "workspace": "ws-waiters"}
            client.ok("PUT", f"/api/sessions/waiter-{number}", agent, 200)
            threads.append(waiting(server, client.agent(f"waiter-{number}"), answers))
        assert answers == []
        for _ in threads:
            client.enqueue(client.create(scope="workspace", workspace="ws-waiters")["id"])
        for thread in threads:
            thread.join()

    assert answers == [200, 200, 200]


def test_a_waiting_claim_gets_what_an_earlier_waiter_may_not_have(tmp_path: Path) -> None:
    answers: list[int] = []
    with patient(tmp_path) as server:
        client = server.client
        wrong = waiting(server, client.agent("wrong"), answers, priority_min=1000)
        right = waiting(server, client.agent("right", "painter"), answers, priority_min=40)
        task = client.create(priority="urgent", owner={"kind": "pool", "ref": "painter"})
        client.enqueue(task["id"])
        right.join()
        assert answers == [200]
        server.stop()
        wrong.join()

    assert answers == [200, 204]


def test_a_waiting_claim_is_woken_when_a_pause_ends(tmp_path: Path) -> None:
    answers: list[int] = []
    with patient(tmp_path) as server:
        client = server.client
        task = client.create(priority="urgent")
        client.ok("POST", f"/api/tasks/{task['id']}/pause", {"reason": "r"})
        client.enqueue(task["id"])
        thread = waiting(server, client.agent("patient"), answers, priority_min=40)
        client.ok("POST", f"/api/tasks/{task['id']}/resume")
        thread.join()

    assert answers == [200]
