"""Real servers and workers in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from api.cli.main import main
from tests.support.ports import free_port

SECONDS = 40.0
TASKLEDGER = (sys.executable, "-m", "api.cli")
ROOT = Path(__file__).parents[2]
TERMINATED = (0, -signal.SIGTERM)


def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Return the first true value of the condition; fail when there is none in time."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError(f"still waiting after {seconds} s")


def environment(**variables: str) -> dict[str, str]:
    """Return ours, without settings that a test did not choose."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith("TASKLEDGER_")}
    return {**ours, **variables}


class Server:
    """A server on a store of its own; it keeps its port when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = f"sqlite:{folder / 'ledger.db'}"
        self._log = folder / "server.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(*TASKLEDGER, "serve", "--store", self.store, "--port", str(self.port)),
                    *self._options,
                ],
                cwd=ROOT,
                env=environment(),
                stdout=log,
                stderr=log,
            )
        until(self.answers)

    def answers(self) -> bool:
        """Return whether it serves requests; fail when the process has ended."""
        assert self._process
        assert self._process.poll() is None, self._log.read_text()
        asking = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            asking.request("GET", "/healthz")
            return asking.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            asking.close()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for the end."""
        if self._process:
            self._process.send_signal(number)
            self._process.wait(SECONDS)
            self._process = None

    def cli(self, *words: str, exit_code: int = 0, **variables: str) -> Result:
        """Return what a command did, run in this process against the server."""
        asked = CliRunner().invoke(
            main,
            words,
            prog_name="taskledger",
            env={"TASKLEDGER_SERVER": self.url, "TASKLEDGER_RETRY_SECONDS": "0.2", **variables},
        )
        assert asked.exit_code == exit_code, (asked.output, asked.exception)
        return asked

    def json(self, *words: str) -> Any:
        """Return the JSON that a command printed."""
        return json.loads(self.cli(*words, "--json").stdout)

    def queue(self, title: str, *options: str) -> tuple[str, str]:
        """Create a task with a queued run; return the ids of both."""
        answer = self.json("task", "create", title, "--enqueue", *options)
        return answer["task"]["id"], answer["run"]["id"]

    def run(self, run_id: str) -> Any:
        """Return a run."""
        return self.json("run", "show", run_id)["run"]

    def ended(self, run_id: str) -> Any:
        """Wait until a run has ended and return it."""
        over = ("completed", "failed", "canceled")
        return until(lambda: (found := self.run(run_id))["status"] in over and found)

    def types(self, task_id: str) -> list[str]:
        """Return the types of a task's events, without the prefix that all of them have."""
        lines = self.cli("tail", "--task", task_id, "--json").stdout.splitlines()
        return [json.loads(line)["event_type"].removeprefix("task.") for line in lines]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Server]:
    """Yield a server that is up."""
    server = Server(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def worker(server: Server, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Yield a worker process; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [*TASKLEDGER, "work", "--server", server.url, *options],
        cwd=ROOT,
        env=environment(**{"TASKLEDGER_JSON": "1", **variables}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def worked(server: Server, *options: str, **variables: str) -> Sequence[Any]:
    """Run a worker until it ends by itself and return what it told."""
    with worker(server, *options, **variables) as process:
        told, complaints = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, complaints
    return [json.loads(line) for line in told.splitlines()]
