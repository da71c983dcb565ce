import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from api.worker.command import Command, shell
from api.worker.output import Outcome
from tests.cli.held import HeldLoop

SECONDS = 30.0


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.02)
    return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        # The latter when it goes between opening and reading.
        return False
    return state != "Z"


def pid_in(file: Path) -> int:
    assert until(lambda: file.exists() and file.read_text().endswith("\n"))
    return int(file.read_text())


def run(line: str, stdin: bytes = b"", **variables: str) -> Outcome:
    async def ran() -> Outcome:
        environment = {**os.environ, **variables}
        command = await Command.start(shell(line), stdin=stdin, environment=environment)
        return await command.finished()

    return asyncio.run(ran())


def test_a_command_gets_its_input_and_environment_and_gives_its_output() -> None:
    outcome = run("cat; echo $COLOUR >&2; exit 3", b"from stdin", COLOUR="blue")

    assert outcome == Outcome(exit_code=3, stdout="from stdin", stderr="blue\n")


def test_a_command_that_ignores_a_long_input_still_ends_well() -> None:
    assert run("exit 0", b"x" * 3_000_000).exit_code == 0


def test_output_of_any_length_is_read_and_its_end_kept() -> None:
    outcome = run("head -c 5000000 /dev/zero; echo the end")

    assert outcome.stdout_cut
    assert outcome.stdout.endswith("the end\n")


def test_what_a_command_leaves_behind_is_taken_down(tmp_path: Path) -> None:
    begin = time.monotonic()
    outcome = run(f"sleep 60 & echo $! > {tmp_path}/pid; echo done")

    assert outcome.stdout == "done\n"
    assert time.monotonic() - begin < SECONDS
    assert until(lambda: not alive(pid_in(tmp_path / "pid")))


def test_a_command_that_waits_for_all_its_children_does_not_find_a_strange_one() -> None:
    script = "import os\ntry: os.wait()\nexcept ChildProcessError: print('childless')"

    assert run(f'exec {sys.executable} -c "{script}"').stdout == "childless\n"


def stopped(line: str, grace: float, ready: Path) -> tuple[Outcome, float]:
    """Stop the command of a line once it has made a file."""

    async def ran() -> tuple[Outcome, float]:
        command = await Command.start(shell(line), stdin=b"", environment=os.environ)
        ending = asyncio.create_task(command.finished())
        assert await asyncio.to_thread(until, ready.exists)
        begin = time.monotonic()
        await command.stop(grace)
        return await ending, time.monotonic() - begin

    return asyncio.run(ran())


def test_a_stopped_command_may_clean_up(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    line = f"trap 'echo clean; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    outcome, _ = stopped(line, SECONDS, ready)

    assert (outcome.exit_code, outcome.stdout) == (0, "clean\n")


def test_a_command_that_does_not_stop_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    outcome, took = stopped(f"trap '' TERM; touch {ready}; sleep 60 & wait; sleep 60", 0.3, ready)

    assert outcome.exit_code == -signal.SIGKILL
    assert 0.3 <= took < SECONDS


def test_a_start_that_is_called_off_leaves_nothing_of_the_group(tmp_path: Path) -> None:
    below = f"sh -c 'echo $$ > {tmp_path}/below; sleep 60'"
    line = f"trap '' TERM; echo $$ > {tmp_path}/pid; {below}; sleep 60"
    loop = HeldLoop()

    async def called_off() -> None:
        start = Command.start(shell(line), stdin=b"", environment=os.environ)
        starting = asyncio.create_task(start)
        pid_below = await asyncio.to_thread(pid_in, tmp_path / "below")
        starting.cancel()
        await loop.go_on()
        await asyncio.wait({starting})
        assert starting.cancelled()
        assert not alive(pid_in(tmp_path / "pid"))
        # It was killed at the same time, but nobody here is told of its end.
        assert until(lambda: not alive(pid_below))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(called_off())


def test_a_command_dies_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, os
from api.worker.command import Command, shell
async def main():
    line = 'trap "" TERM; echo $$ > {tmp_path}/pid; sleep 60; sleep 60'
    command = await Command.start(shell(line), stdin=b'', environment=os.environ)
    await command.finished()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program]) as worker:
        pid = pid_in(tmp_path / "pid")
        assert alive(pid)
        worker.kill()

    assert until(lambda: not alive(pid))
