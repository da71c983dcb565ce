"""Read models over HTTP, worked on by processes of their own beside a running server."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from api.services import build
from api.settings import Settings
from domain.values import SCHEDULER_ACTOR, Origin
from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.places import environment_of
from tests.api.events import following
from tests.api.live import Client, LiveServer, error_of, serving
from tests.support.places import place_in
from tests.support.processes import held_back
from tests.support.verify import prove

NAMES = [each.name for each in PROJECTORS]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("projections")) as server:
        work(server.client, 30)
        yield server


def work(client: Client, count: int) -> None:
    for _ in range(count):
        client.enqueue(client.create()["id"])


def status(client: Client, name: str) -> dict[str, Any]:
    listed = client.ok("GET", "/api/projections")["projections"]
    return next(dict(each) for each in listed if each["name"] == name)


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("still waiting")


def finished(client: Client, name: str) -> dict[str, Any]:
    return dict(until(lambda: "work" not in (found := status(client, name)) and found))


def test_every_read_model_is_listed_with_its_position(client: Client) -> None:
    listed = client.ok("GET", "/api/projections")["projections"]

    assert [each["name"] for each in listed] == NAMES
    assert {each["state"] for each in listed} == {"live"}
    assert {each["position"] for each in listed} == {listed[0]["head"]}


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuild_equals_the_live_rows_and_is_put_on_record(
    server: LiveServer, client: Client, name: str
) -> None:
    begun = client.ok("POST", f"/api/projections/{name}/rebuild", status=202)["projection"]
    assert begun["work"] == "rebuild"
    found = finished(client, name)

    assert found["last"]["end"] == "done", found
    assert found["previous"]["version"] == found["version"]
    types = [item["event_type"] for item in ops(client) if item["payload"]["projection"] == name]
    assert types == ["ops.projection_rebuild_started", "ops.projection_rebuild_finished"]
    work(client, 2)
    prove(server.settings.store)


def ops(client: Client) -> list[dict[str, Any]]:
    timeline = client.ok("GET", "/api/timeline")["timeline"]
    return [item for item in timeline if item["event_type"].startswith("ops.projection")]


def test_a_rollback_brings_the_rows_before_back(server: LiveServer, client: Client) -> None:
    client.ok("POST", "/api/projections/tasks/rebuild", status=202)
    finished(client, "tasks")
    work(client, 3)
    client.ok("POST", "/api/projections/tasks/rollback", status=200)
    work(client, 1)

    assert status(client, "tasks")["state"] == "live"
    assert ops(client)[-1]["event_type"] == "ops.projection_rolled_back"
    prove(server.settings.store)


def test_a_dry_run_tells_the_differences(server: LiveServer, client: Client) -> None:
    task_id = client.create(title="as it should be")["id"]
    change(server, "UPDATE tasks SET priority='low' WHERE task_id=?", task_id)
    client.ok("POST", "/api/projections/tasks/rebuild", {"dry_run": True}, 202)
    (found,) = finished(client, "tasks")["last"]["differences"]

    assert (found["table"], found["changed"], found["missing"], found["extra"]) == (
        "tasks",
        1,
        0,
        0,
    )
    assert found["examples"] == [
        {
            "kind": "changed",
            "key": [task_id],
            "stored": {"priority": "low"},
            "rebuilt": {"priority": "medium"},
        }
    ]
    client.ok("POST", "/api/projections/tasks/rebuild", status=202)
    assert "--repair" in finished(client, "tasks")["rebuild_failure"]["error"]
    client.ok("POST", "/api/projections/tasks/rebuild", {"repair": True}, 202)
    assert finished(client, "tasks")["last"]["end"] == "done"
    prove(server.settings.store)


def change(server: LiveServer, statement: str, *values: str) -> None:
    with closing(Ledger(environment_of(server.settings.store))) as beside:
        beside.writer.connection.execute(statement, values)


@contextmanager
def rebuilds_held_back(server: LiveServer, folder: Path) -> Iterator[None]:
    """Let no rebuild begin its work before the end of the block."""
    projections, go = server.services.projections, folder / "go"
    usual, projections.command = projections.command, held_back(projections.command, go)
    try:
        yield
    finally:
        projections.command = usual
        go.touch()


def test_a_second_rebuild_is_refused(server: LiveServer, client: Client, tmp_path: Path) -> None:
    with rebuilds_held_back(server, tmp_path):
        client.ok("POST", "/api/projections/timeline/rebuild", status=202)
        refused = client.post("/api/projections/timeline/rebuild")

    assert "is being worked on already: rebuild" in error_of(refused, 409)
    finished(client, "timeline")


def test_a_rebuild_is_canceled_or_was_done_before(client: Client) -> None:
    # Later and later, so that it also comes when the work is just done.
    waits = (0, 0, 0, *(0.05 * number for number in range(4, 12)))
    ends = [end_of_a_rebuild_canceled_after(client, wait) for wait in waits]

    assert "ops.projection_rebuild_canceled" in ends


def end_of_a_rebuild_canceled_after(client: Client, seconds: float) -> str:
    client.ok("POST", "/api/projections/timeline/rebuild", status=202)
    time.sleep(seconds)
    answer = client.post("/api/projections/timeline/cancel")
    end = str(ops(client)[-1]["event_type"])

    if answer.status_code == 200:
        assert end == "ops.projection_rebuild_canceled"
    else:
        assert '"timeline" is not being rebuilt' in error_of(answer, 409)
        assert end == "ops.projection_rebuild_finished"
    found = status(client, "timeline")
    assert (found["state"], "rebuild_failure" in found) == ("live", False)
    return end


def test_a_rebuild_that_is_canceled_while_its_process_is_made_is_stopped(tmp_path: Path) -> None:
    services = build(Settings(store=place_in(tmp_path)))
    projections = services.projections

    async def canceled() -> None:
        context = services.context(SCHEDULER_ACTOR, Origin("http", "test"))
        usual = projections.command
        projections.command = held_back(usual, tmp_path / "never")
        job = await projections.start("tasks", "rebuild", context)
        await asyncio.sleep(0)
        assert job.process is None
        projections.command = usual
        await asyncio.wait_for(projections.cancel("tasks", context), 60)
        await services.stop()

    with closing(services):
        asyncio.run(canceled())


def test_the_stream_tells_progress_until_the_work_is_over(
    server: LiveServer, client: Client, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        with rebuilds_held_back(server, tmp_path):
            client.ok("POST", "/api/projections/runs/rebuild", status=202)
            stream = stack.enter_context(following(client, "/api/projections/runs/stream"))
            lines = stream.rest()
            first = [next(lines), next(lines)]
        last = [line for line in lines if line][-1]

    assert client.document is not None
    client.document.check(stream.response)
    assert first[0] == "event: projection"
    assert first[1].startswith("data: ")
    assert '"work":"rebuild"' in first[1]
    assert last.startswith("data: ")
    assert '"end":"done"' in last


@pytest.mark.parametrize(
    ("path", "body", "expected", "text"),
    [
        ("none/rebuild", {}, 404, '"none"; there are: lookup'),
        ("none/skip", {"sequence": 1, "reason": "r"}, 404, '"none"'),
        ("none/cancel", {}, 404, '"none"'),
        ("lookup/cancel", {}, 409, '"lookup" is not being rebuilt'),
        ("tasks/skip", {"sequence": 0, "reason": "r"}, 422, "must be from 1 to"),
        ("tasks/skip", {"sequence": 99_999_999, "reason": "r"}, 422, "must be from 1 to"),
        ("tasks/skip", {"sequence": 1, "reason": " "}, 422, "say why"),
        ("tasks/skip", {"sequence": 1, "reason": "r"}, 409, 'event 1 is not in the way of "tasks"'),
    ],
)
def test_what_cannot_be_done_is_refused(
    client: Client, path: str, body: dict[str, Any], expected: int, text: str
) -> None:
    assert text in error_of(client.post(f"/api/projections/{path}", body), expected)


def until_ended(process: asyncio.subprocess.Process) -> None:
    until(lambda: process.returncode is not None)


def test_a_rebuild_killed_ten_times_still_finishes(server: LiveServer, client: Client) -> None:
    projections = server.services.projections
    kills = 0
    client.ok("POST", "/api/projections/tasks/rebuild", status=202)
    while kills < 10:
        job = projections._jobs.get("tasks")
        if job is None:
            # It was over before the kill on a busy machine: ten in a row are wanted, so once more.
            kills = 0
            client.ok("POST", "/api/projections/tasks/rebuild", status=202)
            continue
        process = job.process
        if process is not None and process.returncode is None:
            time.sleep(0.01 * kills)
            # It may have ended meanwhile.
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            until_ended(process)
    found = finished(client, "tasks")

    assert found["last"]["end"] == "done", found
    assert found["last"]["digest"]
    prove(server.settings.store)
