"""The scheduler over HTTP: pause, resume, drain and backlog."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.live import Client, error_of
from tests.api.sockets import until


@pytest.fixture(autouse=True)
def _resumed(client: Client) -> Iterator[None]:
    yield
    client.ok("POST", "/api/scheduler/resume")


def claimed_run(client: Client) -> str:
    """Return the path of a run that is claimed."""
    path = f"/api/task-runs/{client.enqueue(client.create()['id'])['id']}"
    client.ok("POST", f"{path}/claim")
    return path


def finish_all(client: Client) -> None:
    """Cancel every claimed run."""
    for task in client.ok("GET", "/api/tasks?include_drafts=true")["tasks"]:
        if task.get("current_run_id"):
            client.ok("POST", f"/api/task-runs/{task['current_run_id']}/cancel")


def test_a_pause_is_told_and_stops_claiming(client: Client) -> None:
    client.enqueue(client.create()["id"])
    paused = client.ok("POST", "/api/scheduler/pause", {"reason": "r"}, 200)["scheduler"]

    assert (paused["paused"], paused["paused_reason"]) == (True, "r")
    assert paused["paused_by"] == "human:local-user"
    assert client.ok("GET", "/api/scheduler")["scheduler"]["paused_at"] == paused["paused_at"]
    assert client.agent("held").post("/api/agent/tasks/claim-next").status_code == 204
    assert not client.ok("POST", "/api/scheduler/resume", None, 200)["scheduler"]["paused"]


def test_the_backlog_is_limited_and_hides_what_is_paused(client: Client) -> None:
    shown, hidden = client.create(), client.create()
    for task in (shown, hidden):
        client.enqueue(task["id"])
    client.ok("POST", f"/api/tasks/{hidden['id']}/pause", {"reason": "r"})
    open_ones = client.ok("GET", "/api/scheduler/backlog?limit=500")["backlog"]
    everything = client.ok("GET", "/api/scheduler/backlog?limit=500&include_paused=t")["backlog"]

    ids = {entry["task"]["id"] for entry in open_ones["runs"]}
    assert shown["id"] in ids
    assert hidden["id"] not in ids
    assert everything["total"] > open_ones["total"]
    assert len(client.ok("GET", "/api/scheduler/backlog?limit=1")["backlog"]["runs"]) == 1
    assert client.ok("GET", "/api/scheduler/backlog?limit=-5")["backlog"]["runs"]
    assert client.ok("GET", "/api/scheduler/backlog?workspace=none")["backlog"]["total"] == 0
    everywhere, globally, inside = (
        client.ok("GET", f"/api/scheduler/backlog?scope={scope}")["backlog"]["total"]
        for scope in ("", "global", "workspace")
    )
    assert everywhere == globally + inside
    for bad in ("limit=x", "include_paused=maybe", "scope=here", "scope=global&workspace=w"):
        error_of(client.get(f"/api/scheduler/backlog?{bad}"), 422)


def completed_drains(client: Client) -> int:
    """Return how many drains are on record as completed."""
    return len(client.ok("GET", "/api/timeline?type=scheduler.drain_completed")["timeline"])


def test_a_drain_waits_for_the_claims_and_leaves_the_scheduler_paused(client: Client) -> None:
    finish_all(client)
    run = claimed_run(client)
    before = completed_drains(client)
    with ThreadPoolExecutor(1) as pool:
        body = {"timeout_seconds": 60}
        drain = pool.submit(client.ok, "POST", "/api/scheduler/drain", body, 200)
        until(lambda: client.ok("GET", "/api/scheduler")["scheduler"]["paused"])
        assert completed_drains(client) == before
        assert not drain.done()
        client.ok("POST", f"{run}/cancel")
        drained = drain.result()

    assert completed_drains(client) == before + 1
    assert (drained["completed"], drained["remaining_claims"]) == (True, 0)
    assert "timed_out" not in drained
    assert drained["scheduler"]["paused_reason"] == "scheduler drain"
    types = "scheduler.drain_started,scheduler.drain_completed"
    events = client.ok("GET", f"/api/timeline?type={types}")["timeline"][-2:]
    assert [event["event_type"] for event in events] == types.split(",")


def test_a_drain_that_takes_too_long_says_so(client: Client) -> None:
    finish_all(client)
    run = claimed_run(client)
    drained = client.ok("POST", "/api/scheduler/drain", {"timeout_seconds": 0}, 200)
    client.ok("POST", f"{run}/cancel")

    assert (drained["completed"], drained["timed_out"], drained["remaining_claims"]) == (
        False,
        True,
        1,
    )


@pytest.mark.parametrize("seconds", [-1, 86_401, 2**70, 1.5, "60"])
def test_an_unusable_timeout_is_refused(client: Client, seconds: object) -> None:
    error_of(client.post("/api/scheduler/drain", {"timeout_seconds": seconds}), 422)
