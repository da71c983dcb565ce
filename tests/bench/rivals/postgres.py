"""A PostgreSQL server for the time of a measurement, from the binaries of the system."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.rivals.programs import MissingError

_USER: Final = "bench"
_PLACES: Final = "/usr/lib/postgresql"
_START_SECONDS: Final = 30.0


@contextmanager
def postgres() -> Iterator[str]:
    """Give the address of an empty server with its own settings; raises MissingError."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="taskledger-postgres-"))
    data = folder / "data"
    user = _unprivileged(folder)
    try:
        _initialize(binaries, data, user)
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(folder), "-h", ""]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log, **user) as process,
        ):
            try:
                _wait(binaries, folder, process)
                yield f"postgresql://{_USER}@/postgres?host={folder}"
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    versions = sorted(Path(_PLACES).glob("*/bin"), key=lambda path: int(path.parent.name))
    for folder in reversed(versions):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None:
        raise MissingError("no PostgreSQL is installed")
    return Path(found).resolve().parent


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Return how to start processes: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _initialize(binaries: Path, data: Path, user: dict[str, Any]) -> None:
    command = [str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", _USER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **user)
    if done.returncode:
        raise MissingError(f"initdb: {done.stderr.strip()}")


def _wait(binaries: Path, folder: Path, process: "subprocess.Popen[bytes]") -> None:
    ready = [str(binaries / "pg_isready"), "-q", "-h", str(folder), "-U", _USER]
    give_up = time.monotonic() + _START_SECONDS
    while subprocess.run(ready, check=False).returncode:
        if process.poll() is not None or time.monotonic() > give_up:
            raise MissingError("PostgreSQL does not start: " + (folder / "log").read_text())
        time.sleep(0.05)
