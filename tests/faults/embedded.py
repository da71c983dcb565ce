"""A server in a thread of this process, for what can only be seen from inside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from api.server import Server, listen
from api.services import Clock, Services, build, now
from api.settings import Settings, check
from tests.faults.client import until
from tests.support.places import key_file_in, place_in


@contextmanager
def embedded(folder: Path, clock: Clock = now, **settings: Any) -> Iterator[Services]:
    """Give the services of a server that listens; the port is that of its settings."""
    usual = Settings(port=0, store=place_in(folder), secret_key_file=key_file_in(folder))
    chosen = check(replace(usual, **settings))
    with listen(chosen) as listener:
        services = build(replace(chosen, port=listener.getsockname()[1]), clock)
        try:
            server = Server(services)
            thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
            thread.start()
            try:
                until(lambda: server.started, "the server starts")
                yield services
            finally:
                server.should_exit = True
                thread.join(30)
        finally:
            services.close()
