"""The starvation ladder of a running server."""

import time
from pathlib import Path
from threading import Thread

from tests.api.live import Client, Clock, serving
from tests.api.sockets import until

GIVE_UP = 30


def wait_for(client: Client, path: str, event_type: str) -> None:
    """Return once the timeline of the task shows an event of this type."""
    give_up = time.monotonic() + GIVE_UP
    while time.monotonic() < give_up:
        events = client.ok("GET", f"{path}/timeline")["timeline"]
        if any(event["event_type"] == event_type for event in events):
            return
        time.sleep(0.02)
    raise AssertionError(event_type)


def test_a_run_that_nobody_claims_is_told_and_then_needs_attention(tmp_path: Path) -> None:
    clock = Clock()
    with serving(
        tmp_path, clock=clock, sweep_seconds=0.02, starved_after_cycles=2, attention_after_cycles=3
    ) as server:
        client = server.client
        task_id = client.create()["id"]
        run_id = client.enqueue(task_id)["id"]
        clock.advance(300)
        path = f"/api/tasks/{task_id}"
        wait_for(client, path, "task.run_needs_attention")
        types = [item["event_type"] for item in client.ok("GET", f"{path}/timeline")["timeline"]]
        run = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]
        attention = client.ok("GET", "/api/observe/tasks/inbox")["inbox"]["needs_attention"]
        backlog = client.ok("GET", "/api/scheduler/backlog")["backlog"]

    assert types[2:] == ["task.run_starved", "task.run_needs_attention"]
    assert run["status"] == "needs_attention"
    assert "without a claim after 3 escalation cycles" in run["error"]
    assert [item["task"]["id"] for item in attention["items"]] == [task_id]
    assert (backlog["runs"], backlog["needs_attention_total"]) == ([], 1)
    assert [entry["run"]["id"] for entry in backlog["needs_attention"]] == [run_id]


def test_a_run_that_waits_too_long_is_shown_again_to_claims_that_wait(tmp_path: Path) -> None:
    clock = Clock()
    with serving(tmp_path, clock=clock, sweep_seconds=0.05, claim_wait_seconds=GIVE_UP) as server:
        client = server.client
        task_id = client.create()["id"]
        profile = {"worker": {"required_capabilities": ["go"]}}
        client.ok("PUT", f"/api/tasks/{task_id}/execution-profile", profile)
        run_id = client.enqueue(task_id)["id"]
        session = {"agent_name": "coder"}
        client.ok("PUT", "/api/sessions/s1", session)
        found: list[str] = []

        def claim() -> None:
            answer = client.agent("s1").post("/api/agent/tasks/claim-next", {"wait": True})
            found.append(answer.json()["claim"]["run"]["id"])

        waiter = Thread(target=claim)
        waiter.start()
        until(lambda: len(server.services.claims) == 1)
        client.ok("PUT", "/api/sessions/s1", {**session, "capabilities": ["go"]})
        clock.advance(300)
        waiter.join(GIVE_UP)

    assert found == [run_id]
