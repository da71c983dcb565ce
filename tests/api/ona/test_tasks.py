"""Ona tasks over HTTP, in JSON."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest

from tests.api.live import Client
from tests.api.ona.support import call, create, new_environment, refused, send

NOBODY = "0190c2b5-5d6e-7e1a-8c6b-999999999999"
SECRET = "0190c2b5-5d6e-7e1a-8c6b-111111111111"
METADATA = {
    "reference": "build",
    "name": "Build",
    "description": "all of it",
    "triggeredBy": [{"manual": True}, {"prebuild": False}, {}],
}
SPEC: dict[str, Any] = {
    "command": "make",
    "runsOn": {"docker": {"image": "alpine", "environment": ["A=1"]}},
    "env": [
        {"name": "PLAIN", "value": ""},
        {"name": "SECRET", "valueFrom": {"secretRef": {"id": SECRET}}},
        {"name": "NEITHER"},
    ],
    "prebuildRequiresSuccess": True,
}


def task(client: Client, task_id: str) -> dict[str, Any]:
    return dict(call(client, "GetTask", {"id": task_id})["task"])


def listed(client: Client, **filters: Any) -> list[str]:
    """Return the ids of all tasks in a filtered list, read in pages of two."""
    found: list[str] = []
    token = ""
    while True:
        body = {"filter": filters, "pagination": {"pageSize": 2, "token": token}}
        page = call(client, "ListTasks", body)
        found += [each["id"] for each in page["tasks"]]
        token = page["pagination"].get("nextToken", "")
        if not token:
            return found


def test_a_task_is_answered_as_it_was_defined(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "first")
    sent = {"environmentId": environment, "metadata": METADATA, "spec": SPEC, "dependsOn": [first]}
    made = call(client, "CreateTask", sent)["task"]

    assert {name: made["metadata"][name] for name in METADATA} == METADATA
    assert (made["spec"], made["dependsOn"]) == (SPEC, [first])
    assert made["metadata"]["creator"]["principal"] == "PRINCIPAL_USER"
    assert task(client, made["id"].upper()) == made


def test_both_spellings_of_names_are_read_and_what_is_unknown_is_ignored(client: Client) -> None:
    sent = {
        "environment_id": new_environment(),
        "colour": {"a": [1]},
        "metadata": {"reference": "a", "name": "A", "triggered_by": [{"post_machine_start": True}]},
        "spec": {"prebuild_requires_success": None, "runs_on": {"machine": {"size": 1}}},
    }
    made = call(client, "CreateTask", sent)["task"]
    assert made["metadata"]["triggeredBy"] == [{"postMachineStart": True}]
    assert made["spec"] == {"runsOn": {"machine": {}}}


def test_the_server_sets_creation_and_creator(client: Client) -> None:
    metadata = {
        "reference": "a",
        "name": "A",
        "createdAt": "2001-01-01T00:00:00Z",
        "creator": {"id": NOBODY, "principal": 1},
    }
    sent = {"environmentId": new_environment(), "metadata": metadata}
    made = call(client, "CreateTask", sent)["task"]["metadata"]
    assert made["createdAt"] > "2026"
    assert made["creator"]["id"] != NOBODY


def test_an_environment_is_a_workspace(client: Client) -> None:
    environment = new_environment()
    create(client, environment, "a")
    found = client.ok("GET", f"/api/workspaces/{environment}")["workspace"]
    assert found["id"] == environment


def test_a_list_is_narrowed_down_and_comes_in_pages(client: Client) -> None:
    here, there = new_environment(), new_environment()
    ids = [create(client, each, name) for name in ("a", "b", "c") for each in (here, there)]

    assert listed(client, environmentIds=[here, there]) == ids
    assert listed(client, environmentIds=[here]) == ids[::2]
    assert listed(client, environmentIds=[here], references=["b", "c", "x"]) == ids[2::2]
    assert listed(client, taskIds=[ids[5], ids[0]]) == [ids[0], ids[5]]
    assert listed(client, taskIds=[ids[0]], environmentIds=[there]) == []
    assert call(client, "ListTasks", {"filter": {"taskIds": [NOBODY]}})["tasks"] == []


def test_the_query_goes_before_the_body(client: Client) -> None:
    environment = new_environment()
    ids = [create(client, environment, name) for name in ("a", "b", "c")]
    body = {"filter": {"environmentIds": [environment]}, "pagination": {"pageSize": 1}}
    first = call(client, "ListTasks", body)
    token = first["pagination"]["nextToken"]
    second = call(client, "ListTasks", body, params={"token": token, "pageSize": 2})
    assert [each["id"] for each in first["tasks"] + second["tasks"]] == ids
    assert second["pagination"] == {}


def test_a_token_belongs_to_one_list(client: Client) -> None:
    environment = new_environment()
    for name in ("a", "b"):
        create(client, environment, name)
    page = call(client, "ListTasks", {"pagination": {"pageSize": 1}})
    token = {"token": page["pagination"]["nextToken"]}
    other = {"filter": {"environmentIds": [environment]}, "pagination": token}
    for method, body in (("ListTasks", other), ("ListTaskExecutions", {"pagination": token})):
        text = refused(client, method, body, "invalid_argument", 400)
        assert "pagination.token belongs to a list with another filter" in text
    _, last, digest = json.loads(urlsafe_b64decode(token["token"] + "=="))
    forged = urlsafe_b64encode(json.dumps([-7, last, digest]).encode()).decode()
    for wrong in ("x", "é", "W10", "WzEsMiwzXQ", forged):
        body = {"pagination": {"token": wrong}}
        text = refused(client, "ListTasks", body, "invalid_argument", 400)
        assert "pagination.token is no token of this server" in text


def test_a_page_is_25_long_by_itself(client: Client) -> None:
    environment = new_environment()
    for number in range(26):
        create(client, environment, f"t{number}")
    for size in ({}, {"pageSize": 0}):
        body = {"filter": {"environmentIds": [environment]}, "pagination": size}
        assert len(call(client, "ListTasks", body)["tasks"]) == 25


def test_an_update_follows_the_presence_of_fields(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "first")
    sent = {"environmentId": environment, "metadata": METADATA, "spec": SPEC, "dependsOn": [first]}
    made = call(client, "CreateTask", sent)["task"]

    def updated(**body: Any) -> dict[str, Any]:
        assert call(client, "UpdateTask", {"id": made["id"], **body}) == {}
        return task(client, made["id"])

    kept = updated(
        metadata={"name": None, "triggeredBy": None},
        spec={"env": [], "command": None},
        dependsOn=[],
    )
    assert kept == made
    after = updated(metadata={"description": "", "triggeredBy": {}}, spec={"command": ""})
    assert after["metadata"].keys() == {"reference", "name", "createdAt", "creator"}
    assert after["spec"] == {name: SPEC[name] for name in SPEC if name != "command"}
    after = updated(
        metadata={"name": "New", "triggeredBy": {"trigger": [{"beforeSnapshot": True}]}},
        spec={"prebuildRequiresSuccess": False, "runsOn": {"machine": {}}, "env": SPEC["env"][:1]},
    )
    assert after["metadata"]["triggeredBy"] == [{"beforeSnapshot": True}]
    assert after["spec"] == {"runsOn": {"machine": {}}, "env": SPEC["env"][:1]}


def test_a_deleted_task_is_gone_and_its_reference_free(client: Client) -> None:
    environment = new_environment()
    first = create(client, environment, "a")
    second = create(client, environment, "b", first)
    text = refused(client, "DeleteTask", {"id": first}, "failed_precondition", 400)
    assert f'is a dependency of task "{second}"' in text
    for task_id in (second, first):
        assert call(client, "DeleteTask", {"id": task_id}) == {}
        for method in ("DeleteTask", "GetTask", "UpdateTask", "StartTask"):
            refused(client, method, {"id": task_id}, "not_found", 404)
    create(client, environment, "a")


def test_a_duplicate_reference_is_final(client: Client) -> None:
    environment = new_environment()
    create(client, environment, "a")
    again = {"environmentId": environment, "metadata": {"reference": "a", "name": "A"}}
    answer = send(client, "CreateTask", again)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("method", "body", "text"),
    [
        ("CreateTask", {}, 'environmentId must be a UUID: ""'),
        ("CreateTask", {"environmentId": 7}, "environmentId"),
        ("CreateTask", {"environmentId": NOBODY, "metadata": {}}, "metadata.reference must match"),
        (
            "CreateTask",
            {"environmentId": NOBODY, "metadata": {"reference": "a"}},
            "metadata.name must have at least 1 character",
        ),
        (
            "CreateTask",
            {
                "environmentId": NOBODY,
                "metadata": {
                    "reference": "a",
                    "name": "A",
                    "triggeredBy": [{"manual": True, "prebuild": True}],
                },
            },
            "metadata.triggeredBy[0] must have at most one trigger: manual, prebuild",
        ),
        (
            "CreateTask",
            {
                "environmentId": NOBODY,
                "spec": {"runsOn": {"machine": {}, "docker": {"image": "a"}}},
            },
            "spec.runsOn must be either docker or machine",
        ),
        (
            "CreateTask",
            {
                "environmentId": NOBODY,
                "spec": {"env": [{"name": "A", "value": "1", "valueFrom": {}}]},
            },
            "spec.env[0] must have either value or valueFrom",
        ),
        (
            "CreateTask",
            {"environmentId": NOBODY, "spec": {"env": [{"name": "A", "valueFrom": {}}]}},
            "spec.env[0].valueFrom.secretRef is required",
        ),
        ("CreateTask", {"environmentId": NOBODY, "metadata": {"name": "x" * 70_000}}, ""),
        (
            "CreateTask",
            {"environmentId": NOBODY, "spec": {"command": "x" * 70_000}},
            "spec.command exceeds 65536 bytes",
        ),
        ("GetTask", {"id": "1"}, 'id must be a UUID: "1"'),
        ("GetTask", {"id": None}, 'id must be a UUID: ""'),
        ("ListTasks", {"pagination": {"pageSize": 101}}, "pagination.pageSize must be 0 to 100"),
        ("ListTasks", {"pagination": {"pageSize": -1}}, "pagination.pageSize must be 0 to 100: -1"),
        ("ListTasks", {"pagination": {"pageSize": "many"}}, "Failed to parse pageSize"),
        ("ListTasks", {"filter": {"taskIds": ["x"]}}, "filter.taskIds[0] must be a UUID"),
        (
            "ListTasks",
            {"filter": {"taskIds": [NOBODY] * 26}},
            "filter.taskIds must have at most 25 items: 26",
        ),
        (
            "ListTasks",
            {"filter": {"references": ["a", ""]}},
            "filter.references[1] must have at least 1 character",
        ),
        ("ListTasks", {"filter": {"references": ["\0"]}}, "filter.references[0] must not contain"),
        ("ListTasks", {"filter": {"references": "a"}}, "references"),
        ("ListTasks", [1], "the message cannot be read"),
        ("ListTasks", [], "Expected `object`, got `array`"),
        ("ListTasks", {"filter": []}, "filter must be an object, not a list"),
        ("ListTasks", {"pagination": []}, "pagination must be an object, not a list"),
        (
            "ListTaskExecutions",
            {"filter": {"phases": ["TASK_EXECUTION_PHASE_DONE"]}},
            "TASK_EXECUTION_PHASE_DONE",
        ),
        ("ListTaskExecutions", {"filter": {"phases": [17]}}, "filter.phases[0]"),
        ("ListTaskExecutions", {"filter": {"phases": [1] * 26}}, "filter.phases must have at most"),
    ],
)
def test_what_is_not_acceptable_is_named(client: Client, method: str, body: Any, text: str) -> None:
    assert text in refused(client, method, body, "invalid_argument", 400)


@pytest.mark.parametrize("query", ["pageSize=101", "pageSize=x", "token=x"])
def test_the_query_of_a_list_is_checked(client: Client, query: str) -> None:
    path = f"/api/gitpod.v1.EnvironmentAutomationService/ListTasks?{query}"
    answer = client.post(path, {})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
