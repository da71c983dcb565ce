"""Apps of Tempest that die, on servers that are killed: nothing is lost, nothing is done twice."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.events import RunClaimed, RunCompleted, RunLeaseExpired
from domain.recorded import Recorded
from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.places import environment_of
from replay.verify import verify
from tests.api.tempest.client import BUCKET, TempestCli, changed, resource
from tests.faults.serving import Site
from tests.support.postgres import PostgresServer, postgres

OPERATIONS = 40
LOOPS = 4
KILLS = 3
SECONDS = 120
SEED = 47


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


def site_in(folder: Path, place: str = "") -> Site:
    return Site(
        folder, place=place, tempest_lease_seconds=2, sweep_seconds=0.1, max_lease_expiries=1_000
    )


class App:
    """A loop that polls one server; now and then it dies with an operation in its hands."""

    def __init__(self, port: int, seed: int) -> None:
        self.reported: list[tuple[str, str]] = []
        self._cli = TempestCli(f"http://127.0.0.1:{port}/api/v1", "")
        self._chance = random.Random(seed)

    def run(self, done: Any) -> None:
        """Go on until everything is done."""
        give_up = time.monotonic() + SECONDS
        while not (idle := self._turn()) or not done():
            assert time.monotonic() < give_up, "operations are left"
            time.sleep(0.1 * idle)
        self._cli.close()

    def _turn(self) -> bool:
        """Do one operation; return whether there was none to be had."""
        try:
            found = self._cli.next()
            if found is not None:
                self._execute(found)
        except httpx2.TransportError:
            return True
        return found is None

    def _execute(self, found: dict[str, Any]) -> None:
        if self._chance.random() > 0.2:
            name = f"b-{self._chance.randrange(1 << 30)}"
            for _ in range(self._chance.choice((1, 1, 2))):
                answer = self._cli.report(found["task_id"], changed(resource(name)))
                if answer.status_code == 200:
                    self.reported.append((found["task_id"], name))


def asked(port: int) -> None:
    """Connect the app and queue operations."""
    cli = TempestCli(f"http://127.0.0.1:{port}/api/v1", "")
    cli.connect(BUCKET)
    path = f"http://127.0.0.1:{port}/api/tempest/apps/store/v1/operations"
    body = {"operation": "create", "resource": {"type": "bucket"}}
    with httpx2.Client(trust_env=False) as http:
        for _ in range(OPERATIONS):
            assert http.post(path, json=body).status_code == 201
    cli.close()


def ended(sites: list[Site]) -> bool:
    """Return whether no operation is left, as far as a server can be asked."""
    for status in ("queued", "claimed"):
        url = f"http://127.0.0.1:{sites[0].port}/api/tempest/operations"
        try:
            answer = httpx2.get(url, params={"status": status, "limit": "1"}, trust_env=False)
        except httpx2.TransportError:
            return False
        if answer.status_code != 200 or answer.json()["operations"]:
            return False
    return True


def work(sites: list[Site]) -> list[App]:
    """Let apps work on servers that are killed; return them."""
    chance = random.Random(SEED)
    with ExitStack() as resources:
        servers = [site.start() for site in sites]
        for site in sites:
            resources.callback(site.stop)
        asked(sites[0].port)
        apps = [App(sites[n % len(sites)].port, SEED + n) for n in range(LOOPS)]
        with ThreadPoolExecutor(LOOPS) as threads:
            turns = [threads.submit(app.run, lambda: ended(sites)) for app in apps]
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.2, 0.6))
                victim = chance.randrange(len(sites))
                servers[victim].kill()
                servers[victim] = sites[victim].start()
            for turn in turns:
                turn.result()
    return apps


def history_of(place: str) -> list[Recorded]:
    """Return the history of a store after every check that operators have."""
    with closing(Ledger(environment_of(place))) as ledger:
        found = verify(ledger, PROJECTORS)
        assert found.finding is None, found.finding
        return ledger.read(0, ledger.head)


def check(history: list[Recorded], apps: list[App]) -> None:
    """Check that each operation was in one pair of hands at a time, and ended once, as was said."""
    held: set[str] = set()
    results: dict[str, bytes] = {}
    for recorded in history:
        match recorded.fact:
            case RunClaimed():
                assert recorded.run_id not in held
                held.add(recorded.run_id)
            case RunLeaseExpired():
                held.remove(recorded.run_id)
            case RunCompleted(result=result):
                held.remove(recorded.run_id)
                assert recorded.run_id not in results
                results[recorded.run_id] = bytes(result)
            case _:
                pass
    assert (len(results), held) == (OPERATIONS, set())
    for run_id, name in (said for app in apps for said in app.reported):
        assert f'"external_id":"{name}"'.encode() in results[run_id]


def test_one_server_on_a_file(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    apps = work([site])
    check(history_of(site.place), apps)
    assert site.complaints() == []


def test_two_servers_on_one_database(tmp_path: Path, cluster: PostgresServer) -> None:
    with cluster.database() as place:
        sites = [site_in(tmp_path, place) for _ in range(2)]
        apps = work(sites)
        check(history_of(place), apps)
    assert [site.complaints() for site in sites] == [[], []]
