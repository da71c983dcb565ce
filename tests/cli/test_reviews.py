"""`taskledger review` against a running server."""

import httpx2

from tests.cli.processes import Server


def ended_run(server: Server) -> str:
    """Return the id of a run that an operator took to its end."""
    _, run_id = server.queue("Write it")
    for verb in ("claim", "start", "complete"):
        httpx2.post(f"{server.url}/api/task-runs/{run_id}/{verb}", timeout=60).raise_for_status()
    return run_id


def test_a_review_is_asked_for_taken_and_rejected(server: Server) -> None:
    run_id = ended_run(server)
    server.cli("session", "put", "critic-1", "--agent", "critic")
    asked = server.json("review", "request", run_id, "--reason", "look", "--policy", "on_success")
    review_id = asked["review"]["review_id"]
    words = ("review", "submit", review_id, "--outcome", "rejected", "--reason", "no tests")

    assert server.cli("review", "request", run_id).stdout == f"{review_id}  requested  {run_id}\n"
    taken = server.cli("review", "take", "--as-agent", "critic-1:critic").stdout
    assert taken == f"{review_id}  in_review  {run_id}\n"
    as_agent = ("--as-agent", "critic-1:critic")
    lines = server.cli(*words, "--missing-work", "tests", *as_agent).stdout.splitlines()
    assert lines[0] == f"{review_id}  rejected  {run_id}"
    assert lines[1].endswith("queued  attempt 2")
    shown = server.cli("review", "show", review_id).stdout
    for expected in ("no tests", "rejected", "critic-1"):
        assert expected in shown
    again = server.json(*words, "--missing-work-json", '["tests"]', *as_agent)
    assert again["review"]["missing_work"] == ["tests"]


def test_reviews_are_listed(server: Server) -> None:
    run_id = ended_run(server)
    review = server.json("review", "request", run_id)["review"]
    rows = server.json("review", "list", "--task", review["task_id"], "--status", "requested")

    assert [row["review_id"] for row in rows] == [review["review_id"]]
    assert review["review_id"] in server.cli("review", "list", "--run", run_id).stdout
    assert server.cli("review", "list", "--run", "run-none").stdout == "no reviews\n"
    server.cli("review", "list", exit_code=2)
    server.cli("review", "submit", review["review_id"], "--outcome", "error", "--reason", "gone")


def test_without_a_review_that_waits_there_is_none_to_take(server: Server) -> None:
    server.cli("workspace", "put", "quiet")
    server.cli("session", "put", "critic-2", "--agent", "critic", "--workspace", "quiet")

    assert server.cli("review", "take", "--as-agent", "critic-2:critic").stdout == "no reviews\n"
