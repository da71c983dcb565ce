"""A run of PostHog on a server that is killed: what was acknowledged is there, and once."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Lock

import httpx2

from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.places import environment_of
from replay.verify import verify
from tests.faults.serving import Site
from tests.faults.test_large import Run

CLIENTS = 4
BEFORE_KILL = 150
SMALL, LARGE = 10, 70_000


def append(run: Run, numbers: "count[int]", acknowledged: list[int], lock: Lock) -> None:
    """Append entries, some of them as a blob, until the server is gone."""
    headers = {"content-type": "application/json"}
    with closing(HTTPConnection("127.0.0.1", run.server.port, timeout=20)) as connection:
        try:
            while True:
                number = next(numbers)
                text = "x" * (LARGE if number % 20 == 0 else SMALL)
                body = json.dumps({"entries": [{"n": number, "text": text}]})
                connection.request("POST", f"{run.path}/append_log/", body, headers)
                with closing(connection.getresponse()) as response:
                    response.read()
                    if response.status == HTTPStatus.OK:
                        # Else two could append before either looks.
                        with lock:
                            acknowledged.append(number)
                            enough = len(acknowledged) == BEFORE_KILL
                        if enough:
                            run.server.kill()
        except (OSError, HTTPException):
            return


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    site = Site(tmp_path)
    run = Run(site.start())
    acknowledged: list[int] = []
    numbers, lock = count(), Lock()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(append, run, numbers, acknowledged, lock) for _ in range(CLIENTS)]:
            done.result()
    run.http.close()
    with site.serving() as server:
        answer = httpx2.get(f"{server.url}{run.path}/logs", timeout=60)
        kept = [json.loads(line)["n"] for line in answer.content.splitlines()]
        again = httpx2.post(f"{server.url}{run.path}/append_log", json={"entries": [{"n": -1}]})
        assert again.status_code == HTTPStatus.OK
        linked = httpx2.get(again.json()["log_url"], timeout=60).content.splitlines()
        assert [json.loads(line)["n"] for line in linked] == [*kept, -1]

    assert len(acknowledged) >= BEFORE_KILL
    assert len(kept) == len(set(kept))
    assert set(acknowledged) <= set(kept)
    assert len(kept) - len(acknowledged) <= CLIENTS
    with closing(Ledger(environment_of(site.place))) as ledger:
        found = verify(ledger, PROJECTORS)
    assert found.finding is None, found.finding
