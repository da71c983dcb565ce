"""Runs taken in hand from the command line."""

import json
import re

import httpx2
import pytest

from tests.cli.processes import Server


def claimed(server: Server, title: str) -> str:
    """Return the id of a run that an operator has claimed."""
    _, run_id = server.queue(title)
    httpx2.post(f"{server.url}/api/task-runs/{run_id}/claim", timeout=60).raise_for_status()
    return run_id


def test_a_run_is_taken_back_failed_and_retried(server: Server) -> None:
    run_id = claimed(server, "Stuck")
    words = ("run", "force-release", run_id, "--reason", "gone", "--metadata", '{"a":1}')

    assert server.cli(*words).stdout == f"{run_id}  queued  attempt 1\n"
    failed = server.json("run", "force-fail", run_id, "--reason", "stuck")["run"]
    assert (failed["status"], failed["error"]) == ("failed", "stuck")
    line = server.cli("run", "retry", run_id, "--metadata", '{"again":true}').stdout
    assert re.fullmatch(r"run-[0-9a-f]{16}  queued  attempt 2\n", line)
    chain = server.json("run", "show", line.split()[0])["run"]
    assert (chain["previous_run_id"], chain["metadata"]) == (run_id, {"again": True})


def test_a_refusal_names_the_next_step(server: Server) -> None:
    _, run_id = server.queue("Waits")
    server.cli("run", "force-fail", run_id, "--reason", "stuck")
    refused = server.cli("run", "recover", run_id, "--in-place", exit_code=1)

    assert refused.stderr == (
        f'taskledger: Task run not recoverable: task run "{run_id}" is failed,'
        f" expected needs_attention (next: taskledger run retry {run_id}) (HTTP 409)\n"
    )
    assert server.cli("run", "retry", run_id).stdout


def test_many_runs_are_taken_in_hand_at_once(server: Server) -> None:
    runs = [claimed(server, title) for title in ("One", "Two")]
    outcome = server.cli("run", "bulk-release", *runs, "run-none", exit_code=1)
    rows = [line.split()[:2] for line in outcome.stdout.splitlines()[1:]]

    assert outcome.stdout.split()[:3] == ["RUN", "STATUS", "REFUSED"]
    assert rows == [[runs[0], "queued"], [runs[1], "queued"], ["run-none", "task:"]]
    assert outcome.stderr == "taskledger: 1 of 3 runs were refused\n"
    failed = server.cli("run", "bulk-fail", *runs, "--reason", "reset", "--json")
    assert [row["run"]["failure_kind"] for row in json.loads(failed.stdout)] == (
        ["operator_forced"] * 2
    )


@pytest.mark.parametrize(
    "words",
    [
        ("force-fail", "run-1"),
        ("bulk-fail", "run-1"),
        ("bulk-release",),
        ("retry", "run-1", "--reason", "none is kept"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_sent(
    server: Server, words: tuple[str, ...]
) -> None:
    assert server.cli("run", *words, exit_code=2).stderr
