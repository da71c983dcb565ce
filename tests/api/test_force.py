"""Runs taken in hand over HTTP: release, fail, retry and recover, of one run or many."""

import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.api.live import Client, Clock, error_of, serving

DOCS = "/runtime/core/autonomy/task-runs-and-leases#force-operations"
STEPS: dict[str, tuple[str, ...]] = {
    "queued": (),
    "claimed": ("claim",),
    "starting": ("claim", "attach-session"),
    "running": ("claim", "start"),
    "completed": ("claim", "start", "complete"),
    "failed": ("claim", "start", "fail"),
    "canceled": ("cancel",),
}
SESSIONS = count(1)


@pytest.fixture(name="clock", scope="module")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="client", scope="module")
def _client(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("forced")
    never: Any = {"starved_after_cycles": 1_000_000, "attention_after_cycles": 1_000_000}
    with serving(folder, clock=clock, sweep_seconds=0.02, max_lease_expiries=1, **never) as server:
        yield server.client


def agent_of(client: Client) -> tuple[Client, str]:
    """Return a client that speaks for a new agent session, and the id of that."""
    session = f"by-hand-{next(SESSIONS)}"
    client.ok("PUT", f"/api/sessions/{session}", {"agent_name": "coder"}, 200)
    return client.agent(session), session


def run_in(client: Client, clock: Clock, status: str, **task: Any) -> str:
    """Return the id of a run in a status."""
    task_id = client.create(priority="urgent", **task)["id"]
    run_id = str(client.enqueue(task_id)["id"])
    if status == "needs_attention":
        return neglected(client, clock, run_id)
    for step in STEPS[status]:
        body = {"error": "broken"} if step == "fail" else {}
        if step == "attach-session":
            body = {"session_id": agent_of(client)[1]}
        client.ok("POST", f"/api/task-runs/{run_id}/{step}", body)
    return run_id


def neglected(client: Client, clock: Clock, run_id: str) -> str:
    """Let the lease of a run run out, after which it needs attention."""
    agent, _ = agent_of(client)
    claim = {"priority_min": 40, "lease_seconds": 5}
    claimed = agent.ok("POST", "/api/agent/tasks/claim-next", claim, 200)["claim"]
    assert claimed["run"]["id"] == run_id
    clock.advance(6)
    give_up = time.monotonic() + 30
    while status_of(client, run_id) != "needs_attention":
        assert time.monotonic() < give_up
        time.sleep(0.01)
    return run_id


def status_of(client: Client, run_id: str) -> str:
    """Return the status of a run."""
    return str(client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["status"])


def last_event(client: Client, task_id: str) -> dict[str, Any]:
    """Return the last event of a task."""
    return dict(client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"][-1])


def finish(client: Client, run_id: str) -> None:
    """Take a run out of the way of later tests."""
    client.ok("POST", f"/api/task-runs/{run_id}/cancel", {})


def test_a_claimed_run_is_taken_back(client: Client, clock: Clock) -> None:
    run_id = run_in(client, clock, "claimed")
    body = {"reason": "gone", "metadata": {"a": 1}}
    run = client.ok("POST", f"/api/runs/{run_id}/release", body, 200)["run"]
    assert (run["status"], "claimed_by" in run) == ("queued", False)
    event = last_event(client, run["task_id"])
    assert (event["event_type"], event["run"]["id"]) == ("task.run_released", run_id)
    assert event["origin"] == {"kind": "http", "ref": "tasks.force_release_run"}
    assert event["payload"] == {
        "previous_status": "claimed",
        "status": "queued",
        "task_status": "ready",
        "reason": "gone",
        "manual": True,
        "actor_kind": "human",
        "actor_id": "local-user",
        "metadata": {"a": 1},
    }
    finish(client, run_id)


@pytest.mark.parametrize("status", ["queued", "claimed", "needs_attention"])
def test_a_run_is_failed_by_hand(client: Client, clock: Clock, status: str) -> None:
    run_id = run_in(client, clock, status)
    body = {"reason": "stuck", "metadata": {"a": 1}}
    run = client.ok("POST", f"/api/runs/{run_id}/fail", body, 200)["run"]
    ended = (run["status"], run["failure_kind"], run["error"])
    assert ended == ("failed", "operator_forced", "stuck")
    event = last_event(client, run["task_id"])
    assert event["event_type"] == "task.run_operator_forced_fail"
    assert event["payload"] == {
        "manual": True,
        "actor_kind": "human",
        "actor_id": "local-user",
        "previous_status": status,
        "status": "failed",
        "task_status": "ready",
        "reason": "stuck",
        "metadata": {"a": 1},
    }


def test_a_failed_run_is_retried(client: Client, clock: Clock) -> None:
    run_id = run_in(client, clock, "failed")
    chain = client.ok("POST", f"/api/runs/{run_id}/retry", {"metadata": {"again": 1}}, 201)
    run = chain["run"]
    assert (chain["previous_run"]["id"], chain["previous_run"]["status"]) == (run_id, "failed")
    assert (run["status"], run["attempt"], run["previous_run_id"]) == ("queued", 2, run_id)
    assert run["metadata"] == {"again": 1}
    event = last_event(client, run["task_id"])
    assert (event["event_type"], event["run"]["id"]) == ("task.run_operator_retry", run["id"])
    assert event["payload"] == {
        "manual": True,
        "actor_kind": "human",
        "actor_id": "local-user",
        "source_run_id": run_id,
        "new_run_id": run["id"],
        "task_status": "ready",
        "metadata": {"again": 1},
    }
    finish(client, run["id"])


def test_a_run_that_needs_attention_is_recovered(client: Client, clock: Clock) -> None:
    run_id = run_in(client, clock, "needs_attention")
    chain = client.ok("POST", f"/api/runs/{run_id}/recover", {"reason": "looked"}, 201)
    before, run = chain["previous_run"], chain["run"]
    ended = (before["id"], before["status"], before["failure_kind"], before["error"])
    assert ended == (run_id, "failed", "operator_forced", "looked")
    assert (run["status"], run["attempt"], run["previous_run_id"]) == ("queued", 2, run_id)
    event = last_event(client, run["task_id"])
    assert event["event_type"] == "task.run_recovered_from_attention"
    assert event["payload"] == {
        "manual": True,
        "actor_kind": "human",
        "actor_id": "local-user",
        "source_run_id": run_id,
        "new_run_id": run["id"],
        "previous_status": "needs_attention",
        "status": "queued",
        "task_status": "ready",
        "reason": "looked",
    }
    finish(client, run["id"])


def test_a_run_is_recovered_in_place_where_no_attempt_is_left(client: Client, clock: Clock) -> None:
    run_id = run_in(client, clock, "needs_attention", max_attempts=1)
    path = f"/api/runs/{run_id}/recover"
    assert "exhausted max_attempts=1" in error_of(client.post(path, {}), 409)
    chain = client.ok("POST", path, {"in_place": True}, 201)
    assert chain["run"] == chain["previous_run"]
    assert (chain["run"]["id"], chain["run"]["status"]) == (run_id, "queued")
    assert last_event(client, chain["run"]["task_id"])["event_type"] == "task.run_requeued"
    finish(client, run_id)


def test_a_waiting_claim_gets_what_was_recovered(client: Client, clock: Clock) -> None:
    for body in ({"in_place": True}, {}):
        run_id = run_in(client, clock, "needs_attention")
        agent, _ = agent_of(client)
        with_work = client.ok("POST", f"/api/runs/{run_id}/recover", body, 201)["run"]["id"]
        claim = {"priority_min": 40, "wait": True}
        claimed = agent.ok("POST", "/api/agent/tasks/claim-next", claim, 200)["claim"]["run"]
        assert claimed["id"] == with_work
        agent.ok("POST", f"/api/agent/tasks/{with_work}/complete", {})


# Every refusal with its status, text and diagnostic.

Refused = tuple[str, str, str, tuple[str, str]]
UNRELEASABLE = "task_run_not_releasable", "error"
ACTIVE, TERMINAL = ("task_run_still_active", "error"), ("task_run_already_terminal", "info")
UNRECOVERABLE = "task_run_not_recoverable", "error"
EVERY_STATUS = (*STEPS, "needs_attention")
WRONG: list[Refused] = [
    *(
        ("release", status, "Task run not releasable: ", UNRELEASABLE)
        for status in EVERY_STATUS
        if status != "claimed"
    ),
    *(("fail", status, "Task run still active: ", ACTIVE) for status in ("starting", "running")),
    *(
        ("fail", status, "Task run already terminal: ", TERMINAL)
        for status in ("completed", "failed", "canceled")
    ),
    *(
        ("retry", status, "Task run not failed: ", ACTIVE)
        for status in EVERY_STATUS
        if status != "failed"
    ),
    *(("recover", status, "Task run not recoverable: ", UNRECOVERABLE) for status in STEPS),
]


@pytest.mark.parametrize("refused", WRONG, ids=lambda refused: f"{refused[0]} {refused[1]}")
def test_a_run_in_another_status_is_refused(client: Client, clock: Clock, refused: Refused) -> None:
    verb, status, text, (code, severity) = refused
    run_id = run_in(client, clock, status)
    response = client.post(f"/api/runs/{run_id}/{verb}", {"reason": "why"})
    assert error_of(response, 409).startswith(text)
    diagnostic = response.json()["diagnostic"]
    assert diagnostic["id"] == f"task.force.{code}"
    assert (diagnostic["code"], diagnostic["severity"]) == (code, severity)
    assert (diagnostic["category"], diagnostic["data_freshness"]) == ("task", "live")
    assert diagnostic["doc_url"] == DOCS
    assert diagnostic["evidence"] == {"run_id": run_id, "status": status}
    assert status_of(client, run_id) == status
    if status not in {"completed", "failed", "canceled"}:
        finish(client, run_id)


@pytest.mark.parametrize(
    ("path", "body", "refused"),
    [
        ("run-none/release", {}, (404, 'task: task run not found: task run "run-none"', "")),
        ("run-none/fail", {"reason": "r"}, (404, "task: task run not found", "")),
        ("run-none/retry", {}, (404, "task: task run not found", "")),
        ("run-none/recover", {}, (404, "task: task run not found", "")),
        ("%20/release", {}, (422, "task: validation failed: task run id is required", "")),
        ("run-none/fail", {}, (422, "Reason required: ", "force_op_requires_reason")),
        ("run-none/fail", {"reason": " "}, (422, "Reason required: ", "force_op_requires_reason")),
        (
            "run-none/fail",
            None,
            (422, "task: validation failed: httpapi: decode force fail run", ""),
        ),
        ("run-none/release", 7, (422, "task: validation failed: httpapi: decode ", "")),
        (
            "run-none/retry",
            {"metadata": {"claim_token": 1}},
            (422, "task: validation failed: ", ""),
        ),
        (
            "run-none/retry",
            {"metadata": "x" * 16_384},
            (413, "task: payload too large: retry_", ""),
        ),
        ("bulk/fail", {"run_ids": ["a"]}, (422, "Reason required: ", "force_op_requires_reason")),
        ("bulk/fail", {"reason": "r"}, (422, "task: validation failed: bulk_force_fail_runs", "")),
        (
            "bulk/release",
            {"run_ids": []},
            (422, "task: validation failed: bulk_force_release_", ""),
        ),
        ("bulk/release", {"run_ids": ["a", ""]}, (422, "task: validation failed: bulk_force_", "")),
        ("bulk/release", {"run_ids": ["a"] * 51}, (422, "Bulk operation too la", "bulk_too_large")),
        ("bulk/release", {"run_ids": "a"}, (422, "task: validation failed: httpapi: decode ", "")),
        ("bulk/release", None, (422, "task: validation failed: httpapi: decode ", "")),
    ],
)
def test_a_bad_request_is_refused(
    client: Client, path: str, body: Any, refused: tuple[int, str, str]
) -> None:
    status, text, code = refused
    response = client.post(f"/api/runs/{path}", body)
    assert error_of(response, status).startswith(text)
    assert response.json().get("diagnostic", {}).get("code", "") == code


def test_an_agent_that_does_too_much_by_hand_is_stopped(client: Client, clock: Clock) -> None:
    agent, session = agent_of(client)
    run_id = run_in(client, clock, "queued")
    task_id = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["task_id"]
    for _ in range(5):
        agent.ok("POST", f"/api/tasks/{task_id}/pause", {"reason": "wait"}, 200)
        agent.ok("POST", f"/api/tasks/{task_id}/resume", {}, 200)
    for path, body in (
        (f"/api/tasks/{task_id}/pause", {"reason": "wait"}),
        (f"/api/tasks/{task_id}/resume", {}),
        (f"/api/runs/{run_id}/fail", {"reason": "stuck"}),
        (f"/api/runs/{run_id}/release", {}),
        (f"/api/runs/{run_id}/retry", {}),
        (f"/api/runs/{run_id}/recover", {}),
    ):
        response = agent.post(path, body)
        assert error_of(response, 429).startswith("Force operation rate limited: ")
        diagnostic = response.json()["diagnostic"]
        found = (diagnostic["id"], diagnostic["severity"])
        assert found == ("task.force.force_op_rate_limited", "warn")
        who = {"actor_kind": "agent_session", "actor_id": session}
        assert diagnostic["evidence"] == {**who, "task_id": task_id, "limit": 10}
    (row,) = agent.ok("POST", "/api/runs/bulk/release", {"run_ids": [run_id]}, 200)["results"]
    assert row["error"]["diagnostic"]["code"] == "force_op_rate_limited"
    client.ok("POST", f"/api/tasks/{task_id}/pause", {"reason": "wait"}, 200)
    clock.advance(61)
    agent.ok("POST", f"/api/runs/{run_id}/fail", {"reason": "stuck"}, 200)


def test_what_an_agent_did_by_hand_is_remembered_over_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with serving(tmp_path, clock=clock) as server:
        agent, session = agent_of(server.client)
        path = f"/api/tasks/{server.client.create()['id']}/resume"
        for _ in range(10):
            agent.ok("POST", path, {}, 200)
    with serving(tmp_path, clock=clock) as server:
        agent = server.client.agent(session)
        error_of(agent.post(path, {}), 429)
        clock.advance(60)
        agent.ok("POST", path, {}, 200)


def test_agents_may_be_kept_from_it(tmp_path: Path) -> None:
    clock = Clock()
    with serving(tmp_path, clock=clock, allow_agent_force=False) as server:
        client = server.client
        agent, session = agent_of(client)
        run_id = run_in(client, clock, "claimed")
        task_id = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["task_id"]
        for path in (
            *(f"/api/runs/{run_id}/{verb}" for verb in ("release", "fail", "retry", "recover")),
            *(f"/api/tasks/{task_id}/{verb}" for verb in ("pause", "resume")),
        ):
            response = agent.post(path, {})
            assert error_of(response, 403).startswith("Force operation: ")
            diagnostic = response.json()["diagnostic"]
            found = (diagnostic["id"], diagnostic["severity"])
            assert found == ("task.force.forbidden_operator_action", "error")
            assert diagnostic["evidence"] == {"actor_kind": "agent_session", "actor_id": session}
        for verb in ("release", "fail"):
            body = {"run_ids": [run_id, "run-none"], "reason": "why"}
            rows = agent.ok("POST", f"/api/runs/bulk/{verb}", body, 200)["results"]
            codes = [row["error"]["diagnostic"]["code"] for row in rows]
            assert codes == ["forbidden_operator_action"] * 2
        client.ok("POST", f"/api/runs/{run_id}/release", {}, 200)


# Many at once.


def test_each_row_of_a_bulk_fails_on_its_own(client: Client, clock: Clock) -> None:
    running, claimed, other = (
        run_in(client, clock, status) for status in ("running", "claimed", "claimed")
    )
    ids = [claimed, f" {running} ", "run-none", claimed, other]
    body = {"run_ids": ids, "reason": "reset", "metadata": {"a": 1}}
    rows = client.ok("POST", "/api/runs/bulk/release", body, 200)["results"]
    assert [row["run_id"] for row in rows] == [claimed, running, "run-none", other]
    assert [row["ok"] for row in rows] == [True, False, False, True]
    assert rows[0]["run"]["status"] == "queued"
    assert rows[1]["error"]["diagnostic"]["code"] == "task_run_not_releasable"
    assert rows[2]["error"] == {"error": 'task: task run not found: task run "run-none"'}
    event = last_event(client, rows[0]["run"]["task_id"])
    assert event["payload"]["metadata"] == {"a": 1}
    assert event["origin"]["ref"] == "tasks.bulk_release_runs"
    body = {"run_ids": [other, claimed, running], "reason": "reset"}
    rows = client.ok("POST", "/api/runs/bulk/fail", body, 200)["results"]
    assert [row["ok"] for row in rows] == [True, True, False]
    assert rows[0]["run"]["failure_kind"] == "operator_forced"
    assert rows[2]["error"]["diagnostic"]["code"] == "task_run_still_active"
    finish(client, running)


def test_a_run_canceled_under_its_session_is_a_forced_stop(client: Client, clock: Clock) -> None:
    path = "/api/observe/tasks/dashboard?network_channel=stopped"
    for status in ("queued", "claimed", "starting", "running"):
        finish(client, run_in(client, clock, status, network_channel="stopped"))
    task_id = client.ok("GET", "/api/tasks?network_channel=stopped&limit=1")["tasks"][0]["id"]
    failed = client.ok("GET", path)["dashboard"]["cards"]["failed"]
    timeline = client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"]

    assert failed == {"tasks": 0, "failed_runs": 0, "forced_stops": 2, "health_status": "warn"}
    assert timeline[-1]["event_type"] == "task.run_force_stopped"
    session_id = timeline[-1]["run"]["session_id"]
    assert timeline[-1]["payload"] == {"session_id": session_id, "grace_timeout_ms": 0}
    past = client.ok("GET", f"{path}&as_of={timeline[-1]['sequence']}")
    assert past["dashboard"]["cards"]["failed"]["forced_stops"] == 2
