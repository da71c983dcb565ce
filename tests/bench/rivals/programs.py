"""Runs the programs of other queues: an environment made for them, one process each."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

REQUIREMENTS: Final = ("asyncpg>=0.30,<1", "huey>=3,<4", "pgqueuer>=1.6,<2")
_FOLDER: Final = Path(__file__).parent
_INSTALL_SECONDS: Final = 300


class MissingError(Exception):
    """What is needed to run another queue cannot be had here; the text says why."""


def environment(folder: Path) -> Path:
    """Return an interpreter that has the other queues; raises MissingError."""
    place = folder / "rivals"
    python = place / "bin" / "python"
    if not (place / "complete").exists():
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, *REQUIREMENTS])
        (place / "complete").touch()
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(str(error)) from error
    if done.returncode:
        raise MissingError((done.stderr.strip().splitlines() or ["pip failed"])[-1])


class Program:
    """A queue in a process of its own, which does as many jobs as it is told."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def round(self, jobs: int) -> float:
        """Return how many jobs a second were claimed and completed; raises MissingError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{jobs}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise MissingError("the other queue ended by itself")
        return float(answer)


@contextmanager
def running(python: Path, program: str, *arguments: str) -> Iterator[Program]:
    """Give the program of this folder with that name, running."""
    command = [str(python), str(_FOLDER / f"{program}.py"), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Program(process)
        finally:
            process.terminate()
