"""A server is killed again and again while it rebuilds: the rebuild goes on, and ends well."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings, child_environment
from tests.faults.client import Client, until
from tests.faults.serving import Site
from tests.support.verify import verify

KILLS = 5
TRIES = 20
"""A rebuild may be over before the kill; then the next try begins anew."""
TASKS = 1_500
SEED = 6
NAME = "tasks"


def test_a_rebuild_whose_server_is_killed_again_and_again_ends_well(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = Site(tmp_path)
    with site.serving(), Client(site.port) as client:
        for number in range(TASKS):
            client.post("/api/tasks", {"id": f"t{number}", "scope": "global", "title": "t"})
        client.call("POST", f"/api/projections/{NAME}/rebuild", {})
        expected = ended(client)

    kills = 0
    for _ in range(TRIES):
        kills += killed(site, chance)
        if kills == KILLS:
            break
    assert kills == KILLS

    with site.serving(), Client(site.port) as client:
        assert ended(client)["digest"] == expected["digest"]
    verify(site.store)
    assert not site.complaints()


def test_a_rebuild_whose_server_is_killed_at_once_is_gone_on_with(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving() as server, Client(site.port) as client:
        client.post("/api/tasks", {"id": "t", "scope": "global", "title": "t"})
        client.call("POST", f"/api/projections/{NAME}/rebuild", {})
        server.kill()
    with site.serving(), Client(site.port) as client:
        until(lambda: "last" in status(client), "its end is known")
        assert ended(client)["digest"]
        finished = "/api/timeline?type=ops.projection_rebuild_finished"
        assert len(client.get(finished)["timeline"]) == 1
    assert not site.complaints()


def test_work_whose_parent_is_gone_is_not_done(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", {"id": "t", "scope": "global", "title": "t"})
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    told = worked(site, "rebuild", gone.pid)

    assert b'"end":"canceled"' in told
    assert b"done" not in told


def worked(site: Site, work: str, parent: int) -> bytes:
    """Work on the read model as a server has it done, and return what that tells."""
    command = [sys.executable, "-m", "api.rebuilding", work, NAME, str(parent)]
    environment = child_environment(Settings(store=site.place))
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


@pytest.mark.parametrize(
    ("works", "expected"),
    [
        (["rebuild"], ["rebuild_finished"]),
        (["rebuild", "roll_back"], ["rolled_back"]),
        (["damage", "rebuild"], ["rebuild_failed"]),
        (["damage", "rebuild", "repair"], ["rebuild_finished"]),
    ],
)
def test_what_was_done_with_nobody_left_to_tell_is_put_on_record_once(
    tmp_path: Path, works: list[str], expected: list[str]
) -> None:
    site = Site(tmp_path, sweep_seconds=3_600)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", {"id": "t", "scope": "global", "title": "t"})
    for work in works:
        if work == "damage":
            with closing(sqlite3.connect(site.store)) as connection:
                connection.execute("UPDATE tasks SET priority = 'low'")
                connection.commit()
        else:
            worked(site, work, os.getpid())
    for _ in range(2):
        with site.serving(), Client(site.port) as client:
            until(lambda: told_of(client) == expected, "it is on record")
    assert not site.complaints()


def test_a_cancel_whose_server_was_killed_is_put_on_record(tmp_path: Path) -> None:
    site = Site(tmp_path, sweep_seconds=3_600)
    with site.serving() as server, Client(site.port) as client:
        client.post("/api/tasks", {"id": "t", "scope": "global", "title": "t"})
        client.call("POST", f"/api/projections/{NAME}/rebuild", {})
        server.kill()
    until(lambda: b'"end":"done"' in worked(site, "discard", os.getpid()), "it is given up")
    with site.serving(), Client(site.port) as client:
        until(lambda: len(told_of(client)) > 1, "it is on record")
        assert told_of(client) == ["rebuild_started", "rebuild_canceled"]


def told_of(client: Client) -> list[str]:
    """Return what the ledger tells of work on read models."""
    types = [each["event_type"] for each in client.get("/api/timeline")["timeline"]]
    work = "ops.projection_"
    return [each.removeprefix(work) for each in types if each.startswith(work)]


def killed(site: Site, chance: random.Random) -> bool:
    """Kill a server that rebuilds, or goes on with it; return whether that is left unfinished."""
    if unfinished(site.store):
        server = site.spawn()
        time.sleep(chance.uniform(0.2, 1.4))
    else:
        server = site.start()
        with Client(site.port) as client:
            client.call("POST", f"/api/projections/{NAME}/rebuild", {})
            until(lambda: unfinished(site.store) or "work" not in status(client), "it has begun")
    server.kill()
    return unfinished(site.store)


def unfinished(store: Path) -> bool:
    """Whether a rebuild has begun and not ended."""
    with closing(sqlite3.connect(store)) as connection:
        statement = "SELECT doc FROM read_models WHERE name = ?"
        (doc,) = connection.execute(statement, (NAME,)).fetchone()
    return b'"rebuild":' in doc


def status(client: Client) -> Any:
    """Return how the read model stands."""
    known = client.get("/api/projections")["projections"]
    return next(each for each in known if each["name"] == NAME)


def ended(client: Client) -> Any:
    """Wait for the end of a rebuild and return how it was."""
    until(lambda: "work" not in status(client), "the rebuild is over")
    last = status(client)["last"]
    assert last["end"] == "done", last
    return last
