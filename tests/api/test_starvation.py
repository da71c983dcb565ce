"""The starvation ladder of a running server."""

import time
from pathlib import Path

from tests.api.live import Client, Clock, serving

GIVE_UP = 10


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
