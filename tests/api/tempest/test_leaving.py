"""A client that leaves before it is answered takes nothing with it."""

import json
from contextlib import AbstractContextManager
from pathlib import Path

from tests.api.live import NEVER, LiveServer, serving
from tests.api.sockets import hanging_up, raw, until
from tests.api.tempest.asking import ask, operation
from tests.api.tempest.client import BUCKET, Store, TempestCli
from tests.support.obstacles import all_have_left, commits_held_back, commits_kept_open


def leaving(server: LiveServer, cli: TempestCli) -> AbstractContextManager[None]:
    """Ask for the next operation, and leave at the end of the block."""
    request = raw("/api/v1/apps.operations.next", json.dumps(cli.app).encode())
    return hanging_up(server.url, request)


def events_of(server: LiveServer, task_id: str) -> list[str]:
    items = server.client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"]
    return [item["event_type"].removeprefix("task.") for item in items]


def test_nothing_is_decided_for_who_has_left(tmp_path: Path) -> None:
    with serving(tmp_path, sweep_seconds=NEVER) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        asked = ask(server.client, cli)
        with commits_held_back(server.services):
            with leaving(server, cli):
                until(lambda: server.services.committer.waiting == 1)
            until(lambda: all_have_left(server.services))
        assert cli.serve(Store()) == [asked["run_id"]]
        assert events_of(server, asked["task_id"])[-2:] == ["run_claimed", "run_completed"]
        assert events_of(server, asked["task_id"]).count("run_claimed") == 1
        cli.close()


def test_what_was_taken_for_who_has_left_is_given_back(tmp_path: Path) -> None:
    with serving(tmp_path, sweep_seconds=NEVER) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        asked = ask(server.client, cli)
        # The client leaves while it is taken; giving it back is a second commit.
        with commits_kept_open(server.services) as begun:
            with leaving(server, cli):
                until(begun)
                connected = server.connections
            until(lambda: server.connections < connected)
        until(lambda: events_of(server, asked["task_id"])[-1] == "run_released")
        events = events_of(server, asked["task_id"])
        assert events[-2:] == ["run_claimed", "run_released"]
        assert operation(server.client, asked["task_id"])["status"] == "queued"
        cli.close()
