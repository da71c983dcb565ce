"""The disk fails under a running server: writes are refused, reads go on, and it recovers."""

import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.client import Client, refused, until
from tests.faults.crew import Crew, check_done
from tests.faults.serving import Site
from tests.support.places import can_mount
from tests.support.server import Server, wait_ready
from tests.support.verify import verify

SEED = 7
FAILURES = 15
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")


@contextmanager
def files_end_at(server: Server, size: int) -> Iterator[None]:
    """Let the running server write no file behind `size` bytes."""
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        if server.process.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def task(name: str) -> dict[str, Any]:
    return {"id": name, "scope": "global", "title": name}


def test_a_disk_that_takes_nothing_refuses_writes_alone_and_heals(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving() as server, Client(site.port) as client:
        client.post("/api/tasks", task("before"))
        with files_end_at(server, 0):
            for number in range(20):
                reply = client.call("POST", "/api/tasks", task(f"during-{number}"))
                assert refused(reply), reply
            unready = client.call("GET", "/readyz")
            assert (unready.status, unready.json["status"]) == (503, "unavailable")
            assert unready.json["reasons"] == ["the store cannot be written"]
            assert client.call("GET", "/healthz").status == 200
            assert [each["id"] for each in client.get("/api/tasks")["tasks"]] == ["before"]
            assert client.get("/api/timeline")["head"] == 1
            # What was refused because of its content still is.
            assert client.call("POST", "/api/tasks", {"scope": "global"}).status == 422

        assert client.call("GET", "/readyz").status == 200
        client.post("/api/tasks", task("during-0"))
        client.post("/api/tasks", task("after"))
        assert server.process.poll() is None

    history = verify(site.store)
    assert [past.task_id for past in history] == ["before", "during-0", "after"]
    assert not site.complaints()


def test_a_server_is_ready_again_by_itself_when_nobody_writes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving() as server, Client(site.port) as client:
        with files_end_at(server, 0):
            assert refused(client.call("POST", "/api/tasks", task("lost")))
            assert client.call("GET", "/readyz").status == 503
            assert client.call("GET", "/readyz").status == 503
        assert client.call("GET", "/readyz").status == 200
        assert client.get("/api/timeline")["head"] == 0
    verify(site.store)


def test_writes_that_break_off_anywhere_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    site = Site(tmp_path, sweep_seconds=0.2)
    wal = site.store.with_name(f"{site.store.name}-wal")
    with site.serving() as server, Crew(site.port, size=4, seed=SEED, pause=0.005) as crew:
        with Client(site.port) as client:
            for failure in range(FAILURES):
                acknowledged = len(crew.done)
                until(lambda at=acknowledged: len(crew.done) > at + 5, "writers go on")  # type: ignore[misc]
                # Somewhere in the middle of what is written next: a frame, a page, a commit.
                with files_end_at(server, wal.stat().st_size + chance.randrange(20_000)):
                    time.sleep(0.2)
                    assert client.call("GET", "/api/tasks?limit=5").status == 200
                if failure % 3 == 0:
                    verify(site.store)
        crew.finish()
    check_done(crew.done, verify(site.store))
    assert not site.complaints()


def test_a_server_killed_while_the_disk_fails_starts_again_with_everything(tmp_path: Path) -> None:
    site = Site(tmp_path)
    server = site.start()
    with Client(site.port) as client:
        for number in range(30):
            client.post("/api/tasks", task(f"kept-{number}"))
        wal = site.store.with_name(f"{site.store.name}-wal")
        with files_end_at(server, wal.stat().st_size + 5_000):
            replies = [client.call("POST", "/api/tasks", task("then-0"))]
            # A log that was checkpointed meanwhile is filled again before it has to grow.
            while replies[-1].status == 201 and len(replies) < 1_000:
                replies.append(client.call("POST", "/api/tasks", task(f"then-{len(replies)}")))
            server.kill()
    kept = [f"then-{n}" for n, reply in enumerate(replies) if reply.status == 201]
    assert len(kept) == len(replies) - 1
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", task("again"))
    names = [f"kept-{number}" for number in range(30)]
    assert [past.task_id for past in verify(site.store)] == [*names, *kept, "again"]


@contextmanager
def small_disk(folder: Path, port: int) -> Iterator[tuple[Server, Path]]:
    """Give a server whose store lies on a file system of 1 MiB of its own, and where that is."""
    disk, log = folder / "disk", folder / "server.log"
    disk.mkdir()
    serve = f"{sys.executable} -m api.cli serve --port {port} --store sqlite:{disk}/ledger.db"
    script = f"mount -t tmpfs -o size=1m tmpfs {disk} && exec {serve}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(port=port, process=process, log=log)
    try:
        wait_ready(server)
        yield server, Path(f"/proc/{process.pid}/root{disk}")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@pytest.mark.skipif(not can_mount(), reason="no file system of one's own")
def test_a_full_disk_refuses_writes_until_there_is_room_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with small_disk(tmp_path, site.port) as (_, disk), Client(site.port) as client:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 400_000)
        kept: list[str] = []
        while len(kept) < 10_000:
            body = {**task(f"t-{len(kept)}"), "description": "x" * 4_000}
            reply = client.call("POST", "/api/tasks", body)
            if refused(reply):
                break
            assert reply.status == 201
            kept.append(body["id"])
        assert 0 < len(kept) < 10_000
        assert client.call("GET", "/readyz").status == 503
        shown = client.get("/api/tasks")["tasks"]
        assert sorted(each["id"] for each in shown) == sorted(kept)

        ballast.unlink()
        client.post("/api/tasks", task("after"))
        assert client.call("GET", "/readyz").status == 200
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copyfile(disk / name, tmp_path / name)
    assert [past.task_id for past in verify(tmp_path / "ledger.db")] == [*kept, "after"]
