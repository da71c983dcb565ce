"""Servers for these tests: processes of their own, on a store that outlives them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from domain.recorded import Recorded
from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.places import environment_of
from replay.verify import verify
from tests.support.ports import free_port
from tests.support.server import Server, spawn, wait_ready


class Site:
    """A store and a port; servers come and go."""

    def __init__(self, folder: Path, *, place: str = "", **settings: object) -> None:
        """Keep everything in `folder`; `settings` are those of the server.

        Without a `place` the store is a file in the folder.
        """
        self.store = folder / "ledger.db"
        self.place = place or f"sqlite:{self.store}"
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        self._settings = settings
        self._last: Server | None = None

    def spawn(self) -> Server:
        """Start a server and do not wait for it."""
        settings = {"port": self.port, "store": self.place, **self._settings}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        command = ["-m", "api.cli", "serve", *options]
        self._last = spawn(command, port=self.port, log=self.log)
        return self._last

    def start(self) -> Server:
        """Start a server and return it when it is ready."""
        server = self.spawn()
        try:
            wait_ready(server)
        except BaseException:
            server.kill()
            raise
        return server

    def stop(self) -> None:
        """Stop the last server, if it still runs."""
        if self._last is not None:
            self._last.stop()

    @contextmanager
    def serving(self) -> Iterator[Server]:
        """Give a server that is ready, and stop it afterwards."""
        server = self.start()
        try:
            yield server
        finally:
            self.stop()

    def complaints(self) -> list[str]:
        """Return what servers logged about unexpected errors."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if "unexpected error" in line or "Traceback" in line]


def history_of(place: str) -> list[Recorded]:
    """Return the history of a store after every check that operators have."""
    with closing(Ledger(environment_of(place))) as ledger:
        found = verify(ledger, PROJECTORS)
        assert found.finding is None, found.finding
        return ledger.read(0, ledger.head)
