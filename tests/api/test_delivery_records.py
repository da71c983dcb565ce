"""What is kept of deliveries: the position in events, the secrets beside them."""

import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from msgspec.structs import replace

from api.cli.main import main
from api.server import listen
from api.services import build
from api.settings import Settings
from domain.world import Change
from projections.bridges import BridgesProjector
from projections.catalog import PROJECTORS
from projections.rows import Rows
from tests.api.bridged import QUICK, bridged, complete, failures, followed, served, when
from tests.api.live import LiveServer, error_of, serving
from tests.api.receiver import receiving
from tests.api.test_projections import finished, status, until
from tests.support.places import key_file_in, place_in


def test_a_restart_and_a_rebuild_send_nothing_again(tmp_path: Path) -> None:
    with receiving() as receiver:
        with bridged(tmp_path, receiver) as (server, _):
            paths = [followed(server.client, f"t{n}") for n in range(3)]
            for n in range(3):
                complete(server.client, f"t{n}")
            before = [when(server.client, path, served) for path in paths]
        with serving(tmp_path, **QUICK) as server:
            client = server.client
            for name in ("bridges", "tasks"):
                client.ok("POST", f"/api/projections/{name}/rebuild", status=202)
                finished(client, name)
            after = [client.ok("GET", path)["subscription"] for path in paths]
            last = followed(client, "last")
            complete(client, "last")
            when(client, last, served)

    assert after == before
    assert len(receiver.requests) == 4


def test_secrets_are_encrypted_with_a_key_that_nobody_else_can_read(tmp_path: Path) -> None:
    in_file = place_in(tmp_path, "sqlite")
    with (
        receiving() as receiver,
        bridged(tmp_path, receiver, store=in_file, secret_key_file="") as (server, secret),
    ):
        key = tmp_path / "ledger.db.key"
        assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
        rotated = server.client.ok("PUT", "/api/bridges/b", {"rotate_secret": True})["secret"]
        assert rotated != secret
        plain = [each.removeprefix("whsec_").encode() for each in (secret, rotated)]
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert not any(each in content for each in plain), file
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        ((kept,),) = connection.execute("SELECT count(*) FROM bridge_secrets")
    connection.close()
    assert kept == 1


def test_without_its_secret_a_bridge_waits_for_another_one(tmp_path: Path) -> None:
    in_file: dict[str, Any] = {"store": place_in(tmp_path, "sqlite"), "secret_key_file": ""}
    with receiving() as receiver:
        with bridged(tmp_path, receiver, **in_file) as (server, first):
            path = followed(server.client, "t")
        (tmp_path / "ledger.db.key").unlink()
        with serving(tmp_path, **QUICK, **in_file) as server:
            client = server.client
            assert client.ok("GET", "/api/bridges/b")["secret_available"] is False
            complete(client, "t")
            found = when(client, path, failures(1))
            assert "the secret of the bridge is not in this store" in found["cursor"]["last_error"]
            second = client.ok("PUT", "/api/bridges/b", {"name": "again"})["secret"]
            when(client, path, served)
            assert second != first
            assert client.ok("GET", "/api/bridges/b")["secret_available"] is True
        (request,) = receiver.requests
        assert request.signed_with(second)


class FrailBridges(BridgesProjector):
    """Cannot take that something was delivered."""

    def apply(self, change: Change, rows: Rows) -> None:
        if change.recorded.type == "notification.delivered":
            raise ArithmeticError
        super().apply(change, rows)


def test_a_detached_read_model_sends_nothing_twice(tmp_path: Path) -> None:
    frail = tuple(FrailBridges() if each.name == "bridges" else each for each in PROJECTORS)
    settings = Settings(port=0, store=f"sqlite:{tmp_path}/ledger.db")
    with receiving() as receiver, listen(settings) as listener:
        services = build(replace(settings, port=listener.getsockname()[1]), projectors=frail)
        with LiveServer(services).running(listener) as server:
            client = server.client
            client.ok("PUT", "/api/bridges/b", {"url": receiver.url})
            followed(client, "t")
            complete(client, "t")
            until(lambda: status(client, "bridges")["state"] == "detached")
            # The rows keep saying that there is something to be told; the events say it was.
            time.sleep(1.5)

        assert len(receiver.requests) == 1


def test_an_import_brings_positions_and_no_secrets(tmp_path: Path) -> None:
    stores = [f"sqlite:{tmp_path}/{name}/ledger.db" for name in ("one", "two")]
    with receiving() as receiver:
        usual: dict[str, Any] = {"secret_key_file": ""}
        with bridged(tmp_path / "one", receiver, store=stores[0], **usual) as (server, secret):
            path = followed(server.client, "t")
            complete(server.client, "t")
            before = when(server.client, path, served)
        lines = tmp_path / "events.ndjson"
        run = CliRunner().invoke
        assert run(main, ["export", str(lines), "--store", stores[0]]).exit_code == 0
        assert secret.removeprefix("whsec_").encode() not in lines.read_bytes()
        assert run(main, ["import", str(lines), "--store", stores[1]]).exit_code == 0
        with serving(tmp_path / "two", **QUICK, store=stores[1], **usual) as server:
            assert server.client.ok("GET", path)["subscription"] == before
            assert server.client.ok("GET", "/api/bridges/b")["secret_available"] is False
            time.sleep(0.3)
        assert len(receiver.requests) == 1


def test_postgresql_keeps_secrets_encrypted_with_the_key_of_a_file(tmp_path: Path) -> None:
    store, key_file = place_in(tmp_path, "postgresql"), key_file_in(tmp_path, "postgresql")
    with receiving() as receiver:
        with serving(tmp_path, store=store, secret_key_file="") as server:
            made = server.client.send("PUT", "/api/bridges/b", json={"url": receiver.url})
            assert error_of(made, 422).endswith("set secret_key_file")
            error_of(server.client.get("/api/bridges/b"), 404)
        with bridged(tmp_path, receiver, store=store, secret_key_file=key_file) as (server, first):
            second = server.client.ok("PUT", "/api/bridges/b", {"rotate_secret": True})["secret"]
            path = followed(server.client, "t")
            complete(server.client, "t")
            when(server.client, path, served)
        (request,) = receiver.requests
        assert request.signed_with(second)
        assert not request.signed_with(first)
