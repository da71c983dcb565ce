"""Apps of Tempest that die, on servers that are killed: nothing is lost, nothing is done twice."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2

from api.vault import kept_in
from domain.events import RunClaimed, RunCompleted, RunLeaseExpired
from domain.recorded import Recorded
from replay.ledger import Ledger
from replay.places import environment_of
from tests.api.tempest.client import BUCKET, TempestCli, changed, resource
from tests.faults.serving import Site, history_of
from tests.support.places import key_file_in, place_in

OPERATIONS = 40
LOOPS = 4
KILLS = 3
SECONDS = 120
SEED = 47


def site_in(folder: Path, kind: str) -> Site:
    return Site(
        folder,
        place=place_in(folder, kind),
        secret_key_file=key_file_in(folder, kind),
        tempest_lease_seconds=1,
        sweep_seconds=0.1,
        max_lease_expiries=1_000,
    )


class App:
    """A loop that polls one server; now and then it dies with an operation in its hands."""

    def __init__(self, port: int, seed: int) -> None:
        self.reported: list[tuple[str, str]] = []
        self._cli = TempestCli(f"http://127.0.0.1:{port}/api/v1", "")
        self._person = person(port)
        self._chance = random.Random(seed)

    def run(self) -> None:
        """Go on until everything is done."""
        give_up = time.monotonic() + SECONDS
        while not (idle := self._turn()) or not self._ended():
            assert time.monotonic() < give_up, "operations are left"
            time.sleep(0.1 * idle)
        self._cli.close()
        self._person.close()

    def _ended(self) -> bool:
        """Return whether no operation is left, as far as the server can be asked."""
        # What is claimed may be queued next, by a lease that ran out; then it is seen all the same.
        for status in ("claimed", "queued"):
            query = {"status": status, "limit": "1"}
            try:
                answer = self._person.get("/api/tempest/operations", params=query)
            except httpx2.TransportError:
                return False
            if answer.status_code != 200 or answer.json()["operations"]:
                return False
        return True

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
        # So long that servers are killed in the midst of the work.
        time.sleep(self._chance.uniform(0.1, 0.3))
        if self._chance.random() > 0.2:
            name = f"b-{self._chance.randrange(1 << 30)}"
            for _ in range(self._chance.choice((1, 1, 2))):
                answer = self._cli.report(found["task_id"], changed(resource(name)))
                if answer.status_code == 200:
                    self.reported.append((found["task_id"], name))


def person(port: int) -> httpx2.Client:
    """Return a client of the ledger's own API."""
    return httpx2.Client(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=60
    )


def asked(port: int) -> None:
    """Connect the app and queue operations."""
    cli = TempestCli(f"http://127.0.0.1:{port}/api/v1", "")
    cli.connect(BUCKET)
    variable = {"name": "TOKEN", "value": "s3cret-of-the-store"}
    body = {
        "operation": "create",
        "resource": {"type": "bucket"},
        "environment_variables": [variable],
    }
    with person(port) as http:
        for _ in range(OPERATIONS):
            answer = http.post("/api/tempest/apps/store/v1/operations", json=body)
            assert answer.status_code == 201, answer.text
    cli.close()


def until_forgotten(place: str) -> None:
    """Wait until no values of variables are kept, though servers were killed that kept them."""
    give_up = time.monotonic() + SECONDS
    with closing(Ledger(environment_of(place))) as ledger:
        while kept_in(ledger):
            assert time.monotonic() < give_up, "values are left"
            time.sleep(0.05)


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
            turns = [threads.submit(app.run) for app in apps]
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.2, 0.6))
                victim = chance.randrange(len(sites))
                servers[victim].kill()
                servers[victim] = sites[victim].start()
            for turn in turns:
                turn.result()
        until_forgotten(sites[0].place)
    return apps


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
    site = site_in(tmp_path, "sqlite")
    apps = work([site])
    check(history_of(site.place), apps)
    assert site.complaints() == []


def test_two_servers_on_one_database(tmp_path: Path) -> None:
    sites = [site_in(tmp_path, "postgresql") for _ in range(2)]
    apps = work(sites)
    check(history_of(sites[0].place), apps)
    assert [site.complaints() for site in sites] == [[], []]
