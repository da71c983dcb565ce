"""The dashboard over HTTP: filters, refusals, and settings."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.live import Client, StoppedClock, error_of, serving

DASHBOARD = "/api/observe/tasks/dashboard"


def told(client: Client, query: str = "") -> dict[str, Any]:
    return dict(client.ok("GET", f"{DASHBOARD}?{query}")["dashboard"])


def totals(client: Client, query: str) -> tuple[int, int]:
    found = told(client, query)["totals"]
    return found["tasks_total"], found["runs_total"]


def test_every_filter_narrows_tasks_and_their_runs(client: Client) -> None:
    client.ok("PUT", "/api/workspaces/ws-dash", {"name": "dash", "path": "/srv/dash"})
    inside = client.create(
        scope="workspace",
        workspace="ws-dash",
        network_channel="dash-room",
        owner={"kind": "human", "ref": "dash-owner"},
    )
    client.enqueue(inside["id"], network_channel="dash-room")
    client.create(scope="workspace", workspace="ws-dash")

    for ref in ("ws-dash", "dash", "/srv/dash"):
        assert totals(client, f"scope=workspace&workspace={ref}") == (2, 1)
    bound = "scope=workspace&workspace=ws-dash"
    assert totals(client, f"{bound}&owner_kind=HUMAN&owner_ref=dash-owner") == (1, 1)
    assert totals(client, f"{bound}&owner_kind=pool") == (0, 0)
    assert totals(client, f"{bound}&network_channel=dash-room&unknown=1") == (1, 1)
    assert totals(client, f"{bound}&origin_kind=http") == (2, 1)
    assert totals(client, f"{bound}&origin_kind=cli") == (0, 0)
    everywhere, globally = totals(client, ""), totals(client, "scope=global")
    assert everywhere[0] >= globally[0] + 2


def test_runs_are_filtered_on_their_own_channel_again(client: Client) -> None:
    task = client.create(network_channel="task-room")
    client.enqueue(task["id"], network_channel="run-room")

    assert totals(client, "network_channel=task-room") == (1, 0)
    assert totals(client, "network_channel=run-room") == (0, 0)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("workspace=ws", 422),
        ("scope=global&workspace=ws", 422),
        ("scope=workspace", 422),
        ("scope=workspace&workspace=nowhere", 404),
        ("scope=here", 422),
        ("owner_kind=daemon", 422),
        ("origin_kind=pigeon", 422),
        ("network_channel=Not.One", 422),
    ],
)
def test_a_bad_filter_is_refused(client: Client, query: str, status: int) -> None:
    assert error_of(client.get(f"{DASHBOARD}?{query}"), status)


def test_times_are_those_of_the_request_and_thresholds_those_of_the_settings(
    tmp_path: Path,
) -> None:
    clock = StoppedClock()
    limits: dict[str, Any] = {
        "backlog_warning_seconds": 60,
        "stuck_claimed_seconds": 30,
        "stale_seconds": 20,
    }
    with serving(tmp_path, clock=clock, **limits) as server:
        client = server.client
        assert told(client)["freshness"]["status"] == "empty"
        for number in range(2):
            client.enqueue(client.create(id=f"t-{number}")["id"])
        claim = client.agent().ok("POST", "/api/agent/tasks/claim-next", {"lease_seconds": 600})
        clock.advance(45)
        soon = told(client)
        clock.advance(30)
        later = told(client)

    assert (soon["queue"]["backlog_status"], later["queue"]["backlog_status"]) == ("ok", "warn")
    assert soon["queue"]["backlog_threshold_ms"] == 60_000
    assert soon["health"]["stuck_runs"] == 1
    assert soon["freshness"]["status"] == "stale"
    first = soon["active_runs"]["items"][0]
    assert (first["run_id"], first["stuck"]) == (claim["claim"]["run"]["id"], True)
    assert 45_000 <= first["age_ms"] < 60_000
    assert soon["cards"]["latency"]["claim_latency_ms"]["samples"] == 1


def test_the_counters_stand_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.client.enqueue(server.client.create()["id"])
        before = told(server.client)
    with serving(tmp_path) as server:
        after = told(server.client)

    assert before["totals"] == after["totals"]
    assert after["totals"]["queued_runs"] == 1
