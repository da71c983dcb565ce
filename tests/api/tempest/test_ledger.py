"""The ledger looks after operations as after everything else: made again, checked, moved."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from api.services import build
from api.settings import Settings
from projections.catalog import PROJECTORS
from projections.tempest import APPS, OPERATIONS, REQUESTS
from replay.blobs.carrying import Carrier
from replay.export import export_lines
from replay.importing import Importer, Skips
from tests.api.live import LiveServer, serving
from tests.api.tempest.asking import ask, operation
from tests.api.tempest.client import BUCKET, Store, TempestCli
from tests.support.places import key_file_in, place_in
from tests.support.verify import prove

SECONDS = 60
INPUT = {"text": "x" * 3_000}
VARIABLES = [{"name": "TOKEN", "value": "s3cret", "type": "secret"}]


@pytest.fixture(name="worked", scope="module")
def _worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server on which an app has done some of what was asked."""
    with serving(tmp_path_factory.mktemp("tempest-ledger")) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        cli.connect(BUCKET)
        cli.health({"type": "bucket", "status": "healthy"})
        for _ in range(3):
            ask(server.client, cli, environment_variables=VARIABLES, input=INPUT)
        ask(server.client, cli, "list")
        cli.serve(Store())
        gone = ask(server.client, cli)
        server.client.ok("POST", f"/api/tasks/{gone['task_id']}/cancel", {})
        server.client.ok("DELETE", f"/api/tasks/{gone['task_id']}")
        ask(server.client, cli, environment_variables=VARIABLES)
        assert cli.next() is not None
        ask(server.client, cli, environment_variables=VARIABLES)
        cli.close()
        yield server


def rows_of(server: LiveServer) -> list[list[Any]]:
    reader = server.services.ledger.reader
    return [
        sorted(reader.select(f"SELECT * FROM {table.name}"))
        for table in (APPS, OPERATIONS, REQUESTS)
    ]


def test_the_rows_are_made_again_as_they_were(worked: LiveServer) -> None:
    before = rows_of(worked)
    assert [len(rows) for rows in before] == [1, 8, 8]
    worked.client.ok("POST", "/api/projections/tempest/rebuild", {})
    give_up = monotonic() + SECONDS
    while "work" in (found := status(worked)):
        assert monotonic() < give_up, found
        sleep(0.1)
    assert found["state"] == "live"
    assert rows_of(worked) == before


def status(server: LiveServer) -> dict[str, Any]:
    listed = server.client.ok("GET", "/api/projections")["projections"]
    return next(dict(each) for each in listed if each["name"] == "tempest")


def test_the_store_stands_every_check(worked: LiveServer) -> None:
    prove(worked.settings.store)


def test_an_imported_operation_without_its_values_waits_for_somebody(
    worked: LiveServer, tmp_path: Path
) -> None:
    lines = [line for _, line in export_lines(worked.services.ledger)]
    assert all(b"s3cret" not in line for line in lines)
    settings = Settings(store=place_in(tmp_path), secret_key_file=key_file_in(tmp_path))
    with closing(build(settings)) as services:
        carrier = Carrier(services.blobs, services.blobs)
        Importer(services.ledger, PROJECTORS, carrier, Skips()).take(lines, lambda _: None)
    with serving(tmp_path) as server:
        cli = TempestCli(f"{server.url}/api/v1", "")
        assert cli.next() is None
        (lame,) = server.client.ok("GET", "/api/tempest/operations?limit=1")["operations"]
        assert lame["status"] == "needs_attention"
        assert lame["error"] == "the values of TOKEN are not in this store"
        assert operation(server.client, lame["task_id"])["request"]["input"] == {}
        anew = ask(server.client, cli, environment_variables=VARIABLES)
        assert cli.serve(Store()) == [anew["run_id"]]
        cli.close()
    prove(place_in(tmp_path))
