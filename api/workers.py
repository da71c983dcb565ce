"""Several server processes on one address: each accepts from the same listening socket.

The parent only looks after them: it starts anew what ends, and passes the wish to stop on.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Final

from api.settings import Settings, environment_for
from api.siblings import NUMBERS

LISTENER: Final = "TASKLEDGER_LISTENER"
"""The environment variable that names the inherited listening socket of a worker."""

_PAUSE: Final = 0.1
_AGAIN_SECONDS: Final = 0.5
_GRACE_SECONDS: Final = 10.0


def inherited() -> socket.socket | None:
    """Return the listening socket that the parent has opened, None without a parent."""
    descriptor = os.environ.get(LISTENER)
    return socket.socket(fileno=int(descriptor)) if descriptor else None


class Workers:
    """A number of server processes, for as long as nobody asks to stop."""

    def __init__(self, settings: Settings, number: int, listener: socket.socket) -> None:
        """Let each of them serve with these settings on this socket."""
        self._settings = settings
        self._listener = listener
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * number
        self._started_at = [0.0] * number
        self._replaced = [False] * number
        self._stopping = False
        self._numbers = TemporaryDirectory(prefix="taskledger-")

    def run(self, ready: Callable[[], None]) -> int:
        """Return the exit code once all have ended: that of one that could not begin, else 0.

        `ready` is called when they have been started.
        """
        with self._numbers:
            return self._run(ready)

    def _run(self, ready: Callable[[], None]) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop())
        os.set_inheritable(self._listener.fileno(), True)
        self._look()
        ready()
        while not self._stopping:
            time.sleep(_PAUSE)
            failed = self._look()
            if failed:
                self._stop()
                self._join()
                return failed
        self._join()
        return 0

    def _look(self) -> int:
        """Start what does not run; return the exit code of one that could not begin.

        One that takes the place of another is started again and again: what hinders it, such as a
        database that is away, may go, and the others serve meanwhile.
        """
        for place, process in enumerate(self._processes):
            code = process.poll() if process is not None else 0
            if code is None or self._stopping:
                continue
            if code == 2 and not self._replaced[place]:  # noqa: PLR2004 - for the operator to change
                return code
            self._replaced[place] = process is not None
            if time.monotonic() - self._started_at[place] >= _AGAIN_SECONDS:
                self._started_at[place] = time.monotonic()
                self._processes[place] = self._start(place)
        return 0

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        descriptor = self._listener.fileno()
        return subprocess.Popen(
            [sys.executable, "-m", "api.worker_process"],
            env={
                **os.environ,
                **environment_for(self._settings),
                LISTENER: str(descriptor),
                NUMBERS: f"{self._numbers.name}/{place}.json",
            },
            pass_fds=(descriptor,),
            # A terminal's interrupt is for the parent, which passes it on.
            start_new_session=True,
        )

    def _stop(self) -> None:
        self._stopping = True
        for process in self._processes:
            if process is not None and process.poll() is None:
                process.terminate()

    def _join(self) -> None:
        give_up = time.monotonic() + self._settings.shutdown_seconds + _GRACE_SECONDS
        for process in self._processes:
            if process is None:
                continue
            try:
                process.wait(max(give_up - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
