import json
import re

import pytest

from tests.cli.processes import Server

TASK_ID = re.compile(r"task-[0-9a-f]{16}")
RUN_ID = re.compile(r"run-[0-9a-f]{16}")


def created(server: Server, *words: str) -> str:
    task_id: str = server.json("task", "create", *words)["task"]["id"]
    return task_id


def test_a_created_task_is_told_in_one_line(server: Server) -> None:
    line = server.cli("task", "create", "Paint the fence").stdout

    assert re.fullmatch(rf"{TASK_ID.pattern}  ready  Paint the fence\n", line)


def test_every_member_of_a_task_can_be_given(server: Server) -> None:
    server.cli("workspace", "put", "ws-1", "--name", "garden")
    parent = created(server, "Parent", "--workspace", "garden")
    blocker = created(server, "Blocker")
    answer = server.json(
        *("task", "create", "Dig", "--id", "dig-1", "--identifier", "G-1", "--parent", parent),
        *("--workspace", "garden", "--description", "a hole", "--priority", "high"),
        *("--max-attempts", "5", "--channel", "soil", "--owner", "pool:diggers", "--auto-enqueue"),
        *("--command", "dig", "--metadata", '{"deep": true}', "--depends-on", blocker, "--enqueue"),
    )
    task = answer["task"]

    assert task["id"] == "dig-1"
    assert task["parent_task_id"] == parent
    assert (task["scope"], task["workspace_id"]) == ("workspace", "ws-1")
    assert (task["priority"], task["max_attempts"]) == ("high", 5)
    assert task["owner"] == {"kind": "pool", "ref": "diggers"}
    assert task["metadata"] == {"command": "dig", "deep": True}
    assert task["status"] == "blocked"
    assert answer["run"]["status"] == "queued"


def test_a_task_is_not_made_when_one_it_waits_for_is_unknown(server: Server) -> None:
    words = ("task", "create", "Half", "--id", "half", "--depends-on", "task-none")

    assert "task-none" in server.cli(*words, exit_code=1).stderr
    assert "half" in server.cli("task", "show", "half", exit_code=1).stderr


def test_metadata_that_are_no_object_are_wrong_usage(server: Server) -> None:
    words = ("task", "create", "Listed", "--id", "listed", "--metadata", "[1]")

    assert "'[1]' is not a JSON object" in server.cli(*words, exit_code=2).stderr
    assert "listed" in server.cli("task", "show", "listed", exit_code=1).stderr


def test_a_child_belongs_where_its_parent_does(server: Server) -> None:
    server.cli("workspace", "put", "ws-3")
    parent = created(server, "Parent", "--workspace", "ws-3")
    child = server.json("task", "create", "Child", "--parent", parent)["task"]

    assert (child["scope"], child["workspace_id"]) == ("workspace", "ws-3")


def test_a_list_is_a_table_for_people_and_json_for_machines(server: Server) -> None:
    task_id = created(server, "Listed here", "--priority", "low")
    table = server.cli("task", "list", "--priority", "low").stdout
    rows = server.json("task", "list", "--query", "listed HERE", "--limit", "3")

    assert table.split()[:3] == ["TASK", "STATUS", "PRIORITY"]
    assert [line for line in table.splitlines() if task_id in line and "Listed here" in line]
    assert "\x1b[" not in table
    assert [row["id"] for row in rows] == [task_id]


def test_an_empty_list_says_so(server: Server) -> None:
    assert server.cli("task", "list", "--query", "no such thing").stdout == "no tasks\n"
    assert server.json("task", "list", "--query", "no such thing") == []


def test_a_task_is_shown_with_its_runs_blockers_and_children(server: Server) -> None:
    blocker = created(server, "First this")
    task_id, run_id = server.queue("Then that", "--depends-on", blocker)
    child = created(server, "A part", "--parent", task_id)
    text = server.cli("task", "show", task_id).stdout

    assert text.splitlines()[0].split() == ["id", task_id]
    for expected in ("Runs", run_id, "Waits for", blocker, "First this", "Children", child):
        assert expected in text
    assert server.json("task", "show", task_id)["task"]["id"] == task_id


def test_decisions_about_a_task_print_what_came_of_them(server: Server) -> None:
    draft = created(server, "Draft", "--draft")
    manual = created(server, "Manual", "--approval", "manual")
    refused = created(server, "Refused", "--approval", "manual")
    plain = created(server, "Plain")

    assert RUN_ID.search(server.cli("task", "publish", draft).stdout)
    assert RUN_ID.search(server.cli("task", "approve", manual).stdout)
    assert "blocked" in server.cli("task", "reject", refused).stdout
    assert RUN_ID.search(server.cli("task", "start", plain, "--metadata", "{}").stdout)
    assert server.json("task", "pause", plain, "--reason", "lunch")["task"]["paused"] is True
    assert "paused" not in server.json("task", "resume", plain)["task"]
    assert "canceled" in server.cli("task", "cancel", plain, "--reason", "late").stdout
    assert server.cli("task", "delete", plain).stdout == f"{plain}  deleted\n"
    server.cli("task", "show", plain, exit_code=1)


def test_an_idempotency_key_returns_the_same_run(server: Server) -> None:
    task_id = created(server, "Once")
    first = server.json("task", "enqueue", task_id, "--idempotency-key", "k")
    second = server.json("task", "enqueue", task_id, "--idempotency-key", "k")

    assert first["run"]["id"] == second["run"]["id"]


def test_a_dependency_is_added_and_removed(server: Server) -> None:
    blocker, task_id = created(server, "A"), created(server, "B")

    assert "blocked" in server.cli("task", "depend", task_id, blocker).stdout
    assert "ready" in server.cli("task", "depend", task_id, blocker, "--remove").stdout


def test_runs_are_listed_shown_and_canceled(server: Server) -> None:
    task_id, run_id = server.queue("With a run")

    assert [run["id"] for run in server.json("run", "list", task_id)] == [run_id]
    assert run_id in server.cli("run", "list", task_id, "--status", "queued").stdout
    assert server.cli("run", "list", task_id, "--status", "failed").stdout == "no runs\n"
    assert f"task     {task_id}" in server.cli("run", "show", run_id).stdout
    assert "canceled" in server.cli("run", "cancel", run_id, "--reason", "no").stdout


def test_the_scheduler_is_paused_drained_and_resumed(server: Server) -> None:
    _, run_id = server.queue("Waiting")

    assert server.json("scheduler", "pause", "--reason", "tea")["paused"] is True
    assert "paused because  tea" in server.cli("scheduler", "status").stdout
    assert "drained" in server.cli("scheduler", "drain", "--timeout-seconds", "0").stdout
    assert server.json("scheduler", "resume")["paused"] is False
    assert run_id in server.cli("scheduler", "backlog").stdout
    assert server.json("scheduler", "backlog", "--limit", "1")["total"] >= 1
    assert " queued runs\n" in server.cli("scheduler", "backlog", "--limit", "1").stdout


def test_sessions_and_workspaces_are_registered_listed_and_removed(server: Server) -> None:
    server.cli("workspace", "put", "ws-2", "--name", "cellar", "--path", "/srv/cellar")
    words = ("session", "put", "s-9", "--agent", "mole", "--workspace", "cellar")
    shown = server.cli(*words, "--capability", "dig", "--capability", "see").stdout

    assert "dig, see" in shown
    assert "cellar" in server.cli("workspace", "list").stdout
    assert "s-9" in server.cli("session", "list").stdout
    assert server.cli("session", "stop", "s-9").stdout == "s-9  stopped\n"
    assert server.cli("workspace", "remove", "ws-2").stdout == "ws-2  removed\n"
    assert "ws-2" not in [row["id"] for row in server.json("workspace", "list")]


def test_an_id_may_hold_any_character(server: Server) -> None:
    task_id = created(server, "Odd", "--id", "a/b ?#%&ü")

    assert server.json("task", "show", task_id)["task"]["id"] == "a/b ?#%&ü"


def test_a_refusal_is_one_line_on_standard_error(server: Server) -> None:
    outcome = server.cli("task", "show", "task-none", exit_code=1)

    assert outcome.stdout == ""
    assert re.fullmatch(r"taskledger: task: task not found.*\(HTTP 404\)\n", outcome.stderr)


def test_a_server_that_is_away_has_an_exit_code_of_its_own(server: Server) -> None:
    outcome = server.cli("task", "list", "--server", "http://127.0.0.1:1", exit_code=3)

    assert outcome.stderr.startswith("taskledger: cannot reach http://127.0.0.1:1: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("task", "list", "--server", "elsewhere"),
        ("task", "create", "T", "--owner", "nobody"),
        ("task", "create", "T", "--metadata", "{"),
        ("task", "create"),
        ("task", "burn"),
        ("serve", "--port", "70000"),
        ("serve", "--store", "paper:ledger"),
    ],
)
def test_wrong_usage_has_an_exit_code_of_its_own(server: Server, words: tuple[str, ...]) -> None:
    assert server.cli(*words, exit_code=2).stderr


def test_a_variable_stands_for_an_option(server: Server) -> None:
    for title in ("One", "Another"):
        created(server, title)
    listed = server.cli("task", "list", TASKLEDGER_TASK_LIST_LIMIT="1", TASKLEDGER_JSON="1")

    assert len(json.loads(listed.stdout)) == 1
