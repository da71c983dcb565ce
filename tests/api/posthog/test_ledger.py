"""The ledger looks after PostHog's runs as after all others: shown, rewound, made again, moved."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from api.services import build
from api.settings import Settings
from domain.posthog.state import log_stream
from projections.catalog import PROJECTORS
from projections.posthog.lookup import PosthogLookupProjector
from projections.posthog.projector import PosthogProjector
from replay.blobs.carrying import Carrier
from replay.copying import copy
from replay.ledger import Ledger
from replay.places import environment_of
from tests.api.links import fetched
from tests.api.live import JsonObject, LiveServer, serving
from tests.api.posthog.project import Project
from tests.api.posthog.test_artifacts import given, store
from tests.api.posthog.test_logs import append, entry, lines_of
from tests.api.posthog.test_tasks import core_tasks
from tests.support.obstacles import lose_blobs
from tests.support.places import key_file_in, place_in
from tests.support.verify import prove

SECONDS = 60
TABLES = (*PosthogLookupProjector.tables, *PosthogProjector.tables)


@pytest.fixture(name="worked", scope="module")
def _worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with tasks and runs of many kinds."""
    with serving(tmp_path_factory.mktemp("posthog-ledger")) as server:
        server.client.ok("PUT", "/api/workspaces/1", {"name": "My project"})
        project = Project(server.client, "1")
        task, gone = project.task(repository="a/b"), project.task()
        done = project.run(task, stage="build", state={"a": 1})
        append(project, done, entry(1), entry(2))
        append(project, done, entry(3, text="x" * 70_000))
        store(project, done, given(), given(name="b"))
        project.patch(done, status="completed", output={"pr": 7}, state_remove_keys=["a"])
        for status in ("not_started", "queued", "in_progress", "failed", "cancelled"):
            append(project, project.run(task, status=status), entry(4))
        project.run(gone, status="queued")
        project.ok("DELETE", f"/{gone['id']}", status=204)
        deleted = project.run(task, status="completed")
        store(project, deleted, given())
        core = core_of(project, deleted)
        server.client.ok("DELETE", f"/api/tasks/{core}", status=204)
        yield server


def core_of(project: Project, run: JsonObject) -> str:
    """Return the task that stands for a run, as the timeline of the ledger tells it."""
    query = "/api/timeline?type=posthog.run_created&limit=100"
    for item in project.client.ok("GET", query)["timeline"]:
        if item["payload"]["posthog_run_id"] == run["id"]:
            return str(item["task"]["id"])
    raise AssertionError(run)


def rows_of(server: LiveServer) -> list[list[Any]]:
    reader = server.services.ledger.reader
    return [sorted(reader.select(f"SELECT * FROM {table.name}")) for table in TABLES]


def test_runs_show_like_any_other_work(worked: LiveServer) -> None:
    project, client = Project(worked.client, "1"), worked.client
    statuses = sorted(task["status"] for task in core_tasks(project))
    assert statuses == [
        *("canceled", "canceled", "completed", "draft", "failed", "in_progress", "ready"),
    ]
    dashboard = client.ok("GET", "/api/observe/tasks/dashboard?scope=workspace&workspace=1")
    assert dashboard["dashboard"]["totals"]["tasks_total"] == len(statuses)
    backlog = client.ok("GET", "/api/scheduler/backlog")["backlog"]
    assert backlog["total"] == 1


def test_the_past_of_a_run_is_its_present_at_the_head(worked: LiveServer) -> None:
    project, client = Project(worked.client, "1"), worked.client
    head = client.ok("GET", "/api/timeline?limit=1")["head"]
    for core in core_tasks(project):
        path = f"/api/tasks/{core['id']}"
        assert client.ok("GET", f"{path}?as_of={head}") == client.ok("GET", path)
        events = client.ok("GET", path)["task"]["events"]
        assert any(event["event_type"] == "posthog.run_created" for event in events)
    (task,) = project.ok("GET")["results"]
    for path in ("", f"/{task['id']}", f"/{task['id']}/runs"):
        now, then = project.ok("GET", path), project.ok("GET", f"{path}?as_of={head}")
        assert without_links(then) == without_links(now)


def without_links(value: Any) -> Any:
    """Return an answer without what is signed anew each second."""
    if isinstance(value, list):
        return [without_links(each) for each in value]
    if isinstance(value, dict):
        return {name: without_links(each) for name, each in value.items() if name != "log_url"}
    return value


@pytest.mark.parametrize("name", ["posthog", "posthog_lookup"])
def test_the_rows_are_made_again_as_they_were(worked: LiveServer, name: str) -> None:
    before = rows_of(worked)
    assert [len(rows) for rows in before] == [1, 8, 1, 7, 2]
    worked.client.ok("POST", f"/api/projections/{name}/rebuild", {})
    give_up = monotonic() + SECONDS
    while "work" in (found := status(worked, name)):
        assert monotonic() < give_up, found
        sleep(0.1)
    assert found["state"] == "live"
    assert rows_of(worked) == before


def status(server: LiveServer, name: str) -> JsonObject:
    listed = server.client.ok("GET", "/api/projections")["projections"]
    return next(dict(each) for each in listed if each["name"] == name)


def test_the_store_stands_every_check(worked: LiveServer) -> None:
    prove(worked.settings.store)


def test_a_copy_has_the_logs_and_the_artifacts(worked: LiveServer, tmp_path: Path) -> None:
    known = Project(worked.client, "1")
    (task,) = known.ok("GET")["results"]
    runs = known.ok("GET", f"/{task['id']}/runs")["results"]
    run = next(each for each in runs if each["artifacts"])
    lines = lines_of(known.send("GET", f"{known.of(run)}/logs"))
    settings = Settings(store=place_in(tmp_path), secret_key_file=key_file_in(tmp_path))
    source = Ledger(environment_of(worked.settings.store))
    with closing(source), closing(build(settings)) as target:
        carrier = Carrier(source.access.blobs(), target.blobs)
        copy(source, target.ledger, PROJECTORS, lambda *_: None, carrier)
    with serving(tmp_path) as server:
        moved = Project(server.client, "1")
        shown = moved.ok("GET", moved.of(run))
        assert without_links(shown) == without_links(run)
        assert lines_of(fetched(shown["log_url"])) == lines
        path = {"storage_path": run["artifacts"][0]["storage_path"]}
        response = moved.send("POST", f"{moved.of(run)}/artifacts/download", path)
        assert response.content == b"# Plan"
        # A log goes on where it was, though nothing but its last event is read.
        append(moved, run, entry(5))
        (last,) = server.services.ledger.events.get(log_stream(run["id"]), desc=True, limit=1)
        assert (last.originator_version, last.fact.total_count) == (3, 4)  # type: ignore[attr-defined]
        assert len(lines_of(moved.send("GET", f"{moved.of(run)}/logs"))) == 4
    prove(place_in(tmp_path))


def test_bytes_that_are_lost_are_told_as_such(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.client.ok("PUT", "/api/workspaces/1", {"name": "My project"})
        project = Project(server.client, "1")
        run = project.run(project.task())
        (artifact,) = store(project, run, given())
        append(project, run, entry(1, text="x" * 70_000))
        path = {"storage_path": artifact["storage_path"]}
        link = project.ok("POST", f"{project.of(run)}/artifacts/presign", path)["url"]
        lose_blobs(server.services)

        downloaded = project.send("POST", f"{project.of(run)}/artifacts/download", path)
        log = project.send("GET", f"{project.of(run)}/logs")
        for answer in (downloaded, fetched(link), log, fetched(run["log_url"])):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "server_error"
        # Everything else goes on, and the same bytes mend it.
        assert project.ok("GET", project.of(run))["artifacts"] == [artifact]
        store(project, run, given())
        assert project.send("POST", f"{project.of(run)}/artifacts/download", path).is_success
