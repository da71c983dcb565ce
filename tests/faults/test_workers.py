"""Several server processes on one address: one may die, and all end with their parent."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.client import Client, until
from tests.faults.serving import Site
from tests.support.postgres import PostgresServer

WORKERS = 3


@pytest.fixture(name="site")
def _site(tmp_path: Path, place: str) -> Site:
    return Site(tmp_path, place=place, workers=WORKERS)


def children(pid: int) -> set[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, check=False, text=True)
    return {int(line) for line in found.stdout.split()}


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def listening(place: str) -> int:
    """Return how many processes listen to what others commit."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    with psycopg.connect(place) as admin:
        found = admin.execute(f"{asked} AND datname = current_database()".encode()).fetchone()
    assert found is not None
    return int(found[0])


def test_a_worker_that_dies_is_replaced_and_requests_go_on(site: Site) -> None:
    with site.serving() as server:
        before = children(server.process.pid)
        os.kill(min(before), signal.SIGKILL)
        for number in range(20):
            # A new connection each, so that every worker gets some.
            with Client(site.port) as client:
                body = {"scope": "global", "title": f"t{number}"}
                reply = client.insist("POST", "/api/tasks", body)
            assert reply is not None
            assert reply.status == 201
        until(lambda: len(children(server.process.pid)) == WORKERS, "all workers are there again")
        with Client(site.port) as client:
            titles = {task["title"] for task in client.get("/api/tasks")["tasks"]}

    assert len(before) == WORKERS
    assert titles == {f"t{number}" for number in range(20)}
    assert not any(map(alive, before))
    assert not site.complaints()


def test_whoever_is_asked_tells_the_numbers_of_all(site: Site) -> None:
    def told() -> set[tuple[str, float]]:
        with Client(site.port) as client:
            text = client.call("GET", "/metrics").body.decode()
        return {
            (sample.labels["process"], sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "taskledger_events_total"
        }

    with site.serving() as server:
        for number in range(30):
            with Client(site.port) as client:
                client.insist("POST", "/api/tasks", {"scope": "global", "title": f"t{number}"})
        until(
            lambda: len(told()) == WORKERS and sum(events for _, events in told()) == 30,
            "each process has told of its events",
        )
        before = children(server.process.pid)
        for victim in before:
            os.kill(victim, signal.SIGKILL)
        until(
            lambda: len(children(server.process.pid) - before) == WORKERS, "others take their place"
        )
        # Those that were killed took their numbers with them, and left their labels.
        until(lambda: told() == {("0", 0.0), ("1", 0.0), ("2", 0.0)}, "the new ones tell theirs")


def test_a_worker_that_dies_while_the_database_is_away_is_replaced_when_it_is_back(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    site = Site(tmp_path, place=place, workers=WORKERS)
    with site.serving() as server:
        until(lambda: listening(place) == WORKERS, "all workers serve")
        with cluster.stopped():
            victim = min(children(server.process.pid))
            os.kill(victim, signal.SIGKILL)
            told = site.log.read_text
            until(lambda: told().count("cannot connect") > 1, "others try to take its place")
            with Client(site.port) as client:
                assert client.call("GET", "/healthz").status == 200
        with Client(site.port) as client:
            client.insist("POST", "/api/tasks", {"scope": "global", "title": "after"})
        until(lambda: len(children(server.process.pid)) == WORKERS, "all workers are there again")
        assert server.process.poll() is None
    assert not site.complaints()


def test_workers_end_when_their_parent_is_killed(site: Site) -> None:
    with site.serving() as server:
        workers = children(server.process.pid)
        server.kill()

        until(lambda: not any(map(alive, workers)), "every worker has ended")


def test_an_sqlite_file_has_one_process() -> None:
    command = [sys.executable, "-m", "api.cli", "serve", "--workers", "2"]
    refused = subprocess.run(command, capture_output=True, check=False, text=True)

    assert refused.returncode == 2
    assert "--workers must be 1: an SQLite file is served by one process" in refused.stderr
