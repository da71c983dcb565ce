"""Claims of several runs at once, and reports on several leases."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.live import Client, JsonObject, error_of, serving
from tests.support.obstacles import refuse_writes

AGENT = "/api/agent/tasks"
_SESSIONS = iter(range(1_000_000))


@pytest.fixture(name="agent")
def _agent(client: Client) -> Client:
    """Return an agent of its own with a concurrency of 5; its runs are its alone."""
    name = f"several-{next(_SESSIONS)}"
    client.ok("PUT", f"/api/sessions/{name}", {"agent_name": "coder", "concurrency": 5})
    return client.agent(name)


def queue(agent: Client, number: int) -> list[str]:
    """Queue runs that only this agent may have; return their ids."""
    owner = {"kind": "agent_session", "ref": agent.headers["X-AGH-Session-ID"]}
    human = Client(agent.url)
    runs = [human.enqueue(human.create(owner=owner)["id"])["id"] for _ in range(number)]
    human.close()
    return runs


def claimed(agent: Client, most: int, **body: Any) -> list[JsonObject]:
    """Return what a claim gets."""
    answer = agent.post(f"{AGENT}/claim", {"max_claims": most, **body})
    assert answer.status_code in {200, 204}, answer.text
    return list(answer.json()["claims"]) if answer.content else []


def reported(agent: Client, *items: Any) -> list[JsonObject]:
    """Return what reports come to."""
    return list(agent.ok("POST", f"{AGENT}/report", {"items": items}, 200)["results"])


def test_a_session_shows_its_concurrency(client: Client, agent: Client) -> None:
    path = f"/api/sessions/{agent.headers['X-AGH-Session-ID']}"
    assert client.ok("GET", path)["session"]["concurrency"] == 5
    client.ok("PUT", path, {"agent_name": "coder"})
    assert client.ok("GET", path)["session"]["concurrency"] == 1


def test_several_runs_are_claimed_at_once(agent: Client) -> None:
    runs = queue(agent, 7)
    claims = claimed(agent, 3, lease_seconds=60)
    assert [claim["run"]["id"] for claim in claims] == runs[:3]
    for claim in claims:
        assert claim["task"]["id"] == claim["run"]["task_id"] == claim["lease"]["task_id"]
        assert claim["task"]["latest_event_seq"] > 0
        assert claim["run"]["status"] == "claimed"
    hashes = {claim["lease"]["claim_token_hash"] for claim in claims}
    assert len(hashes) == 3
    assert [claim["run"]["id"] for claim in claimed(agent, 100)] == runs[3:5]
    text = error_of(agent.post(f"{AGENT}/claim", {"max_claims": 1}), 409)
    assert text.startswith("task: active run lease exists: session ")
    assert text.endswith("already owns 5 active task-run leases")


def test_without_work_there_is_nothing(agent: Client) -> None:
    assert claimed(agent, 10, priority_min=1_000) == []


def test_a_claim_of_several_waits_as_well(agent: Client) -> None:
    assert claimed(agent, 10, priority_min=1_000, wait=True) == []
    runs = queue(agent, 2)
    assert [claim["run"]["id"] for claim in claimed(agent, 10, wait=True)] == runs


@pytest.mark.parametrize(
    ("most", "text"),
    [
        (0, "claim.max_claims must be positive: 0"),
        (101, "claim.max_claims must be <= 100: 101"),
        ("3", "httpapi: decode claim request: Expected `int`, got `str` - at `$.max_claims`"),
    ],
)
def test_a_bad_number_of_claims_is_refused(agent: Client, most: Any, text: str) -> None:
    answer = agent.post(f"{AGENT}/claim", {"max_claims": most})
    assert error_of(answer, 422) == f"task: validation failed: {text}"


def test_reports_are_answered_one_by_one_and_committed_together(agent: Client) -> None:
    beating, done, broken, back = queue(agent, 4)
    claimed(agent, 5)
    results = reported(
        agent,
        {"run_id": beating, "action": "heartbeat", "lease_seconds": 600},
        {"run_id": done, "action": " Complete ", "result": {"n": 1}},
        {"run_id": "run-unknown", "action": "complete"},
        {"run_id": broken, "action": "fail", "error": "broke"},
        {"run_id": back, "action": "release", "reason": "tired"},
        {"run_id": back, "action": "heartbeat"},
    )
    assert [row["status"] for row in results] == [200, 200, 403, 200, 200, 403]
    assert [row["ok"] for row in results] == [True, True, False, True, True, False]
    leases = [row["lease"]["status"] for row in results if row["ok"]]
    assert leases == ["claimed", "completed", "failed", "queued"]
    assert "AUTONOMY_FOREIGN_RUN" in results[2]["error"]["error"]
    timeline = agent.ok("GET", f"/api/timeline?actor=agent_session:{_name(agent)}")["timeline"]
    last = [item["event_type"].rpartition("_")[2] for item in timeline][-4:]
    assert last == ["extended", "completed", "failed", "released"]
    sequences = [item["sequence"] for item in timeline][-4:]
    assert sequences == list(range(sequences[0], sequences[0] + 4))


def _name(agent: Client) -> str:
    return agent.headers["X-AGH-Session-ID"]


def test_a_repeated_report_gets_the_first_answer(agent: Client) -> None:
    (run,) = queue(agent, 1)
    claimed(agent, 1)
    item = {"run_id": run, "action": "complete", "result": 1}
    first, second = reported(agent, item, item)
    assert (first["ok"], first.get("replayed")) == (True, None)
    assert (second["ok"], second["replayed"], second["lease"]) == (True, True, first["lease"])
    (other,) = reported(agent, {**item, "result": 2})
    assert (other["status"], other["ok"]) == (409, False)


@pytest.mark.parametrize(
    ("item", "status", "text"),
    [
        ({"action": "complete"}, 422, "report.run_id is required"),
        ({"run_id": "RUN"}, 422, "report.action is required"),
        ({"run_id": "RUN", "action": "pause"}, 422, "report.action must be "),
        ({"run_id": 7, "action": "complete"}, 422, "decode report item request: Expected `str"),
        (
            {"run_id": "RUN", "action": "heartbeat", "lease_seconds": "x"},
            422,
            "decode report item request: Expected `int`, got `str` - at `$.lease_seconds`",
        ),
        (7, 422, "httpapi: decode report item request: Expected `object`, got `int`"),
        (None, 422, "report.action is required"),
        ({"run_id": "RUN", "action": "fail"}, 422, "fail_run.error is required"),
        ({"run_id": "RUN", "action": "heartbeat", "lease_seconds": -1}, 422, "lease_seconds must"),
        (
            {"run_id": "RUN", "action": "complete", "result": {"claim_token": "x"}},
            422,
            "complete_run.result must not contain raw lease credentials",
        ),
        (
            {"run_id": "RUN", "action": "complete", "result": "x" * 70_000},
            413,
            "complete_run.result exceeds 65536 bytes",
        ),
    ],
)
def test_a_bad_report_is_refused_alone(agent: Client, item: Any, status: int, text: str) -> None:
    (run,) = queue(agent, 1)
    claimed(agent, 1)
    if isinstance(item, dict) and item.get("run_id") == "RUN":
        item = {**item, "run_id": run}
    bad, good = reported(agent, item, {"run_id": run, "action": "complete"})
    assert (bad["ok"], bad["status"]) == (False, status)
    assert text in bad["error"]["error"]
    named = item.get("run_id") if isinstance(item, dict) else None
    assert bad["run_id"] == (named if isinstance(named, str) else "")
    assert (good["ok"], good["lease"]["status"]) == (True, "completed")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "report.items must have 1 to 100 items: 0"),
        ({"items": []}, "report.items must have 1 to 100 items: 0"),
        ({"items": [{}] * 101}, "report.items must have 1 to 100 items: 101"),
        ({"items": 7}, "httpapi: decode report request: Expected `array`, got `int`"),
    ],
)
def test_a_bad_list_of_reports_is_refused(agent: Client, body: Any, text: str) -> None:
    assert text in error_of(agent.post(f"{AGENT}/report", body), 422)


def test_an_empty_body_is_no_report(agent: Client) -> None:
    text = error_of(agent.post(f"{AGENT}/report", content=b""), 422)
    assert "httpapi: decode report request: expected an object, got nothing" in text


def test_only_a_known_session_reports(client: Client) -> None:
    items = {"items": [{"run_id": "r", "action": "complete"}]}
    assert client.post(f"{AGENT}/report", items).status_code == 401
    assert client.agent("nobody").post(f"{AGENT}/report", items).status_code == 401


def test_a_store_that_fails_accepts_no_report(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        agent = server.client.agent()
        runs = queue(agent, 1)
        claimed(agent, 1)
        refuse_writes(server.services)
        item = {"run_id": runs[0], "action": "complete"}
        refused = agent.post(f"{AGENT}/report", {"items": [item]})
        (again,) = reported(agent, item)

    assert refused.status_code == 503
    assert again["ok"]
    assert "replayed" not in again
