"""`taskledger profile` against a running server."""

import pytest

from tests.cli.processes import Server


def test_a_profile_is_set_shown_and_deleted(server: Server) -> None:
    task_id = server.json("task", "create", "Choosy")["task"]["id"]
    text = server.cli("profile", "set", task_id, "--agent", "painter", "--require", "brush").stdout

    assert "worker        agent_name=painter  mode=select  required_capabilities=brush" in text
    assert server.cli("profile", "show", task_id).stdout == text

    document = '{"worker": {"mode": "inherit"}, "runtime": {"mode": "evidence"}}'
    answer = server.json(
        "profile", "set", task_id, "--profile", document, "--allow-agent", "a", "--allow-agent", "b"
    )
    assert answer["runtime"] == {"mode": "evidence"}
    assert answer["worker"] == {"mode": "inherit", "allowed_agent_names": ["a", "b"]}

    assert server.cli("profile", "delete", task_id).stdout == f"{task_id}  default profile\n"
    assert server.json("profile", "show", task_id)["worker"] == {"mode": "inherit"}
    assert "not found" in server.cli("profile", "delete", task_id, exit_code=1).stderr


@pytest.mark.parametrize("document", ["[1]", "3", '{"worker": [1]}', "{"])
def test_a_profile_that_is_no_object_is_refused(server: Server, document: str) -> None:
    words = ("profile", "set", "task-1", "--profile", document, "--agent", "painter")

    assert "'--profile'" in server.cli(*words, exit_code=2).stderr


def test_a_run_is_explained(server: Server) -> None:
    task_id, run_id = server.queue("Explained")
    server.cli("profile", "set", task_id, "--require", "brush")
    server.cli("session", "put", "with", "--agent", "painter", "--capability", "brush")
    server.cli("session", "put", "without", "--agent", "painter")
    lines = server.cli("explain", run_id).stdout.splitlines()

    assert [line.split() for line in lines if line.startswith("run_queued")] == [
        ["run_queued", "yes", "queued", "queued"]
    ]
    assert [line.split() for line in lines if line.startswith("with ")] == [
        ["with", "painter", "yes"]
    ]
    (without,) = (line for line in lines if line.startswith("without"))
    assert without.endswith("no       capabilities: expected brush, found none")
    alone = server.cli("explain", run_id, "--session", "without").stdout
    assert "capabilities                no      brush" in alone

    answer = server.json("explain", run_id, "--session", "with", "--priority-min", "40")
    assert [each["eligible"] for each in answer["sessions"]] == [False]
    assert "not found" in server.cli("explain", "run-none", exit_code=1).stderr
