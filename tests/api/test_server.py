"""The server as a process: what it says, how it ends, and what keeps it from starting."""

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from api.services import build
from api.settings import Settings
from api.tokens import create_token
from replay.lock import live_server
from tests.api.events import following
from tests.api.live import Client, serving
from tests.api.sockets import hanging_up, raw, until
from tests.support.obstacles import refuse_writes
from tests.support.ports import free_port
from tests.support.server import STOP_SECONDS, running

SERVE = """
import sys
from api.server import run
from api.settings import from_env
run(from_env(dict(item.split("=", 1) for item in sys.argv[1:])))
"""


def command(store: Path, port: int, **settings: str) -> list[str]:
    """Return the arguments of a server."""
    values = {"STORE": f"sqlite:{store}", "PORT": str(port), **settings}
    return ["-c", SERVE, *(f"TASKLEDGER_{name}={value}" for name, value in values.items())]


def refused(arguments: list[str]) -> str:
    """Return the one line of a server that does not start."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_server_says_where_it_is_and_ends_in_order(tmp_path: Path) -> None:
    store, port = tmp_path / "deep" / "ledger.db", free_port()
    # A server that waits for the reader to go would take longer than we do.
    patient = command(store, port, SHUTDOWN_SECONDS=str(2 * STOP_SECONDS))
    with running(patient, port=port, log=tmp_path / "log") as server:
        client = Client(server.url)
        client.create(title="kept")
        holder = live_server(str(store))
        with following(client, "/api/stream") as stream:
            stream.next()
            begin = time.monotonic()
            assert server.stop() == 0
            list(stream.rest())
        client.close()

    assert time.monotonic() - begin < STOP_SECONDS
    assert holder is not None
    assert holder.url == server.url
    assert live_server(str(store)) is None
    said = (tmp_path / "log").read_text()
    assert f"taskledger is listening on http://127.0.0.1:{port}" in said
    assert "/openapi.json" in said
    assert str(store) in said


def test_what_was_answered_survives_a_crash(tmp_path: Path) -> None:
    store, port = tmp_path / "ledger.db", free_port()
    with running(command(store, port), port=port, log=tmp_path / "log") as server:
        client = Client(server.url)
        ids = {client.create()["id"] for _ in range(20)}
        server.kill()
        client.close()
    with running(command(store, port), port=port, log=tmp_path / "log") as server:
        client = Client(server.url)
        found = {task["id"] for task in client.ok("GET", "/api/tasks")["tasks"]}
        client.close()

    assert found == ids


def test_an_interrupt_ends_a_server_too(tmp_path: Path) -> None:
    port = free_port()
    with running(command(tmp_path / "l.db", port), port=port, log=tmp_path / "log") as server:
        server.process.send_signal(signal.SIGINT)

        assert server.process.wait(STOP_SECONDS) == 0


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert refused(command(tmp_path / "l.db", port)) == (
            f"taskledger: cannot listen on 127.0.0.1:{port}: Address already in use"
            "; choose another one with --port or TASKLEDGER_PORT\n"
        )


def test_a_store_that_another_server_holds_is_named(tmp_path: Path) -> None:
    store, port = tmp_path / "l.db", free_port()
    with running(command(store, port), port=port, log=tmp_path / "log") as server:
        text = refused(command(store, 0))

    assert "is in use by the server with process id" in text
    assert server.url in text


def test_an_unusable_store_or_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and long enough to tell\n" * 100)
    (tmp_path / "folder").mkdir()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE notes (text)")

    assert "text.db" in refused(command(tmp_path / "text.db", 0))
    assert "is a directory" in refused(command(tmp_path / "folder", 0))
    assert "other.db is the database of another program" in refused(
        command(tmp_path / "other.db", 0)
    )
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("notes",)]
    assert "TASKLEDGER" not in refused(command(tmp_path / "text.db" / "below.db", 0))


def test_a_server_for_others_needs_a_token(tmp_path: Path) -> None:
    store = tmp_path / "l.db"
    text = refused(command(store, 0, HOST="0.0.0.0"))
    assert "there is no access token yet" in text
    services = build(Settings(store=f"sqlite:{store}"))
    token = create_token(services, name="n", scopes=("admin",))
    services.close()
    port = free_port()
    with running(command(store, port, HOST="0.0.0.0"), port=port, log=tmp_path / "log") as server:
        client = Client(server.url).like(
            Authorization=f"Bearer {token.text}", Host="ledger.example"
        )

        assert client.get("/api/tasks").status_code == 200
        client.close()


def test_leases_that_ran_out_while_nobody_served_are_taken_back_first(tmp_path: Path) -> None:
    store, port = tmp_path / "l.db", free_port()
    with running(command(store, port), port=port, log=tmp_path / "log") as server:
        client = Client(server.url)
        run = client.enqueue(client.create()["id"])
        client.agent().ok("POST", "/api/agent/tasks/claim-next", {"lease_seconds": 1}, 200)
        server.kill()
        client.close()
    time.sleep(1.1)
    with running(command(store, port), port=port, log=tmp_path / "log") as server:
        client = Client(server.url)
        detail = client.ok("GET", f"/api/task-runs/{run['id']}")["run"]
        event = client.ok("GET", "/api/timeline?type=task.run_lease_expired")["timeline"][0]
        client.close()

    assert detail["run"]["status"] == "queued"
    assert event["payload"]["reason"] == "orphaned_on_boot"
    assert event["actor"] == {"kind": "daemon", "ref": "boot-recovery"}


def test_a_drain_goes_on_when_its_client_has_left(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client
        run = client.enqueue(client.create()["id"])
        client.ok("POST", f"/api/task-runs/{run['id']}/claim")
        with hanging_up(server.url, raw("/api/scheduler/drain", b"{}")):
            until(lambda: client.ok("GET", "/api/scheduler")["scheduler"]["paused"])
        client.ok("POST", f"/api/task-runs/{run['id']}/cancel")

        path = "/api/timeline?type=scheduler.drain_completed"
        until(lambda: len(client.ok("GET", path)["timeline"]) == 1)


def test_streams_and_waiting_claims_end_with_the_server(tmp_path: Path) -> None:
    answers: list[int] = []
    with serving(tmp_path, claim_wait_seconds=60) as server:
        agent = server.client.agent()

        def wait() -> None:
            body = {"wait": True}
            answers.append(agent.post("/api/agent/tasks/claim-next", body).status_code)

        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: len(server.services.claims) == 1)
        server.stop()
        thread.join()

    assert answers == [204]


def test_a_reader_that_leaves_is_forgotten(tmp_path: Path) -> None:
    with serving(tmp_path, keep_alive_seconds=0.05) as server:
        with following(server.client, "/api/stream"):
            until(lambda: len(server.services.hub) == 1)
        until(lambda: len(server.services.hub) == 0)

        assert not server.services.bells


def test_commits_of_another_process_reach_streams_and_lists(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        beside = build(Settings(store=server.settings.store))
        with following(server.client, "/api/stream") as stream:
            create_token(beside, name="n")
            beside.close()

            assert stream.next().name == "ops.token_created"


def test_a_store_that_fails_is_a_503(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(tmp_path) as server:
        server.client.create()
        refuse_writes(server.services)
        response = server.client.post("/api/tasks", {"scope": "global", "title": "t"})
        recovered = server.client.post("/api/tasks", {"scope": "global", "title": "t"})
        server.services.stopping.set()
        ready = server.client.get("/readyz")

    (told,) = (each for each in caplog.messages if "not available" in each)
    assert told.startswith("the store is not available: ")
    assert told.count("available") == 1
    assert response.status_code == 503
    assert response.json() == {"error": "Service Unavailable"}
    assert response.headers["retry-after"] == "1"
    assert recovered.status_code == 201
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["the server is shutting down"]


def test_a_long_list_is_whole_and_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ids = [server.client.create(title=f"t{number}")["id"] for number in range(450)]
        listed = server.client.ok("GET", "/api/tasks")["tasks"]
        limited = server.client.ok("GET", "/api/tasks?limit=401")["tasks"]

    assert [task["id"] for task in listed] == ids[::-1]
    assert [task["id"] for task in limited] == ids[::-1][:401]
