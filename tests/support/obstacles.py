"""What goes wrong with a store, made to happen on whichever store a test has."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from stat import S_ISSOCK
from threading import Event
from typing import Final

import psycopg

from api.services import Services
from replay.ledger import Ledger
from replay.places import environment_of
from tests.support.postgres import PostgresServer

_MOST_FILES: Final = 1024
_HANG_SECONDS: Final = 30
_KEPT_OPEN: Final = 1
_BEGUN: Final = (
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database"
    f" WHERE locktype = 'advisory' AND objid = {_KEPT_OPEN} AND NOT granted"
    " AND datname = current_database()"
)


def refuse_writes(services: Services) -> None:
    """Let the writing session refuse what it is asked next."""
    connection = services.ledger.writer.connection
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA query_only=ON")
    else:
        connection.execute("SET default_transaction_read_only = on")


@contextmanager
def commits_held_back(services: Services) -> Iterator[None]:
    """Hold the write lock of a store, as another process does, until the end of the block."""
    with closing(Ledger(environment_of(services.settings.store))) as other:
        other.writer.begin()
        yield
        other.writer.rollback()


def all_have_left(services: Services) -> bool:
    """Whether the server knows that everybody has left whose command is not decided yet."""
    return all(job.gone is not None and job.gone() for job in tuple(services.committer._queue))


def commits_kept_open(services: Services) -> AbstractContextManager[Callable[[], bool]]:
    """Let no COMMIT be done before the end of the block; gives what tells whether one has begun."""
    connection = services.ledger.writer.connection
    if not isinstance(connection, sqlite3.Connection):
        return kept_open_by_lock(services.settings.store)
    # A disk that is known to be slow is waited for on a thread.
    services.committer._slow_commit_ms = -1
    return _kept_open_by_trace(connection)


@contextmanager
def _kept_open_by_trace(connection: sqlite3.Connection) -> Iterator[Callable[[], bool]]:
    begun, over = Event(), Event()

    def trace(sql: str) -> None:
        if sql == "COMMIT":
            begun.set()
            over.wait(_HANG_SECONDS)

    connection.set_trace_callback(trace)
    try:
        yield begun.is_set
    finally:
        over.set()


@contextmanager
def kept_open_by_lock(place: str, host: str | None = None) -> Iterator[Callable[[], bool]]:
    """Do as `commits_kept_open` does, on PostgreSQL; `let_commits_be` undoes what is left of it.

    With the folder of the server's socket as the `host`, `cut_connections` lets the lock be held.
    """
    with psycopg.connect(place, host=host, autocommit=True) as admin:
        admin.execute(f"SELECT pg_advisory_lock({_KEPT_OPEN})".encode())
        at_each_commit(place, f"pg_advisory_xact_lock({_KEPT_OPEN})", "SET lock_timeout = 0")
        yield lambda: admin.execute(_BEGUN.encode()).fetchone() is not None


def slow_commits(services: Services, seconds: float) -> None:
    """Let every COMMIT take so long."""
    connection = services.ledger.writer.connection
    if isinstance(connection, sqlite3.Connection):
        connection.set_trace_callback(lambda sql: time.sleep(seconds) if sql == "COMMIT" else None)
        return
    # The server may be at work in its own session.
    with psycopg.connect(services.settings.store) as admin:
        admin.execute(
            f"CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END'".encode()
        )
        admin.execute(
            "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON ledger_writes"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()"
        )


def lose_blobs(services: Services) -> None:
    """Lose every blob, as a copy does that was made of the database alone."""
    if services.settings.sqlite_path:
        for file in Path(f"{services.settings.sqlite_path}.blobs").rglob("*"):
            if file.is_file():
                file.unlink()
    else:
        with services.ledger.access.apart() as session:
            session.execute("DELETE FROM blobs")


def lose_the_key(services: Services) -> None:
    """Let there be no key to seal secrets with, as on PostgreSQL without one."""
    services.vault._may_make = False
    services.vault._fernet = None


def drop_table(services: Services, name: str) -> None:
    """Take a table away that the server needs."""
    services.ledger.writer.connection.execute(f"DROP TABLE {name}")


def at_each_commit(place: str, action: str, settings: str = "") -> None:
    """Let the database do something in the middle of every COMMIT."""
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute(
            f"CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql {settings} AS"
            f" 'BEGIN PERFORM {action}; RETURN NULL; END'".encode()
        )
        admin.execute(
            "CREATE CONSTRAINT TRIGGER act AFTER UPDATE ON ledger_writes"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION act()"
        )


def let_commits_be(place: str) -> None:
    """Undo `at_each_commit`."""
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute("DROP TRIGGER act ON ledger_writes")


def waits(server: PostgresServer, place: str) -> list[str]:
    """Return what each session in a database waits for."""
    asked = "SELECT wait_event FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(server.url("postgres")) as admin:
        return [str(event) for (event,) in admin.execute(asked, (place.rpartition("/")[2],))]


def session_ended(server: PostgresServer, backend: int) -> bool:
    """Whether a session has ended on the server, of the process id that it has there."""
    asked = "SELECT FROM pg_stat_activity WHERE pid = %s"
    with psycopg.connect(server.url("postgres")) as admin:
        return admin.execute(asked, (backend,)).fetchone() is None


def cut_connections(port: int) -> None:
    """Cut every connection of this process to the server on a port, which learns of it late."""
    for file in range(_MOST_FILES):
        with suppress(OSError):
            if S_ISSOCK(os.fstat(file).st_mode):
                with socket.socket(fileno=os.dup(file)) as found:
                    if found.getpeername()[1:] == (port,):
                        found.shutdown(socket.SHUT_RDWR)
