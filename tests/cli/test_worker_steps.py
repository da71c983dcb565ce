"""`taskledger work` does the steps of Ona's executions as they are."""

import json
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from tests.cli.processes import Server, worked

ENVIRONMENT = "0190c2b5-5d6e-7e1a-8c6b-3f3f3f3f3f3f"
_OPENER = build_opener(ProxyHandler({}))


def call(server: Server, method: str, body: Any) -> Any:
    path = f"/api/gitpod.v1.EnvironmentAutomationService/{method}"
    headers = {"Content-Type": "application/json"}
    request = Request(server.url + path, json.dumps(body).encode(), headers)
    with _OPENER.open(request, timeout=20) as answer:
        return json.load(answer)


def defined(server: Server, reference: str, *depends_on: str, **spec: Any) -> str:
    metadata = {"reference": reference, "name": reference}
    body = {"environmentId": ENVIRONMENT, "metadata": metadata, "spec": spec}
    return str(call(server, "CreateTask", {**body, "dependsOn": depends_on})["task"]["id"])


def started(server: Server, task_id: str) -> str:
    return str(call(server, "StartTask", {"id": task_id})["taskExecution"]["id"])


def status(server: Server, execution_id: str) -> Any:
    return call(server, "GetTaskExecution", {"id": execution_id})["taskExecution"]["status"]


def test_a_worker_does_the_steps_with_their_commands_and_variables(server: Server) -> None:
    secret = {"secretRef": {"id": ENVIRONMENT}}
    env = [{"name": "WHO", "value": "you"}, {"name": "KEY", "valueFrom": secret}, {"name": "NO"}]
    first = defined(server, "first", command='echo "hello $WHO$KEY"', env=env)
    last = defined(server, "last", first, command="printf '{\"n\": 2}'")
    execution_id = started(server, last)

    told = worked(
        server,
        *("--max-runs", "2", "--exec-from-metadata", "--workspace", ENVIRONMENT),
    )
    assert [one["event"] for one in told] == ["claimed", "completed"] * 2
    found = status(server, execution_id)
    assert found["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"
    outputs = [step["output"] for step in found["steps"]]
    assert (outputs[0]["output"], outputs[1]) == ("hello you\n", {"n": "2"})
    assert "run_started" in server.types(told[0]["task_id"])


def test_a_worker_with_a_command_of_its_own_takes_no_variables_from_the_step(
    server: Server,
) -> None:
    env = [{"name": "WHO", "value": "you"}]
    execution_id = started(server, defined(server, "other", command="false", env=env))
    worked(server, "--once", "--exec", 'echo "who: $WHO"', "--workspace", ENVIRONMENT)
    assert status(server, execution_id)["steps"][0]["output"]["output"] == "who: \n"


def test_a_failing_step_says_why(server: Server) -> None:
    execution_id = started(server, defined(server, "bad", command="echo no >&2; exit 3"))
    worked(server, "--once", "--exec-from-metadata", "--workspace", ENVIRONMENT)
    found = status(server, execution_id)
    assert found["phase"] == "TASK_EXECUTION_PHASE_FAILED"
    assert found["steps"][0]["failureMessage"] == "exit code 3\nno"
