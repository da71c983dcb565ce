"""A server in a process of its own: on a free port, waited for, watched and stopped."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from msgspec import Struct

HOST: Final = "127.0.0.1"
READY_PATH: Final = "/readyz"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_NO_PROXY: Final = build_opener(ProxyHandler({}))


class Server(Struct, frozen=True, kw_only=True):
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    def kill(self) -> None:
        """End the process at once, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask the process to end, wait for it and return its exit status.

        A process that does not end in time is killed.
        """
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()


def spawn(
    command: Sequence[str], *, port: int, log: Path, env: Mapping[str, str] | None = None
) -> Server:
    """Start this interpreter with `command`, writing to `log`, and do not wait for it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    return Server(port=port, process=process, log=log)


def wait_ready(server: Server, *, path: str = READY_PATH, seconds: float = START_SECONDS) -> None:
    """Return once GET `path` answers 200; raises RuntimeError with the log when it does not."""
    give_up = time.monotonic() + seconds
    while not _answers(server.url + path):
        status = server.process.poll()
        if status is not None or time.monotonic() > give_up:
            why = "is not ready" if status is None else f"ended with status {status}"
            raise RuntimeError(f"the server {why}:\n{server.log.read_text(errors='replace')}")
        time.sleep(_POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        with _NO_PROXY.open(url, timeout=1) as reply:
            return bool(reply.status == 200)
    except (HTTPError, URLError, OSError):
        return False


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    log: Path,
    env: Mapping[str, str] | None = None,
    ready_path: str = READY_PATH,
) -> Iterator[Server]:
    """Give a server that is ready, and stop it afterwards."""
    server = spawn(command, port=port, log=log, env=env)
    try:
        wait_ready(server, path=ready_path)
        yield server
    finally:
        server.stop()


def resident_bytes(pid: int) -> int:
    """Return how much memory a process occupies now, 0 when it has ended."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    found = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    return int(found.stdout) * 1024


def cpu_seconds(pid: int) -> float:
    """Return how much processor time a process has used so far, its threads included."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    found = subprocess.run(
        ["ps", "-o", "time=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    *hours, minutes, seconds = found.stdout.strip().split(":")
    return int(hours[0] if hours else 0) * 3600 + int(minutes) * 60 + float(seconds)
