"""Asking something of an app from the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.tempest.client import BUCKET, Store, TempestCli
from tests.cli.processes import Server


@pytest.fixture(name="cli", scope="module")
def _cli(server: Server) -> Iterator[TempestCli]:
    cli = TempestCli(f"{server.url}/api/v1", "")
    cli.connect(BUCKET)
    yield cli
    cli.close()


def test_apps_are_listed(server: Server, cli: TempestCli) -> None:
    cli.health({"type": "bucket", "status": "degraded", "message": ""})
    row = server.cli("tempest", "apps").stdout.splitlines()[1].split()
    assert row[:5] == ["store", "v1", "bucket", "bucket", "degraded"]
    assert server.json("tempest", "apps")[0]["app_id"] == "store"


def test_an_operation_from_its_queueing_to_its_end(
    server: Server, cli: TempestCli, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    file.write_text("-----BEGIN KEY-----\n")
    enqueue = ("tempest", "enqueue", "store", "v1", "--operation", "create", "--type", "bucket")
    row = server.cli(
        *enqueue,
        *("--input", '{"name": "invoices"}', "--priority", "high", "--idempotency-key", "k"),
        *("--env-from", "HOME", "--env-from", f"private_key:KEY={file}", "--metadata", "{}"),
    ).stdout
    assert row.splitlines()[1].split()[1:6] == ["queued", "store", "v1", "create", "bucket"]
    again = server.json(*enqueue, "--input", '{"name": "invoices"}', "--priority", "high")
    store = Store()
    assert len(cli.serve(store)) == 2
    secret, key = store.seen[0]["environment_variables"]
    assert (secret["name"], secret["type"]) == ("HOME", "secret")
    assert key == {"name": "KEY", "value": "-----BEGIN KEY-----\n", "type": "private_key"}
    done = server.json("tempest", "operations", "--status", "completed", "--app", "store")
    assert done[0]["task_id"] == again["task_id"]
    shown = server.json("tempest", "operation", again["task_id"])
    assert shown["response"]["resource"]["properties"] == {"name": "invoices"}
    assert "invoices" in server.cli("tempest", "operation", again["task_id"]).stdout


def test_values_have_to_be_there(server: Server) -> None:
    enqueue = ("tempest", "enqueue", "store", "v1", "--operation", "create", "--type", "bucket")
    told = server.cli(*enqueue, "--env-from", "NOT_SET_ANYWHERE", exit_code=2).stderr
    assert "the environment has no NOT_SET_ANYWHERE" in told
    told = server.cli(*enqueue, "--env-from", "A=/does/not/exist", exit_code=2).stderr
    assert "/does/not/exist cannot be read" in told


def test_nothing_is_listed_as_nothing(server: Server) -> None:
    assert "no operations" in server.cli("tempest", "operations", "--app", "none").stdout
