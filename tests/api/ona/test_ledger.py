"""The ledger looks after executions as after everything else: made again, checked, moved."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from api.services import build
from api.settings import Settings
from projections.catalog import PROJECTORS
from projections.ona.tables import TABLES
from replay.blobs.carrying import Carrier
from replay.export import export_lines
from replay.importing import Importer, Skips
from tests.api.live import LiveServer, serving
from tests.api.ona.support import call, claim, create, execution, phases, report, start
from tests.support.places import key_file_in, place_in
from tests.support.verify import prove

ENVIRONMENT = "0190c2b5-5d6e-7e1a-8c6b-3f3f3f3f3f3f"
SECONDS = 60


@pytest.fixture(name="worked", scope="module")
def _worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with an execution that went well, one that did not, one stopped and one waiting."""
    with serving(tmp_path_factory.mktemp("ona-ledger")) as server:
        client = server.client
        first = create(client, ENVIRONMENT, "first", command="x" * 9_000)
        last = create(client, ENVIRONMENT, "last", first)
        gone = create(client, ENVIRONMENT, "gone")
        for number, outcome in enumerate(("complete", "complete", "fail")):
            if number in {0, 2}:
                start(client, last)
            run = claim(client, ENVIRONMENT, f"s{number}")
            assert run is not None
            said = {"error": "no"} if outcome == "fail" else {"result": {"n": number}}
            report(client, run, outcome, **said)
        call(client, "StopTaskExecution", {"id": start(client, gone)["id"]})
        call(client, "DeleteTask", {"id": gone})
        call(client, "UpdateTask", {"id": first, "spec": {"command": "new"}})
        start(client, last)
        yield server


def rows_of(server: LiveServer) -> list[list[Any]]:
    reader = server.services.ledger.reader
    return [sorted(reader.select(f"SELECT * FROM {table.name}")) for table in TABLES]


def status(server: LiveServer) -> dict[str, Any]:
    listed = server.client.ok("GET", "/api/projections")["projections"]
    return next(dict(each) for each in listed if each["name"] == "ona")


def executions(server: LiveServer) -> list[Any]:
    listed = call(server.client, "ListTaskExecutions", {})["taskExecutions"]
    return [phases(execution(server.client, each["id"])) for each in listed]


def test_the_executions_are_as_they_went(worked: LiveServer) -> None:
    assert executions(worked) == [
        ["SUCCEEDED", "SUCCEEDED", "SUCCEEDED"],
        ["FAILED", "FAILED"],
        ["STOPPED", "STOPPED"],
        ["PENDING", "PENDING"],
    ]


def test_the_rows_are_made_again_as_they_were(worked: LiveServer) -> None:
    before = rows_of(worked)
    worked.client.ok("POST", "/api/projections/ona/rebuild", {})
    give_up = monotonic() + SECONDS
    while "work" in (found := status(worked)):
        assert monotonic() < give_up, found
        sleep(0.1)
    assert found["state"] == "live"
    assert rows_of(worked) == before


def test_the_store_stands_every_check(worked: LiveServer) -> None:
    prove(worked.settings.store)


def test_another_store_goes_on_where_this_one_was(worked: LiveServer, tmp_path: Path) -> None:
    lines = [line for _, line in export_lines(worked.services.ledger)]
    settings = Settings(store=place_in(tmp_path), secret_key_file=key_file_in(tmp_path))
    with closing(build(settings)) as services:
        carrier = Carrier(services.blobs, services.blobs)
        Importer(services.ledger, PROJECTORS, carrier, Skips()).take(lines, lambda _: None)
    with serving(tmp_path) as server:
        assert executions(server) == executions(worked)
        run = claim(server.client, ENVIRONMENT, "elsewhere")
        assert run is not None
        report(server.client, run, "complete", result={})
        assert executions(server)[-1] == ["RUNNING", "SUCCEEDED", "PENDING"]
