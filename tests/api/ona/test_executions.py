"""Executions of Ona tasks over HTTP: workers do the steps through the agent API."""

from typing import Any

from tests.api.live import Client, Clock, time_of
from tests.api.ona.support import (
    call,
    claim,
    create,
    execution,
    new_environment,
    phases,
    refused,
    report,
    start,
)

NOBODY = "0190c2b5-5d6e-7e1a-8c6b-999999999999"


def listed(client: Client, **filters: Any) -> list[str]:
    page = call(client, "ListTaskExecutions", {"filter": filters})
    return [each["id"] for each in page["taskExecutions"]]


def test_workers_do_the_steps_in_order_and_the_execution_tells_it(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "first", command="echo 1")
    second = create(client, environment, "second", command="echo 2")
    last = create(client, environment, "last", first, second, command="echo 3")

    begun = start(client, last)
    assert phases(begun) == ["PENDING", "PENDING", "PENDING"]
    groups = begun["spec"]["plan"]
    assert [[each["label"] for each in group["steps"]] for group in groups] == [
        ["FIRST", "SECOND"],
        ["LAST"],
    ]
    before = [each["id"] for each in groups[0]["steps"]]
    assert groups[1]["steps"][0]["dependsOn"] == before
    assert groups[1]["steps"][0]["task"] == {"id": last, "spec": {"command": "echo 3"}}
    assert begun["metadata"]["startedBy"] == "manual"
    assert "startedAt" not in begun["metadata"]

    versions = [int(begun["status"]["statusVersion"])]
    for number in range(2):
        run = claim(client, environment, f"s{number}-{environment}")
        assert run is not None
        report(client, run, "complete", result={"n": number, "in": {"a": True}})
        versions.append(int(execution(client, begun["id"])["status"]["statusVersion"]))
    run = claim(client, environment, f"s2-{environment}")
    assert run is not None
    found = execution(client, begun["id"])
    assert phases(found) == ["RUNNING", "SUCCEEDED", "SUCCEEDED", "RUNNING"]
    assert found["status"]["steps"][0]["output"] == {"n": "0", "in.a": "true"}
    assert versions == sorted(set(versions))

    report(client, run, "complete", result={})
    found = execution(client, begun["id"])
    assert phases(found) == ["SUCCEEDED"] * 4
    started, completed = (found["metadata"][name] for name in ("startedAt", "completedAt"))
    assert time_of(started) < time_of(completed)


def test_steps_are_tasks_like_any_other(client: Client) -> None:
    environment = new_environment()
    begun = start(client, create(client, environment, "a", command="make"))
    tasks = client.ok("GET", f"/api/tasks?workspace={environment}")["tasks"]
    step = next(each for each in tasks if each.get("parent_task_id"))
    root = next(each for each in tasks if not each.get("parent_task_id"))
    assert (root["owner"], root["origin"]) == (
        {"kind": "extension", "ref": "ona"},
        {"kind": "http", "ref": "ona.StartTask"},
    )

    backlog = client.ok("GET", f"/api/scheduler/backlog?workspace={environment}")["backlog"]
    assert [each["run"]["task_id"] for each in backlog["runs"]] == [step["id"]]
    tree = client.ok("GET", f"/api/tasks/{root['id']}/tree")["tree"]
    assert [each["task"]["id"] for each in tree["descendants"]] == [step["id"]]
    run = claim(client, environment, f"s-{environment}")
    assert run is not None
    detail = client.ok("GET", f"/api/tasks/{step['id']}")["task"]
    assert detail["task"]["metadata"]["command"] == "make"
    report(client, run, "complete", result={})
    events = client.ok("GET", f"/api/tasks/{root['id']}/timeline")["timeline"]
    kinds = [each["event_type"] for each in events]
    assert [kind for kind in kinds if "run_" in kind] == [
        "task.run_enqueued",
        "task.run_claimed",
        "task.run_started",
        "task.run_completed",
    ]
    assert phases(execution(client, begun["id"]))[0] == "SUCCEEDED"


def test_a_failure_is_told_and_later_steps_never_start(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "first")
    begun = start(client, create(client, environment, "last", first))
    run = claim(client, environment, f"s-{environment}")
    assert run is not None
    report(client, run, "fail", error="no disk")

    found = execution(client, begun["id"])
    assert phases(found) == ["FAILED", "FAILED"]
    assert found["status"]["failureMessage"] == 'step "FIRST" failed: no disk'
    assert found["status"]["steps"][0]["failureMessage"] == "no disk"
    assert claim(client, environment, f"t-{environment}") is None


def test_a_stop_ends_everything_at_once_and_is_no_error_afterwards(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "first")
    begun = start(client, create(client, environment, "last", first))
    run = claim(client, environment, f"s-{environment}")
    assert run is not None
    for _ in range(2):
        assert call(client, "StopTaskExecution", {"id": begun["id"]}) == {}
        found = execution(client, begun["id"])
        assert phases(found) == ["STOPPED", "STOPPED"]
        assert found["spec"]["desiredPhase"] == "TASK_EXECUTION_PHASE_STOPPED"
    lost = client.agent(run["session_id"]).post(f"/api/agent/tasks/{run['id']}/heartbeat", {})
    assert lost.status_code == 409
    refused(client, "StopTaskExecution", {"id": NOBODY}, "not_found", 404)
    refused(client, "GetTaskExecution", {"id": NOBODY}, "not_found", 404)


def test_executions_are_independent_and_outlive_their_task(client: Client) -> None:
    environment = new_environment()
    task_id = create(client, environment, "a")
    begun = [start(client, task_id)["id"] for _ in range(3)]
    run = claim(client, environment, f"s-{environment}")
    assert run is not None
    report(client, run, "complete", result={})

    call(client, "DeleteTask", {"id": task_id})
    assert [phases(execution(client, each))[0] for each in begun] == [
        "SUCCEEDED",
        "STOPPED",
        "STOPPED",
    ]
    assert listed(client, taskIds=[task_id]) == begun


def test_executions_are_found_by_all_that_they_are(client: Client) -> None:
    here, there = new_environment(), new_environment()
    tasks = [create(client, each, name) for each, name in ((here, "a"), (there, "b"))]
    begun = [start(client, each)["id"] for each in (*tasks, *tasks)]
    call(client, "StopTaskExecution", {"id": begun[0]})

    assert listed(client, environmentIds=[here, there]) == begun
    assert listed(client, taskIds=tasks[:1]) == begun[::2]
    assert listed(client, environmentIds=[there], taskReferences=["b"]) == begun[1::2]
    assert (
        listed(client, environmentIds=[here], phases=["TASK_EXECUTION_PHASE_STOPPED"]) == begun[:1]
    )
    assert listed(client, environmentIds=[here], phases=[1, 5]) == begun[::2]
    assert listed(client, environmentIds=[here], phases=[0]) == []
    body = {"filter": {"taskIds": tasks}, "pagination": {"pageSize": 3}}
    page = call(client, "ListTaskExecutions", body)
    body["pagination"] = {"token": page["pagination"]["nextToken"]}
    rest = call(client, "ListTaskExecutions", body)["taskExecutions"]
    assert [each["id"] for each in page["taskExecutions"] + rest] == begun


def test_a_run_whose_lease_runs_out_too_often_still_runs_but_says_why(
    client: Client, clock: Clock
) -> None:
    environment = new_environment()
    begun = start(client, create(client, environment, "a"))
    for number in range(3):
        run = claim(client, environment, f"s{number}-{environment}", lease_seconds=20)
        assert run is not None
        clock.advance(21)
        while phases(execution(client, begun["id"]))[1] == "RUNNING" and number < 2:
            pass
    while "failureMessage" not in execution(client, begun["id"])["status"]["steps"][0]:
        pass
    found = execution(client, begun["id"])
    assert phases(found) == ["RUNNING", "RUNNING"]
    assert "lease expired 3 times" in found["status"]["steps"][0]["failureMessage"]


def test_reads_go_back_in_time(client: Client) -> None:
    environment = new_environment()
    task_id = create(client, environment, "a", command="old")
    begun = start(client, task_id)
    then = {"as_of": begun["status"]["statusVersion"]}
    call(client, "StopTaskExecution", {"id": begun["id"]})
    call(client, "UpdateTask", {"id": task_id, "spec": {"command": "new"}})

    old = call(client, "GetTaskExecution", {"id": begun["id"]}, params=then)["taskExecution"]
    for each in (old, begun):
        # The address is good for a day from now on.
        assert each["status"].pop("logUrl").startswith(f"{client.url}/api/ona/executions/")
    assert old == begun
    spec = call(client, "GetTask", {"id": task_id}, params=then)["task"]["spec"]
    assert spec == {"command": "old"}
    body = {"filter": {"environmentIds": [environment]}}
    for method, member in (("ListTasks", "tasks"), ("ListTaskExecutions", "taskExecutions")):
        page = call(client, method, body, params=then)
        assert len(page[member]) == 1
        assert call(client, method, body, params={"as_of": 0})[member] == []
