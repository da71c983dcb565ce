"""Execution profiles over HTTP."""

from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.api.live import Client, error_of, serving, time_of
from tests.api.sockets import until

NEVER = "0001-01-01T00:00:00Z"
INHERITED: dict[str, Any] = {
    "coordinator": {"mode": "inherit"},
    "worker": {"mode": "inherit"},
    "review": {},
    "participants": {},
    "sandbox": {"mode": "inherit"},
    "runtime": {"mode": "default"},
}


def path_of(client: Client) -> str:
    """Return the path of the profile of a new task."""
    return f"/api/tasks/{client.create()['id']}/execution-profile"


def test_a_task_without_a_profile_has_the_default_one(client: Client) -> None:
    path = path_of(client)
    profile = client.ok("GET", path, None, 200)["profile"]

    assert profile == {
        **INHERITED,
        "task_id": path.split("/")[3],
        "created_at": NEVER,
        "updated_at": NEVER,
    }


def test_a_profile_is_replaced_as_a_whole_read_and_deleted(client: Client) -> None:
    path = path_of(client)
    sent = {
        "worker": {"mode": "SELECT", "agent_name": "ann", "required_capabilities": ["b", "a", "b"]},
        "sandbox": None,
        "created_at": "2020-01-01T00:00:00Z",
        "colour": "red",
    }
    first = client.ok("PUT", path, sent, 200)["profile"]
    worker = {"mode": "select", "agent_name": "ann", "required_capabilities": ["a", "b"]}

    assert {name: first[name] for name in INHERITED} == {**INHERITED, "worker": worker}
    assert first["created_at"] == first["updated_at"] > "2021"
    assert client.ok("GET", path)["profile"] == first

    second = client.ok("PUT", path, {"review": {"model": "m"}})["profile"]
    assert (second["worker"], second["review"]) == ({"mode": "inherit"}, {"model": "m"})
    assert second["created_at"] == first["created_at"]
    assert time_of(first["created_at"]) < time_of(second["updated_at"])
    # What was answered may be sent back.
    assert client.ok("PUT", path, second)["profile"]["review"] == {"model": "m"}

    deleted = client.send("DELETE", path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.ok("GET", path)["profile"]["created_at"] == NEVER
    refused = error_of(client.send("DELETE", path), 404)
    assert refused.startswith("task: task execution profile not found")


def test_the_timeline_tells_of_profiles(client: Client) -> None:
    path = path_of(client)
    task_id = path.split("/")[3]
    client.ok("PUT", path, {"coordinator": {"mode": "guided"}})
    client.ok("DELETE", path)
    told = client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"][1:]

    assert [(item["event_type"], item["payload"]) for item in told] == [
        (
            "task.execution_profile_updated",
            {
                "task_id": task_id,
                "coordinator_mode": "guided",
                "worker_mode": "inherit",
                "sandbox_mode": "inherit",
            },
        ),
        ("task.execution_profile_deleted", {"task_id": task_id}),
    ]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"", "httpapi: decode set execution profile request: expected an object, got nothing"),
        (b"{", "httpapi: decode set execution profile request: "),
        (b'{"worker": 3}', "httpapi: decode set execution profile request: "),
        (b'{"task_id": "other"}', "task_execution_profile.task_id must match task id"),
        (b'{"worker": {"mode": "odd"}}', "task_execution_profile.worker.mode must be"),
        (b'{"sandbox": {"mode": "ref"}}', "task_execution_profile.sandbox.sandbox_ref is required"),
    ],
)
def test_what_cannot_be_a_profile_is_refused_with_400(
    client: Client, sent: bytes, text: str
) -> None:
    path = path_of(client)
    response = client.send("PUT", path, content=sent)

    assert error_of(response, 400).startswith(f"task: validation failed: {text}")
    assert "diagnostic" not in response.json()
    assert client.ok("GET", path)["profile"]["created_at"] == NEVER


def test_a_profile_that_is_too_large_is_refused_with_413(client: Client) -> None:
    names = [f"{number:0128}" for number in range(256)]
    body = {"participants": {"allowed_agent_names": names, "allowed_peer_ids": names}}
    response = client.send("PUT", path_of(client), json=body)

    assert error_of(response, 413).startswith("task: payload too large: task_execution_profile")


def test_an_unknown_task_has_no_profile(client: Client) -> None:
    path = "/api/tasks/task-unknown/execution-profile"
    for response in (
        client.get(path),
        client.send("PUT", path, json={}),
        client.send("DELETE", path),
    ):
        text = error_of(response, 404)
        assert text == 'task: task not found: task "task-unknown"'
        assert "diagnostic" not in response.json()


def test_an_active_run_locks_the_profile(client: Client) -> None:
    path = path_of(client)
    run = client.enqueue(path.split("/")[3])
    client.ok("PUT", path, {"worker": {"agent_name": "ann"}})
    client.ok("POST", f"/api/task-runs/{run['id']}/claim")
    for response in (
        client.send("PUT", path, json={"worker": {"mode": "odd"}}),
        client.send("DELETE", path),
    ):
        text = error_of(response, 409)
        assert text.startswith("task: invalid status transition: task ")
        assert f'while run "{run["id"]}" is active' in text
        assert "diagnostic" not in response.json()
    client.ok("POST", f"/api/task-runs/{run['id']}/cancel")
    assert client.send("DELETE", path).status_code == 204


def test_a_blank_task_id_is_refused(client: Client) -> None:
    path = "/api/tasks/%20/execution-profile"
    assert error_of(client.get(path), 422).endswith("task id is required")
    assert error_of(client.send("PUT", path, json={}), 400).endswith("task id is required")
    assert error_of(client.send("DELETE", path), 400).endswith("task id is required")


def claimed(agent: Client, **body: Any) -> str:
    """Return the run that a claim gets, empty for none."""
    answer = agent.post("/api/agent/tasks/claim-next", body)
    assert answer.status_code in {200, 204}, answer.text
    return str(answer.json()["claim"]["run"]["id"]) if answer.content else ""


def test_runs_go_to_whom_their_profiles_admit(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client
        runs = []
        for worker in (
            {"required_capabilities": ["go"]},
            {"agent_name": "ann"},
            {"required_capabilities": ["go", "sql"], "allowed_agent_names": ["bob", "cat"]},
            {},
        ):
            task_id = client.create()["id"]
            client.ok("PUT", f"/api/tasks/{task_id}/execution-profile", {"worker": worker})
            runs.append(client.enqueue(task_id)["id"])

        assert claimed(client.agent("s1", "dan")) == runs[3]
        assert claimed(client.agent("s2", "dan")) == ""
        assert claimed(client.agent("s3", "ann")) == runs[1]
        bob = client.agent("s4", "bob")
        assert claimed(bob, required_capabilities=["sql"]) == ""
        assert claimed(bob, required_capabilities=["go"]) == runs[0]
        again = client.agent("s5", "bob")
        assert claimed(again, required_capabilities=["go", "sql"]) == runs[2]


def test_a_claim_that_waits_hears_of_a_profile_that_admits_it(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=20) as server:
        client = server.client
        task_id = client.create()["id"]
        path = f"/api/tasks/{task_id}/execution-profile"
        client.ok("PUT", path, {"worker": {"agent_name": "ann"}})
        run_id = client.enqueue(task_id)["id"]
        agent = client.agent("s1", "bob")
        found: list[str] = []
        waiter = Thread(target=lambda: found.append(claimed(agent, wait=True)))
        waiter.start()
        until(lambda: len(server.services.claims) == 1)
        client.ok("DELETE", path)
        waiter.join(20)

    assert found == [run_id]


def test_a_session_with_a_soul_marks_what_it_claims(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client
        session = {"agent_name": "ann", "soul_digest": "sha256:aa", "soul_snapshot_id": "soul-1"}
        shown = client.ok("PUT", "/api/sessions/s1", session)["session"]
        assert (shown["soul_digest"], shown["soul_snapshot_id"]) == ("sha256:aa", "soul-1")
        client.enqueue(client.create()["id"], metadata=[1])
        run_id = client.enqueue(client.create()["id"], metadata={"a": 1})["id"]

        assert claimed(client.agent("s1", "ann")) == run_id
        metadata = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]["metadata"]
    soul = metadata.pop("soul")
    assert metadata == {"a": 1}
    assert soul.pop("captured_at")
    assert soul == {"snapshot_id": "soul-1", "digest": "sha256:aa", "agent_name": "ann"}


def test_the_operator_may_switch_sandboxes_and_providers_off(tmp_path: Path) -> None:
    off: Any = dict.fromkeys(
        ("allow_provider_override", "allow_sandbox_none", "allow_sandbox_ref"), False
    )
    with serving(tmp_path, **off) as server:
        path = path_of(server.client)
        for sent in (
            {"worker": {"model": "m"}},
            {"sandbox": {"mode": "none"}},
            {"sandbox": {"mode": "ref", "sandbox_ref": "x"}},
        ):
            text = error_of(server.client.send("PUT", path, json=sent), 400)
            assert text.startswith("task: validation failed: task_execution_profile.")
            assert text.endswith("is disabled by config")


def test_a_claim_that_waits_is_woken_for_what_it_offers(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=20) as server:
        client = server.client
        task_id = client.create()["id"]
        profile = {"worker": {"required_capabilities": ["go"]}}
        client.ok("PUT", f"/api/tasks/{task_id}/execution-profile", profile)
        # Once it is known, a session may offer more with each claim.
        agent = client.agent("s1", "bob")
        assert claimed(agent) == ""
        found: list[str] = []
        body = {"wait": True, "required_capabilities": [" go "]}
        waiter = Thread(target=lambda: found.append(claimed(agent, **body)))
        waiter.start()
        until(lambda: len(server.services.claims) == 1)
        run_id = client.enqueue(task_id)["id"]
        waiter.join(20)

    assert found == [run_id]
