"""Long documents go with the events: through export, import and copy, and verify reads them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

from tests.api.tempest.client import BUCKET
from tests.cli.processes import Server, running
from tests.support.places import KINDS, place_in
from tests.support.s3 import ACCESS, s3

APP: Final = {"app_id": "store", "version": "v1"}
LONG: Final = {"text": "long " * 10_000}


def call(server: Server, path: str, body: Any = None) -> Any:
    """Return an answer of the server."""
    content = None if body is None else json.dumps(body).encode()
    request = Request(server.url + path, content, {"Content-Type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def queue_long(server: Server) -> str:
    """Queue an operation whose request is too long for an event; return its id."""
    call(server, "/api/v1/apps.version.connect", {**APP, "resources": [BUCKET]})
    asked = {"operation": "create", "resource": {"type": "bucket"}, "input": LONG}
    found = call(server, "/api/tempest/apps/store/v1/operations", asked)
    return str(found["operation"]["task_id"])


def input_of(server: Server, task_id: str) -> Any:
    """Return what an operation was asked with."""
    found = call(server, f"/api/tempest/operations/{task_id}")["operation"]
    return found["request"]["input"]


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path) as server:
        yield server


@pytest.fixture(name="task_id")
def _task_id(server: Server) -> str:
    return queue_long(server)


@pytest.fixture(name="access")
def _access(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)


def the_blob_in(folder: Path) -> Path:
    """Return the only blob in a folder."""
    (found,) = folder.glob("??/*")
    return found


def test_an_export_has_the_blobs_beside_it(server: Server, task_id: str, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    store = ("--store", server.store)

    told = server.cli("export", str(file), *store).stdout
    assert " events and 1 blobs, up to sequence " in told
    whole = the_blob_in(tmp_path / "events.ndjson.blobs").read_bytes()
    assert json.loads(whole)["input"] == LONG
    assert server.json("export", str(file), *store)["blobs"] == 0

    target = tmp_path / "copy"
    target.mkdir()
    other = Server(target)
    done = other.json("import", str(file), "--store", other.store)
    assert (done["blobs"], done["present"]) == (1, 0)
    assert other.json("import", str(file), "--store", other.store)["blobs"] == 0
    assert ", 1 blobs, read models " in other.cli("verify", "--store", other.store).stdout
    with running(target) as copy:
        assert input_of(copy, task_id) == LONG


def test_what_no_event_names_is_collected_beside_the_server(
    server: Server, task_id: str, tmp_path: Path
) -> None:
    folder = Path(f"{server.store.removeprefix('sqlite:')}.blobs")
    named, stray = the_blob_in(folder), folder / "00" / ("0" * 64)
    stray.parent.mkdir()
    stray.write_bytes(b"stray")
    store = ("--store", server.store)
    nothing = "0 blobs removed that no event names, 0 bytes\n"
    assert server.cli("blobs", "collect", *store).stdout == nothing
    for file in (named, stray):
        os.utime(file, (0, 0))

    found = server.cli("blobs", "collect", "--dry-run", *store).stdout
    assert found == "1 blobs found that no event names, 5 bytes\n"
    found = server.json("blobs", "collect", *store)
    assert found == {"blobs": 1, "size": 5, "removed": True}
    assert the_blob_in(folder) == named
    assert input_of(server, task_id) == LONG
    nowhere = f"sqlite:{tmp_path / 'nowhere.db'}"
    assert "no store at" in server.cli("blobs", "collect", "--store", nowhere, exit_code=2).output


@pytest.mark.usefixtures("task_id")
def test_standard_output_has_no_place_for_blobs(server: Server, tmp_path: Path) -> None:
    store, folder = ("--store", server.store), str(tmp_path / "blobs")

    alone = server.cli("export", "-", *store)
    assert "1 blobs are left out: --blobs DIR takes them along" in alone.stderr
    beside = server.cli("export", "-", "--blobs", folder, *store)
    assert beside.stdout == alone.stdout
    assert beside.stderr == ""

    file, copy = tmp_path / "events.ndjson", f"sqlite:{tmp_path / 'copy.db'}"
    file.write_text(alone.stdout)
    refused = server.cli("import", str(file), "--store", copy, exit_code=1)
    assert "bytes with the SHA-256" in refused.stderr
    assert f"not in {file}.blobs" in refused.stderr
    words = ("import", str(file), "--blobs", folder, "--store", copy)
    assert " events and 1 blobs imported" in server.cli(*words).stdout


@pytest.mark.usefixtures("task_id")
def test_a_blob_that_is_not_in_order_is_named(server: Server, tmp_path: Path) -> None:
    store = ("--store", server.store)
    blob = the_blob_in(tmp_path / "ledger.db.blobs")
    whole = blob.read_bytes()
    blob.write_bytes(whole.replace(b"l", b"L", 1))

    told = server.cli("verify", *store, exit_code=1).stdout
    assert f"the bytes with the SHA-256 {blob.name} are damaged" in told
    assert server.cli("verify", "--json", *store, exit_code=1).stdout.count(blob.name) == 1
    file = str(tmp_path / "events.ndjson")
    assert blob.name in server.cli("export", file, *store, exit_code=1).stderr
    words = ("copy", "--from", server.store, "--to", f"sqlite:{tmp_path / 'copy.db'}")
    assert blob.name in server.cli(*words, exit_code=1).stderr

    blob.write_bytes(whole)
    assert "and 1 blobs copied" in server.cli(*words).stdout
    assert "and 1 blobs, up to" in server.cli("export", file, *store).stdout


@pytest.mark.usefixtures("access")
@pytest.mark.parametrize("kind", KINDS)
def test_blobs_move_into_a_bucket_and_out_of_it(
    kind: str, server: Server, task_id: str, tmp_path: Path
) -> None:
    bucket, middle = s3().bucket(), place_in(tmp_path / "middle", kind)
    words = ("copy", "--from", server.store, "--to", middle, "--to-blobs", bucket)
    assert server.json(*words)["blobs"] == 1
    assert server.json(*words)["blobs"] == 0
    assert server.json("verify", "--store", middle, "--blob-store", bucket)["blobs"] == 1
    assert " are not in " in server.cli("verify", "--store", middle, exit_code=1).stdout

    last = tmp_path / "last"
    last.mkdir()
    other = Server(last)
    words = ("copy", "--from", middle, "--from-blobs", bucket, "--to", other.store)
    assert server.json(*words)["blobs"] == 1
    with running(last) as copy:
        assert input_of(copy, task_id) == LONG


@pytest.mark.usefixtures("access")
def test_a_server_keeps_blobs_in_a_bucket(tmp_path: Path) -> None:
    with running(tmp_path, "--blob-store", s3().bucket()) as server:
        assert input_of(server, queue_long(server)) == LONG
    assert not (tmp_path / "ledger.db.blobs").exists()


def test_a_place_for_blobs_that_is_none_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path)
    file = tmp_path / "events.ndjson"
    file.touch()
    store = ("--store", server.store)
    for words in (
        ("verify", "--blob-store", "x", *store),
        ("export", str(file), "--blob-store", "x", *store),
        ("copy", "--from", server.store, "--to", f"{server.store}2", "--from-blobs", "x"),
    ):
        server.cli("migrate", *store)
        assert "blob_store must be" in server.cli(*words, exit_code=2).stderr
    told = server.cli("import", str(file), "--blob-store", "x", *store, exit_code=2).stderr
    assert "--blob-store must be empty or s3://" in told
    words = ("copy", "--from", server.store, "--to", f"{server.store}2", "--to-blobs", "x")
    assert "--to-blobs must be empty or s3://" in server.cli(*words, exit_code=2).stderr
