"""Streams under cut connections, killed servers and slow readers: each event once, in order."""

import asyncio
import contextlib
import os
import random
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.client import Client, until
from tests.faults.embedded import embedded
from tests.faults.follow import HOST, CuttingProxy, Event, Follower, Framed, recorded
from tests.faults.serving import Site
from tests.support.verify import verify

SEED = 11
FAMILY = {"top", "top.a", "top.b", "top.a.a"}
WRITERS = 3
ROUNDS = 60

STREAMS: dict[str, Callable[[Framed], bool]] = {
    "/api/tasks/top/stream": lambda framed: framed.task_id in FAMILY,
    "/api/tasks/top.a/stream": lambda framed: framed.task_id in {"top.a", "top.a.a"},
    "/api/stream": lambda _: True,
    "/api/stream?type=task.updated,task.run_claimed": lambda framed: (
        framed.event_type in {"task.updated", "task.run_claimed"}
    ),
    "/api/stream?workspace=w1": lambda framed: (
        "w1" in {framed.workspace_id, framed.payload.get("workspace_id")}
    ),
    "/api/stream?actor=agent_session:s1": lambda framed: framed.actor["ref"] == "s1",
}


def prepare(port: int) -> None:
    with Client(port) as client:
        assert client.call("PUT", "/api/workspaces/w1", {"name": "one"}).status == 200
        client.post("/api/tasks", {"id": "top", "scope": "global", "title": "Top"})
        for parent, child in (("top", "top.a"), ("top", "top.b"), ("top.a", "top.a.a")):
            body = {"id": child, "scope": "global", "title": "Below"}
            client.post(f"/api/tasks/{parent}/children", body)


def write(port: int, number: int) -> None:
    """Patch tasks in and outside the family, create others, and work as an agent."""
    chance = random.Random(f"{SEED}/{number}")
    with Client(port) as user, Client(port, session=f"s{number}") as agent:
        for step in range(ROUNDS):
            task_id = f"{number}-{step}"
            place = {"scope": "workspace", "workspace": "w1"} if step % 2 else {"scope": "global"}
            user.insist("POST", "/api/tasks", {"id": task_id, "title": task_id, **place})
            key = {"idempotency_key": task_id}
            user.insist("POST", f"/api/tasks/{task_id}/runs", key)
            title = {"title": f"{task_id} {'x' * chance.randrange(300)}"}
            user.insist("PATCH", f"/api/tasks/{chance.choice(sorted(FAMILY))}", title)
            claimed = agent.insist("POST", "/api/agent/tasks/claim-next", {"lease_seconds": 60})
            if claimed and claimed.status == 200:
                run_id = claimed.json["claim"]["run"]["id"]
                agent.insist("POST", f"/api/agent/tasks/{run_id}/complete", {"result": step})


def write_all(port: int) -> list[threading.Thread]:
    writers = [threading.Thread(target=write, args=(port, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    return writers


def check_follower(follower: Follower, told: Iterable[tuple[Framed, Event]]) -> None:
    """Check that a follower gets exactly the events of its stream, byte by byte."""
    wanted = STREAMS[follower.path]
    expected = [event for framed, event in told if wanted(framed)]
    assert len(expected) > ROUNDS / 2, follower.path
    found = follower.reach(expected[-1].sequence)
    assert [event.sequence for event in found] == [event.sequence for event in expected]
    assert found == expected, follower.path


def test_followers_that_are_cut_anywhere_get_every_event_once(tmp_path: Path) -> None:
    site = Site(tmp_path, keep_alive_seconds=0.2)
    with ExitStack() as stack:
        server = site.start()
        stack.callback(site.stop)
        prepare(site.port)
        proxy = stack.enter_context(CuttingProxy(site.port, seed=SEED, most=20_000))
        followers = [Follower(proxy.port, path) for path in STREAMS for _ in range(2)]
        for follower in followers:
            stack.callback(follower.stopping.set)
            follower.start()
        writers = write_all(site.port)
        until(lambda: len(followers[4].events) > 100, "the followers get going")
        server.kill()
        server = site.start()
        for writer in writers:
            writer.join()

        with Client(site.port) as client:
            told = recorded(client)
        for follower in followers:
            check_follower(follower, told)
        assert proxy.cuts > len(followers) * 3
    assert len(verify(site.store)) == len(told)
    assert not site.complaints()


def test_slow_readers_are_not_cut_and_miss_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving(), Client(site.port) as client, ExitStack() as stack:
        prepare(site.port)
        followers = [
            Follower(site.port, path, pause=pause, piece=1_000, buffer=2_048)
            for path in ("/api/tasks/top/stream", "/api/stream")
            for pause in (3_600.0, 0.01)
        ]
        for follower in followers:
            stack.callback(follower.hurry.set)
            stack.callback(follower.stopping.set)
            follower.start()
        until(lambda: all(follower.connections for follower in followers), "all of them listen")
        write_long(client, 400)
        told = recorded(client)
        for follower in followers:
            assert follower.position < told[-1][1].sequence, "nobody is slow"

        for follower in followers:
            follower.hurry.set()
            expected = [event for framed, event in told if STREAMS[follower.path](framed)]
            assert follower.reach(expected[-1].sequence) == expected
            assert follower.connections == 1


def write_long(client: Client, times: int) -> None:
    """Pause and resume with much to say about it."""
    body = {"reason": "again", "metadata": {"text": "x" * 16_000}}
    for number in range(times):
        client.post(f"/api/tasks/top/{'resume' if number % 2 else 'pause'}", body)


@pytest.mark.skipif(sys.platform != "linux", reason="the list of open files")
def test_streams_that_are_reset_leave_nothing_behind(tmp_path: Path) -> None:
    reset = struct.pack("ii", 1, 0)
    with embedded(tmp_path) as services, Client(services.settings.port) as client:
        prepare(services.settings.port)
        client.get("/api/tasks")
        before = sockets()
        for number in range(300):
            path = list(STREAMS)[number % len(STREAMS)]
            with socket.create_connection((HOST, services.settings.port)) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                if number % 3:
                    # Otherwise the client is gone before the answer begins.
                    assert connection.recv(100)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        until(lambda: len(services.hub) == 0, "no subscriber is left")
        until(lambda: sockets() == before, "no connection is left")
        assert not services.bells
        client.post("/api/tasks", {"scope": "global", "title": "The server goes on"})


def sockets() -> int:
    """Return how many sockets this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


def test_many_clients_of_one_stream_get_the_same_bytes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.serving(), Client(site.port) as client:
        prepare(site.port)
        pages = asyncio.run(listen_together(site.port, 200))
        told = [event.block for framed, event in recorded(client) if framed.task_id in FAMILY]
    assert pages == [b"".join(block + b"\n\n" for block in told)] * 200


async def listen_together(port: int, count: int) -> list[bytes]:
    """Return the body each of many connections got while a task was written to."""
    marker = b"The end"
    everybody = [await asyncio.open_connection(HOST, port) for _ in range(count)]
    for _, writer in everybody:
        writer.write(b"GET /api/tasks/top/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in everybody]
    assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
    readings = [asyncio.create_task(read_until(reader, marker)) for reader, _ in everybody]
    await asyncio.to_thread(patch_often, port, 50, marker.decode())
    pages = await asyncio.wait_for(asyncio.gather(*readings), 60)
    for _, writer in everybody:
        writer.close()
    return pages


async def read_until(reader: asyncio.StreamReader, marker: bytes) -> bytes:
    """Return the chunks of a body up to the event that holds a marker, that event included."""
    found = b""
    while marker not in found:
        size = int(await reader.readline(), 16)
        found += await reader.readexactly(size)
        await reader.readline()
    return found


def patch_often(port: int, times: int, last: str) -> None:
    with Client(port) as client:
        for number in range(times):
            title = {"title": last if number == times - 1 else f"Title {number}"}
            assert client.call("PATCH", "/api/tasks/top.a", title).status == 200


def test_comments_keep_a_silent_stream_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKLEDGER_KEEP_ALIVE_SECONDS", "0.05")
    site = Site(tmp_path)
    with site.serving(), Client(site.port) as client:
        prepare(site.port)
        followers = [
            Follower(site.port, "/api/tasks/top.a/stream"),
            Follower(site.port, "/api/stream?type=task.updated,task.run_claimed"),
        ]
        for follower in followers:
            follower.start()
        until(lambda: all(each.comments > 5 for each in followers), "comments come")
        assert len(followers[0].events) == 3
        # A filtered stream tells where it stands, so that coming back costs nothing.
        head = client.get("/api/timeline")["head"]
        until(lambda: followers[1].checkpoints == [head], "the position is told")
        assert not followers[1].events

        client.call("PATCH", "/api/tasks/top.a", {"title": "Another"})
        sequence = client.get("/api/timeline")["head"]
        for follower in followers:
            assert follower.reach(sequence)[-1].type == "task.updated"
            assert follower.connections == 1
