"""PostgreSQL without a connection left: what needs one is refused, and a server heals by itself."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg

from tests.faults.client import Client, refused, until
from tests.faults.serving import Site
from tests.faults.test_postgresql import NEVER, task, titles, unreadable
from tests.support.postgres import PostgresServer

REFUSALS: Final = 4
"""So many in a row tell that no connection is left."""

PAUSE: Final = 0.07


@contextmanager
def every_connection_taken(cluster: PostgresServer) -> Iterator[None]:
    """Take all connections that a database server has left."""
    refusals = 0
    with ExitStack() as taken:
        # One refusal alone may be due to somebody who tries to connect and goes again.
        while refusals < REFUSALS:
            try:
                taken.enter_context(psycopg.connect(cluster.url("postgres")))
                refusals = 0
            except psycopg.OperationalError:
                refusals += 1
                time.sleep(PAUSE)
        yield


def heals(client: Client) -> None:
    """Wait until a server reads and writes, and has a session for what needs one of its own."""
    until(lambda: client.call("GET", "/readyz").status == 200, "it says that it is well")
    until(lambda: client.call("GET", "/api/tasks").status == 200, "it gets a connection")


def test_without_a_connection_left_only_what_needs_one_is_refused(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    site = Site(tmp_path, place=place, sweep_seconds=NEVER)
    with site.serving(), Client(site.port) as client:
        with every_connection_taken(cluster):
            # What is read in several statements needs a session more than the server has.
            assert refused(client.call("GET", "/api/tasks"))
            # After it has waited for one in vain it rests, also from what needs none.
            made = client.insist("POST", "/api/tasks", task("during"))
            assert made is not None
            assert made.status == 201
        heals(client)
        assert titles(client) == ["during"]
        client.post("/api/tasks", task("after"))
        assert titles(client) == ["after", "during"]
    assert not site.complaints()


def test_a_server_that_has_lost_its_connections_to_others_heals_when_they_go(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    name = place.rpartition("/")[2]
    site = Site(tmp_path, place=place, sweep_seconds=NEVER)
    with (
        site.serving(),
        Client(site.port) as client,
        psycopg.connect(cluster.url("postgres"), autocommit=True) as admin,
    ):
        client.post("/api/tasks", task("before"))
        assert titles(client) == ["before"]
        cluster.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        cluster.end_sessions(place)
        with every_connection_taken(cluster):
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())
            for _ in range(3):
                assert refused(client.call("POST", "/api/tasks", task("lost")))
                assert refused(client.call("GET", "/api/tasks"))
                assert unreadable(client)
        heals(client)
        client.post("/api/tasks", task("after"))
        assert client.call("GET", "/readyz").status == 200
        assert titles(client) == ["after", "before"]
    assert not site.complaints()
