import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.client.http import Connection
from api.worker.agent import Identity
from api.worker.options import WorkerOptions
from api.worker.worker import Worker
from tests.cli.held import HeldLoop
from tests.cli.processes import SECONDS, Server, running, until, worked, worker
from tests.cli.test_worker_command import alive, pid_in

LONG = "sleep 60"
pytestmark = pytest.mark.usefixtures("empty_queue")


@pytest.fixture
def empty_queue(server: Server) -> Iterator[None]:
    """Take what a failed test has left in the queue out of the next one's way."""
    yield
    for row in server.json("scheduler", "backlog")["runs"]:
        server.cli("run", "cancel", row["run"]["id"])


def test_a_run_is_done_by_the_command_and_its_json_is_the_result(server: Server) -> None:
    task_id, run_id = server.queue("Count", "--metadata", '{"upto": 3}')
    told = worked(server, "--once", "--exec", "cat")
    run = server.run(run_id)

    assert [one["event"] for one in told] == ["claimed", "completed"]
    assert told[1]["run_id"] == run_id
    assert run["status"] == "completed"
    assert run["result"]["id"] == task_id
    assert run["result"]["metadata"] == {"upto": 3}
    assert run["result"]["run"]["id"] == run_id


def test_a_command_finds_the_ids_in_its_environment_but_no_token(server: Server) -> None:
    task_id, run_id = server.queue("Environment")
    worked(
        server,
        *("--once", "--agent", "a1", "--session", "s1"),
        *("--exec", "env | grep ^TASKLEDGER_ | grep -v _JSON | sort"),
        TASKLEDGER_TOKEN="tl_secret",
    )

    assert server.run(run_id)["result"]["output"].splitlines() == [
        "TASKLEDGER_AGENT=a1",
        "TASKLEDGER_ATTEMPT=1",
        f"TASKLEDGER_RUN_ID={run_id}",
        f"TASKLEDGER_SERVER={server.url}",
        "TASKLEDGER_SESSION=s1",
        f"TASKLEDGER_TASK_ID={task_id}",
        "TASKLEDGER_WORKSPACE=",
    ]


def test_the_token_is_passed_on_when_that_is_asked_for(server: Server) -> None:
    _, run_id = server.queue("Token")
    worked(
        server,
        *("--once", "--pass-token", "--exec", 'test "$TASKLEDGER_TOKEN" = tl_secret'),
        TASKLEDGER_TOKEN="tl_secret",
    )

    assert server.run(run_id)["status"] == "completed"


def test_an_exit_code_fails_the_run_with_the_last_lines(server: Server) -> None:
    _, run_id = server.queue("Fail")
    told = worked(server, "--once", "--exec", "echo first; echo broken pipe >&2; exit 7")
    run = server.run(run_id)

    assert told[1]["reason"] == "exit code 7"
    assert run["status"] == "failed"
    assert run["error"] == "exit code 7\nbroken pipe"


def test_a_worker_tells_people_what_it_does_in_lines(server: Server) -> None:
    task_id, run_id = server.queue("Told")
    options = ("--once", "--session", "teller", "--exec", "echo why; exit 3")
    with worker(server, *options, TASKLEDGER_JSON="0") as process:
        printed, told = process.communicate(timeout=SECONDS)
    claimed, failed = told.splitlines()

    assert printed == ""
    assert claimed.split() == ["claimed", run_id, task_id, "teller", "attempt", "1"]
    assert failed.endswith(" s  exit code 3")
    assert "exit code 3" in server.cli("run", "list", task_id).stdout


def test_a_worker_without_work_says_so_by_its_exit_code(server: Server) -> None:
    with worker(server, "--once", "--exec", "true") as process:
        assert process.wait(SECONDS) == 4


@pytest.mark.parametrize("command", ['"echo $((40 + 2))"', '["expr", "40", "+", "2"]'])
def test_the_command_of_the_task_runs_only_when_that_is_allowed(
    server: Server, command: str
) -> None:
    _, run_id = server.queue("Own command", "--metadata", f'{{"command": {command}}}')
    worked(server, "--once", "--exec-from-metadata")

    assert server.run(run_id)["result"] == 42


def test_an_empty_command_does_nothing_well(server: Server) -> None:
    _, run_id = server.queue("Nothing", "--metadata", '{"command": ""}')
    worked(server, "--once", "--exec-from-metadata")

    assert server.run(run_id)["status"] == "completed"


@pytest.mark.parametrize("metadata", ["{}", '{"command": 7}', '{"command": ["a", 1]}'])
def test_a_task_without_a_command_fails(server: Server, metadata: str) -> None:
    _, run_id = server.queue("No command", "--metadata", metadata)
    worked(server, "--once", "--exec-from-metadata")

    assert "metadata.command" in server.run(run_id)["error"]


def test_a_program_that_does_not_exist_fails_the_run(server: Server) -> None:
    _, run_id = server.queue("Missing", "--metadata", '{"command": ["/no/such/program"]}')
    worked(server, "--once", "--exec-from-metadata")

    assert "exit code 127" in server.run(run_id)["error"]


@pytest.mark.parametrize("options", [(), ("--exec", "true", "--exec-from-metadata")])
def test_a_worker_needs_one_source_of_commands(server: Server, options: tuple[str, ...]) -> None:
    outcome = server.cli("work", *options, exit_code=2)

    assert outcome.stderr == "taskledger: give either --exec COMMAND or --exec-from-metadata\n"


def test_heartbeats_keep_a_run_longer_than_its_lease(server: Server, tmp_path: Path) -> None:
    task_id, run_id = server.queue("Long")
    line = f"while ! test -e {tmp_path}/go; do sleep 0.05; done; echo done"
    with worker(server, "--once", "--lease", "3", "--exec", line) as process:
        # There is one in each second.
        until(lambda: server.types(task_id).count("run_lease_extended") >= 4)
        (tmp_path / "go").touch()
        assert process.wait(SECONDS) == 0
    types = server.types(task_id)

    assert server.run(run_id)["status"] == "completed"
    assert types.count("run_claimed") == 1
    assert types.count("run_lease_extended") >= 4
    assert "run_lease_expired" not in types


def test_a_stopped_worker_ends_the_command_and_gives_the_run_back(
    server: Server, tmp_path: Path
) -> None:
    task_id, run_id = server.queue("Interrupted")
    line = f"echo $$ > {tmp_path}/pid; {LONG}"
    with worker(server, "--exec", line) as process:
        pid = pid_in(tmp_path / "pid")
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0

    assert not alive(pid)
    assert server.run(run_id)["status"] == "queued"
    assert server.types(task_id)[-1] == "run_released"
    assert [one["state"] for one in server.json("session", "list")][-1] == "stopped"


def test_a_second_signal_does_not_wait_for_the_command(server: Server, tmp_path: Path) -> None:
    _, run_id = server.queue("Stubborn")
    # The input ends when the worker is done with starting the command.
    line = f"trap '' TERM; cat; echo $$ > {tmp_path}/pid; {LONG}; {LONG}"
    with worker(server, "--exec", line, "--grace", "60") as process:
        pid_in(tmp_path / "pid")
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0

    assert server.run(run_id)["status"] == "queued"


def test_a_worker_that_stops_while_a_command_starts_ends_it_before_the_lease(
    server: Server, tmp_path: Path
) -> None:
    server.queue("Starting")
    pid, told = tmp_path / "pid", []
    loop = HeldLoop()

    def report(event: str, _: object) -> None:
        told.append((event, pid.exists() and alive(pid_in(pid))))

    async def worked() -> None:
        options = WorkerOptions(command=f"echo $$ > {pid}; {LONG}", environment=os.environ)
        identity = Identity(session_id="starting", agent_name="worker")
        worker = Worker(Connection(server=server.url), identity, options, report)
        working = asyncio.create_task(worker.run())
        await asyncio.to_thread(pid_in, pid)
        worker.stop()
        await loop.go_on()
        await working

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(worked())

    assert told == [("claimed", False), ("released", False)]


def test_an_idle_worker_stops_at_once(server: Server) -> None:
    with worker(server, "--exec", "true", "--session", "idle-one") as process:
        until(lambda: "idle-one" in server.cli("session", "list").stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_a_worker_without_a_waiting_server_asks_again(server: Server) -> None:
    with worker(server, "--exec", "true", "--poll", "0.1", "--max-runs", "1") as process:
        time.sleep(1)
        _, run_id = server.queue("Polled")
        assert process.wait(SECONDS) == 0

    assert server.run(run_id)["status"] == "completed"


def test_a_run_that_was_taken_away_is_dropped_and_the_next_one_done(
    server: Server, tmp_path: Path
) -> None:
    _, run_id = server.queue("Taken away", "--priority", "urgent")
    line = f"test -e {tmp_path}/pid || {{ echo $$ > {tmp_path}/pid; {LONG}; }}"
    with worker(server, "--exec", line, "--lease", "3", "--max-runs", "2") as process:
        pid = pid_in(tmp_path / "pid")
        server.cli("run", "cancel", run_id)
        _, next_run = server.queue("Next")
        told, _ = process.communicate(timeout=SECONDS)

    assert not alive(pid)
    assert [json.loads(line)["event"] for line in told.splitlines()] == [
        "claimed",
        "lost",
        "claimed",
        "completed",
    ]
    assert server.run(next_run)["status"] == "completed"


def test_concurrent_runs_are_held_by_one_session(server: Server, tmp_path: Path) -> None:
    # Each command ends only when the other one is there too.
    line = (
        f"touch {tmp_path}/$TASKLEDGER_RUN_ID; until [ $(ls {tmp_path} | wc -l) = 2 ]; do :; done"
    )
    runs = [server.queue(f"Pair {number}")[1] for number in range(2)]
    told = worked(
        server, "--exec", line, "--concurrency", "2", "--session", "pair", "--max-runs", "2"
    )

    assert {one["session_id"] for one in told} == {"pair"}
    assert [server.run(run_id)["status"] for run_id in runs] == ["completed", "completed"]


def test_a_stopped_session_ends_its_worker(server: Server) -> None:
    server.cli("session", "put", "fired", "--agent", "worker")
    server.cli("session", "stop", "fired")
    with worker(server, "--exec", "true", "--session", "fired") as process:
        _, complaints = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "HTTP 401" in complaints
    assert complaints.count("\n") == 1


def test_a_killed_worker_takes_its_command_along_and_another_one_takes_over(
    server: Server, tmp_path: Path
) -> None:
    task_id, run_id = server.queue("Killed")
    with worker(server, "--exec", f"echo $$ > {tmp_path}/pid; {LONG}", "--lease", "3") as process:
        pid = pid_in(tmp_path / "pid")
        process.kill()
    until(lambda: not alive(pid))
    worked(server, "--exec", "echo again", "--max-runs", "1")
    run = server.run(run_id)
    types = server.types(task_id)

    assert run["status"] == "completed"
    assert run["attempt"] == 1
    assert types.count("run_claimed") == 2
    assert types.count("run_lease_expired") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_survives_a_restart_of_the_server(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "--sweep-seconds", "0.2") as server:
        task_id, run_id = server.queue("Restarted")
        away = f"while ! test -e {tmp_path}/away; do sleep 0.05; done"
        line = f"echo $$ > {tmp_path}/pid; {away}; echo '\"survived\"'"
        with worker(server, "--exec", line, "--lease", "60", "--max-runs", "1") as process:
            pid = pid_in(tmp_path / "pid")
            server.stop(number)
            (tmp_path / "away").touch()
            until(lambda: not alive(pid))
            server.start()
            assert process.wait(SECONDS) == 0

        assert server.run(run_id)["result"] == "survived"
        assert server.types(task_id).count("run_claimed") == 1


def test_a_lease_that_ends_while_the_server_is_away_ends_the_command(tmp_path: Path) -> None:
    with running(tmp_path, "--sweep-seconds", "0.2") as server:
        task_id, run_id = server.queue("Too long away")
        line = f"test -e {tmp_path}/pid || {{ echo $$ > {tmp_path}/pid; {LONG}; }}"
        with worker(server, "--exec", line, "--lease", "3", "--max-runs", "2") as process:
            pid = pid_in(tmp_path / "pid")
            server.stop(signal.SIGKILL)
            until(lambda: not alive(pid))
            server.start()
            assert process.wait(SECONDS) == 0

        assert server.run(run_id)["status"] == "completed"
        assert server.types(task_id).count("run_claimed") == 2


def test_a_worker_may_be_there_before_its_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with worker(server, "--exec", "true", "--max-runs", "1") as process:
        try:
            time.sleep(1)
            server.start()
            _, run_id = server.queue("Late")
            assert process.wait(SECONDS) == 0
            assert server.run(run_id)["status"] == "completed"
        finally:
            server.stop()
