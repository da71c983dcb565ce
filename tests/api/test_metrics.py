"""The numbers for those who watch over servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.exposition import exposition
from api.numbers import BOUNDS, Numbers
from api.siblings import Siblings
from api.tokens import create_token
from projections.runs import RunsProjector
from replay.metrics import CommitMetrics
from tests.api.events import following
from tests.api.live import NEVER, Client, LiveServer, error_of, serving
from tests.api.test_poison import FrailRuns, serving_frail

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("ledger"), sweep_seconds=NEVER) as server:
        yield server


def parsed(text: str) -> Samples:
    """Return the value of each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples["taskledger_" + name, frozenset(labels.items())]


def metrics(client: Client) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parsed(answer.text)


def test_every_answer_is_counted_with_its_time(client: Client) -> None:
    labels: dict[str, Any] = {"process": "0", "operation": "createTask"}
    client.create()
    before = metrics(client)
    client.create()
    error_of(client.post("/api/tasks", {"scope": "global"}), 422)
    client.http.get("/nowhere")
    after = metrics(client)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - before.get(
            ("taskledger_" + name, frozenset(labels.items())), 0
        )

    assert more("http_answers_total", status="201", **labels) == 1
    assert more("http_answers_total", status="422", **labels) == 1
    assert more("http_answers_total", process="0", operation="unknown", status="404") == 1
    assert more("http_answer_seconds_count", **labels) == 2
    assert more("http_answer_seconds_bucket", le="+Inf", **labels) == 2
    assert 0 < more("http_answer_seconds_sum", **labels) < 2 * BOUNDS[-1]


def test_what_was_committed_is_counted(client: Client) -> None:
    before = metrics(client)
    task = client.create()
    client.enqueue(task["id"])
    error_of(client.post(f"/api/tasks/{task['id']}/runs", {}), 409)
    after = metrics(client)

    for name, more in (("events", 2), ("commands", 3), ("refusals", 1)):
        counted = f"{name}_total"
        told = value(after, counted, process="0") - value(before, counted, process="0")
        assert told == more, name
    assert value(after, "head") - value(before, "head") == 2
    assert value(after, "commit_seconds", process="0") > 0
    assert value(after, "resident_bytes", process="0") > 1_000_000
    assert value(after, "cpu_seconds_total", process="0") > 0


def test_the_ledger_stands_as_on_the_dashboard(client: Client) -> None:
    client.enqueue(client.create()["id"])
    totals = client.ok("GET", "/api/observe/tasks/dashboard")["dashboard"]["totals"]
    told = metrics(client)

    for status in ("ready", "completed", "draft"):
        assert value(told, "tasks", status=status) == totals[f"{status}_tasks"]
    for status in ("queued", "claimed", "needs_attention"):
        assert value(told, "runs", status=status) == totals[f"{status}_runs"]
    assert value(told, "oldest_queued_seconds") > 0
    assert value(told, "scheduler_paused") == 0
    assert value(told, "store_up") == 1
    client.ok("POST", "/api/scheduler/pause", {})
    assert value(metrics(client), "scheduler_paused") == 1
    client.ok("POST", "/api/scheduler/resume", {})


def test_open_streams_are_counted(client: Client) -> None:
    task = client.create()
    with following(client, f"/api/tasks/{task['id']}/stream") as stream:
        stream.take(1)
        assert value(metrics(client), "open_streams", process="0") == 1


def test_a_read_model_that_stands_still_is_told(tmp_path: Path) -> None:
    with serving_frail(tmp_path, FrailRuns()) as client:
        client.create(title="poison")
        told = metrics(client)

    name = RunsProjector.name
    assert value(told, "read_model_held_streams", read_model=name) == 1
    assert value(told, "read_model_live", read_model=name) == 1
    assert value(told, "read_model_behind", read_model=name) == 0
    assert value(told, "read_model_held_streams", read_model="tasks") == 0


def test_a_store_that_cannot_be_read_is_a_number_too() -> None:
    own = Numbers(process=os.getpid(), commit=CommitMetrics())
    told = parsed(exposition({"0": own}, None).decode())

    assert value(told, "store_up") == 0
    assert value(told, "events_total", process="0") == 0


def test_only_an_admin_is_told(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        writer = create_token(server.services, name="w", scopes=("task:read", "task:write"))
        admin = create_token(server.services, name="a", scopes=("admin",))

        error_of(server.client.get("/metrics"), 401)
        error_of(server.client.like(Authorization=f"Bearer {writer.text}").get("/metrics"), 403)
        assert server.client.like(Authorization=f"Bearer {admin.text}").get("/metrics").is_success


def test_processes_that_serve_together_tell_of_each_other_while_they_run(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pids = {"0": os.getpid(), "1": os.getppid(), "2": ended.pid}
    siblings = {
        place: Siblings(
            Numbers(process=pid, commit=CommitMetrics(events=pid)), f"{tmp_path}/{place}.json"
        )
        for place, pid in pids.items()
    }
    for each in siblings.values():
        each.tell()

    found = siblings["0"].all()
    assert {place: each.commit.events for place, each in found.items()} == {
        "0": os.getpid(),
        "1": os.getppid(),
    }
    told = parsed(exposition(found, None).decode())
    assert value(told, "events_total", process="1") == os.getppid()
