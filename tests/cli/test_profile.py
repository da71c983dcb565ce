"""`taskledger profile` against a running server."""

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
