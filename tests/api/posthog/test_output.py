"""Outputs of runs and messages to people."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from api.facades.posthog import schema_check
from tests.api.live import Client
from tests.api.posthog.project import Project
from tests.api.posthog.test_tasks import core_tasks
from tests.support.processes import held_back


def test_an_output_is_replaced(project: Project) -> None:
    run = project.run(project.task(), output={"a": 1})
    path = f"{project.of(run)}/set_output/"

    shown = project.ok("PATCH", path, {"output": {"b": 2}})
    assert (shown["output"], shown["status"]) == ({"b": 2}, "not_started")
    assert project.ok("PATCH", path, {})["output"] == {}


def test_an_output_that_was_asked_for_completes_the_run(project: Project) -> None:
    schema = {"type": "object", "required": ["pr"], "properties": {"pr": {"type": "integer"}}}
    run = project.run(project.task(json_schema=schema), status="in_progress")
    path = f"{project.of(run)}/set_output"

    for output in ({}, {"pr": "7"}):
        response = project.send("PATCH", path, {"output": output})
        assert response.status_code == 400
        assert "json_schema" in response.json()["error"]
    assert project.ok("GET", project.of(run))["output"] is None
    shown = project.ok("PATCH", path, {"output": {"pr": 7}})
    assert (shown["status"], shown["output"]) == ("completed", {"pr": 7})
    assert project.ok("PATCH", path, {"output": {"pr": 8}})["output"] == {"pr": 8}
    failed = project.run({"id": run["task"]}, status="failed")
    response = project.send("PATCH", f"{project.of(failed)}/set_output", {"output": {"pr": 1}})
    assert (response.status_code, response.json().keys()) == (400, {"error"})


@pytest.mark.parametrize("output", [None, [], "x", 1])
def test_an_output_is_an_object(project: Project, output: Any) -> None:
    run = project.run(project.task())
    response = project.send("PATCH", f"{project.of(run)}/set_output", {"output": output})

    assert (response.status_code, response.json()) == (400, {"error": "output must be an object"})


@pytest.mark.parametrize(
    "schema", [5, {"type": 7}, {"$ref": "http://127.0.0.1:1/x"}, {"pattern": "("}]
)
def test_a_schema_that_is_none_is_told_and_nothing_is_fetched(
    project: Project, schema: Any
) -> None:
    run = project.run(project.task(json_schema=schema))
    response = project.send("PATCH", f"{project.of(run)}/set_output", {"output": {}})

    assert response.status_code == 400
    assert response.json()["error"].startswith("the json_schema of the task is no JSON schema: ")
    assert "\n" not in response.json()["error"]


def test_a_pattern_takes_linear_time(project: Project) -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}
    run = project.run(project.task(json_schema=schema))
    response = project.send(
        "PATCH", f"{project.of(run)}/set_output", {"output": {"a": "a" * 5_000 + "b"}}
    )

    assert response.status_code == 400


def test_a_schema_whose_references_double_holds_nobody_up(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = {str(each): {"allOf": [{"$ref": f"#/$defs/{each + 1}"}] * 2} for each in range(40)}
    schema = {"$defs": {**doubled, "40": {"type": "object"}}, "$ref": "#/$defs/0"}
    run = project.run(project.task(json_schema=schema), status="in_progress")
    go = tmp_path / "go"
    monkeypatch.setattr(schema_check, "_COMMAND", held_back(schema_check._COMMAND, go))
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(project.send, "PATCH", f"{project.of(run)}/set_output", {"output": {}})
        assert project.ok("GET", project.of(run))["status"] == "in_progress"
        assert not sent.done()
        go.touch()
        response = sent.result()

    assert response.status_code == 400
    assert response.json() == {"error": "output cannot be checked by json_schema within 2 s"}


def test_a_message_shows_in_the_timeline(project: Project, client: Client) -> None:
    run = project.run(project.task())
    path = f"{project.of(run)}/relay_message/"
    reply = project.ok("POST", path, {"text": "hello", "text_parts": ["hello"]})

    assert reply["status"] == "accepted"
    (core,) = core_tasks(project)
    last = client.ok("GET", f"/api/tasks/{core['id']}/timeline")["timeline"][-1]
    assert (last["event_type"], last["payload"]["text"]) == ("posthog.message_relayed", "hello")
    assert last["payload"]["relay_id"] == reply["relay_id"]
    assert project.refused(400, "POST", path, {"text": " "})[1:] == ("blank", "text")
    assert project.refused(400, "POST", path, {"text": "x" * 10_001})[1:] == ("max_length", "text")
