"""A client that leaves before it is answered takes nothing with it."""

import time
from pathlib import Path

import httpx2
import pytest

from tests.api.live import LiveServer, serving
from tests.api.tempest.asking import SECONDS, ask, operation
from tests.api.tempest.client import BUCKET, Store, TempestCli
from tests.support.obstacles import commits_held_back, slow_commits


def leave(server: LiveServer, cli: TempestCli, seconds: float) -> None:
    """Ask for the next operation, and wait for so long only."""
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            f"{server.url}/api/v1/apps.operations.next",
            json=cli.app,
            timeout=seconds,
            trust_env=False,
        )


def events_of(server: LiveServer, task_id: str) -> list[str]:
    items = server.client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"]
    return [item["event_type"].removeprefix("task.") for item in items]


def test_nothing_is_decided_for_who_has_left(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        asked = ask(server.client, cli)
        with commits_held_back(server.services):
            leave(server, cli, 0.5)
            time.sleep(0.2)
        assert cli.serve(Store()) == [asked["run_id"]]
        assert events_of(server, asked["task_id"])[-2:] == ["run_claimed", "run_completed"]
        assert events_of(server, asked["task_id"]).count("run_claimed") == 1
        cli.close()


def test_what_was_taken_for_who_has_left_is_given_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        asked = ask(server.client, cli)
        # The client leaves while it is taken; giving it back is a second commit.
        slow_commits(server.services, 1.0)
        leave(server, cli, 0.5)
        give_up = time.monotonic() + SECONDS
        while (events := events_of(server, asked["task_id"]))[-1] != "run_released":
            assert time.monotonic() < give_up, events
            time.sleep(0.1)
        assert events[-2:] == ["run_claimed", "run_released"]
        assert operation(server.client, asked["task_id"])["status"] == "queued"
        cli.close()
