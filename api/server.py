"""The server process: one store, one port, one clear line for whatever hinders it."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from msgspec.structs import replace
from starlette.routing import BaseRoute

from api.app import create_app
from api.guard import authority, is_loopback
from api.services import Services, build
from api.settings import Settings, SettingsError, check
from api.workers import LISTENER, Workers, inherited
from replay.connections import prepare_path
from replay.errors import DATABASE_ERRORS, ReplayError
from replay.lock import StoreLock

UNUSABLE: Final = 2
"""The exit code for what the operator has to change: settings, port, store."""

_GC_THRESHOLDS: Final = (50_000, 20, 50)
_CONNECTIONS: Final = 2048
_IDLE_SECONDS: Final = 60
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class UnusableError(Exception):
    """The server cannot start as it was asked to; the text is one line for the operator."""


class Server(uvicorn.Server):
    """uvicorn's server: streams end before it waits for requests, and a signal is a normal end."""

    def __init__(
        self,
        services: Services,
        extra_routes: Iterable[BaseRoute] = (),
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve these services."""
        settings = services.settings
        config = uvicorn.Config(
            create_app(services, extra_routes),
            host=settings.host,
            port=settings.port,
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        )
        super().__init__(config)
        self._services = services
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let streams and waiting requests end, then everything else."""
        self._services.begin_stop()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; uvicorn would end the process by it once more after the shutdown."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


def run(
    settings: Settings, extra_routes: Callable[[Services], Iterable[BaseRoute]] = lambda _: ()
) -> None:
    """Serve until a signal comes; raises SystemExit(2) after one line about what hinders."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        _run(settings, extra_routes)
    except (SettingsError, UnusableError, ReplayError, *DATABASE_ERRORS) as error:
        sys.stderr.write(f"taskledger: {error}\n")
        raise SystemExit(UNUSABLE) from None


def _run(settings: Settings, extra_routes: Callable[[Services], Iterable[BaseRoute]]) -> None:
    check(settings)
    with inherited() or listen(settings) as listener, _locked(settings) as lock:
        port = listener.getsockname()[1]
        if settings.workers > 1:
            _run_workers(replace(settings, port=port), listener)
            return
        services = build(replace(settings, port=port))
        try:
            _require_token(services)
            server = Server(services, extra_routes(services), lambda: _announce(services, lock))
            server.run(sockets=[listener])
        finally:
            services.close()
        if not server.started:
            raise UnusableError("the server could not start")


def _run_workers(settings: Settings, listener: socket.socket) -> None:
    """Look whether the store can be served, then leave that to processes of its own."""
    services = build(settings)
    try:
        _require_token(services)
        place = services.ledger.access.place
    finally:
        services.close()
    workers = Workers(replace(settings, workers=1), settings.workers, listener)
    code = workers.run(lambda: _say(settings, place))
    if code:
        raise SystemExit(code)


def listen(settings: Settings) -> socket.socket:
    """Return the listening socket; raises UnusableError when the address cannot be had."""
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=_CONNECTIONS)
    except OSError as error:
        where = authority(host, settings.port)
        raise UnusableError(f"cannot listen on {where}: {_why(error)}") from error


def _why(error: OSError) -> str:
    """Return what went wrong, without the address that Python adds to it."""
    text = str(error.strerror or error).partition(" (while attempting")[0]
    if error.errno == errno.EADDRINUSE:
        text += "; choose another one with --port or TASKLEDGER_PORT"
    return text


@contextmanager
def _locked(settings: Settings) -> Iterator[StoreLock | None]:
    """Keep other servers from an SQLite file; a database server takes any number of them."""
    path = settings.sqlite_path
    if not path:
        yield None
        return
    prepare_path(path)
    try:
        lock = StoreLock(path)
    except OSError as error:
        raise UnusableError(f"cannot lock {path}: {error.strerror or error}") from error
    try:
        yield lock
    finally:
        lock.release()


def _require_token(services: Services) -> None:
    """Raise UnusableError when others could reach the server without an access token."""
    host = services.settings.host
    if not is_loopback(host) and not services.access.required:
        raise UnusableError(
            f"{host} can be reached from other machines, and there is no access token yet; "
            "make one first: taskledger token create"
        )


def _announce(services: Services, lock: StoreLock | None) -> None:
    """Say where the server is, and settle its memory."""
    settings = services.settings
    if lock is not None:
        lock.announce(_url_of(settings))
    if LISTENER not in os.environ:
        _say(settings, services.ledger.access.place)
    settle_memory()


def settle_memory() -> None:
    """Let the garbage collector pass over what lives as long as the server, and come seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _url_of(settings: Settings) -> str:
    return f"http://{authority(settings.host.strip('[]'), settings.port)}"


def _say(settings: Settings, place: str) -> None:
    url = _url_of(settings)
    sys.stdout.write(
        f"taskledger is listening on {url}\n"
        f"  look around  {url}/\n"
        f"  API          {url}/openapi.json\n"
        f"  store        {place}\n"
    )
    sys.stdout.flush()
