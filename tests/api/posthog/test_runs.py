"""Runs of PostHog: any number of them, in any status, each a task of the ledger."""

from typing import Any

import pytest

from tests.api.live import Client, JsonObject
from tests.api.posthog.project import Project, unsigned
from tests.api.posthog.test_tasks import TIME, core_tasks

MEMBERS = {
    *("id", "task", "stage", "branch", "status", "environment", "log_url", "error_message"),
    *("output", "state", "artifacts", "created_at", "updated_at", "completed_at"),
}


def test_a_run_has_all_its_members(project: Project) -> None:
    task = project.task()
    run = project.run(task)

    assert run.keys() == MEMBERS
    assert (run["task"], run["status"], run["environment"]) == (task["id"], "not_started", "cloud")
    empty = ("stage", "branch", "error_message", "output", "completed_at")
    assert [run[name] for name in empty] == [None] * 5
    assert (run["state"], run["artifacts"]) == ({}, [])
    assert TIME.fullmatch(run["created_at"])
    assert run["log_url"].startswith(f"{project.client.url}/api/projects/{project.ref}/tasks/")
    assert project.ok("GET", project.of(run))["id"] == run["id"]


def test_what_is_sent_is_kept(project: Project) -> None:
    sent = {
        "stage": "build",
        "branch": "main",
        "environment": "local",
        "error_message": "none yet",
        "output": [1],
        "state": {"a": {"b": 1.50}},
    }
    run = project.run(project.task(), **sent)

    assert {name: run[name] for name in sent} == sent


def test_runs_are_independent_and_listed_newest_first(project: Project) -> None:
    task, other = project.task(), project.task()
    runs = [project.run(task, status="in_progress") for _ in range(3)]
    project.run(other)
    listed = project.ok("GET", f"/{task['id']}/runs?limit=2")

    assert listed["count"] == 3
    assert len(listed["results"]) == 2
    assert listed["next"].endswith("?limit=2&offset=2")
    latest = project.ok("GET", f"/{task['id']}")["latest_run"]
    assert unsigned(latest) == unsigned(listed["results"][0])
    assert {run["status"] for run in runs} == {"in_progress"}
    wrong = f"/{other['id']}/runs/{runs[0]['id']}"
    for method, body in (("GET", None), ("PATCH", {"stage": "x"})):
        assert project.refused(404, method, wrong, body)[1] == "not_found"


STATUSES = ("not_started", "queued", "in_progress", "completed", "failed", "cancelled")
CORE = {
    "not_started": ("draft", None),
    "queued": ("ready", "queued"),
    "in_progress": ("in_progress", "running"),
    "completed": ("completed", "completed"),
    "failed": ("failed", "failed"),
    "cancelled": ("canceled", "canceled"),
}


@pytest.mark.parametrize("before", STATUSES)
@pytest.mark.parametrize("after", STATUSES)
def test_a_run_may_jump_from_any_open_status_to_any(
    project: Project, before: str, after: str
) -> None:
    run = project.run(project.task(), status=before)
    response = project.send("PATCH", project.of(run), {"status": after, "stage": "x"})
    ended = before in {"completed", "failed", "cancelled"}

    assert run["status"] == before
    assert (run["completed_at"] is not None) == ended
    if before != after and (ended or after == "not_started"):
        assert response.status_code == 400
        error = response.json()
        assert (error["code"], error["attr"]) == ("invalid_input", "status")
        assert project.ok("GET", project.of(run))["stage"] is None
        return
    shown = response.json()
    assert (response.status_code, shown["status"], shown["stage"]) == (200, after, "x")
    (core,) = core_tasks(project)
    status, run_status = CORE[after]
    assert core["status"] == status
    if before != "not_started" or after != "cancelled":
        runs = project.client.ok("GET", f"/api/tasks/{core['id']}/runs")["runs"]
        assert [each["status"] for each in runs] == ([run_status] if run_status else [])


def test_a_failure_tells_why(project: Project) -> None:
    task = project.task()
    failed = project.run(task, status="failed", error_message="no disk")
    plain = project.patch(project.run(task), status="failed")
    later = project.patch(project.run(task), status="failed", error_message="oom")

    assert [run["error_message"] for run in (failed, plain, later)] == ["no disk", "failed", "oom"]
    assert project.patch(failed, error_message=None)["error_message"] == "no disk"


def test_output_and_state_are_merged(project: Project) -> None:
    run = project.run(project.task(), output={"a": 1, "b": {"c": 1}}, state={"x": 1, "y": 2})

    run = project.patch(run, output={"b": {"d": 2}}, state={"z": 3}, state_remove_keys=["x", "q"])
    assert run["output"] == {"a": 1, "b": {"d": 2}}
    assert run["state"] == {"y": 2, "z": 3}
    run = project.patch(run, output="text", state_remove_keys=["y"])
    assert (run["output"], run["state"]) == ("text", {"z": 3})
    run = project.patch(run, output={"a": 1})
    assert run["output"] == {"a": 1}
    assert project.patch(run, output=None)["output"] is None
    assert project.patch(run, stage=None, branch="b")["branch"] == "b"


def test_starting_queues_what_has_not_started(project: Project) -> None:
    task = project.task()
    run = project.run(task)
    for _ in range(2):
        shown = project.ok("POST", f"{project.of(run)}/start/")
        assert shown["latest_run"]["status"] == "queued"
    project.patch(run, status="in_progress")
    assert project.ok("POST", f"{project.of(run)}/start")["latest_run"]["status"] == "in_progress"
    project.patch(run, status="completed")
    assert project.refused(400, "POST", f"{project.of(run)}/start")[2] == "status"


def test_a_worker_may_do_a_queued_run(project: Project, client: Client) -> None:
    run = project.ok("POST", f"/{project.task()['id']}/run")["latest_run"]
    client.ok("PUT", "/api/sessions/ph1", {"agent_name": "coder", "workspace": project.ref})
    agent = client.agent("ph1")
    claim = agent.ok("POST", "/api/agent/tasks/claim-next", {}, 200)["claim"]

    assert project.ok("GET", project.of(run))["status"] == "queued"
    core_run = claim["run"]["id"] if "run" in claim else claim["run_id"]
    client.ok("POST", f"/api/task-runs/{core_run}/start", {})
    assert project.ok("GET", project.of(run))["status"] == "in_progress"
    agent.ok("POST", f"/api/agent/tasks/{core_run}/complete", {"result": {"pr": 7}})
    done = project.ok("GET", project.of(run))
    assert (done["status"], done["output"]) == ("completed", {"pr": 7})
    assert done["completed_at"] is not None
    assert project.patch(done, output={"x": 1})["output"] == {"x": 1}


BAD: list[tuple[str, JsonObject, str, str]] = [
    ("POST", {"status": "canceled"}, "invalid_choice", "status"),
    ("POST", {"environment": None}, "null", "environment"),
    ("POST", {"stage": "x" * 101}, "max_length", "stage"),
    ("POST", {"state": None}, "null", "state"),
    ("POST", {"state": []}, "invalid_input", "state"),
    ("PATCH", {"status": None}, "null", "status"),
    ("PATCH", {"branch": " "}, "blank", "branch"),
    ("PATCH", {"branch": "x" * 256}, "max_length", "branch"),
    ("PATCH", {"state_remove_keys": "x"}, "not_a_list", "state_remove_keys"),
    ("PATCH", {"state_remove_keys": []}, "invalid_input", "state_remove_keys"),
    ("PATCH", {"state_remove_keys": ["a", 1]}, "invalid_input", "state_remove_keys__1"),
]


@pytest.mark.parametrize(("method", "body", "code", "attr"), BAD)
def test_bad_members_of_runs_are_named(
    project: Project, method: str, body: Any, code: str, attr: str
) -> None:
    task = project.task()
    run = project.run(task)
    path = project.of(run) if method == "PATCH" else f"/{task['id']}/runs"

    assert project.refused(400, method, path, body) == ("validation_error", code, attr)


def test_a_run_whose_task_was_deleted_over_the_task_api_is_gone(
    project: Project, client: Client
) -> None:
    run = project.run(project.task(), status="completed")
    (core,) = core_tasks(project)
    client.ok("DELETE", f"/api/tasks/{core['id']}", status=204)

    assert project.refused(404, "GET", project.of(run))[1] == "not_found"
    assert project.refused(404, "PATCH", project.of(run), {"stage": "x"})[1] == "not_found"
    assert project.ok("GET", f"/{run['task']}")["latest_run"] is None
