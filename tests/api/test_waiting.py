"""Claims that wait: who is woken, for how long, and what becomes of those whose client left."""

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

from tests.api.live import NEVER, Client, LiveServer, serving
from tests.api.sockets import hanging_up, raw, until
from tests.support.obstacles import (
    all_have_left,
    commits_held_back,
    commits_kept_open,
    slow_commits,
)

CLAIM_NEXT = "/api/agent/tasks/claim-next"


def asking(session: str, body: bytes = b'{"wait": true}') -> bytes:
    """Return the bytes of a claim that waits."""
    return raw(CLAIM_NEXT, body, X_AGH_Session_ID=session, X_AGH_Agent="coder")


def claims_on_record(client: Client) -> list[Any]:
    """Return the claims of the whole ledger."""
    return list(client.ok("GET", "/api/timeline?type=task.run_claimed")["timeline"])


def connected(server: LiveServer) -> socket.socket:
    """Return a connection of its own."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def test_a_run_that_suits_no_waiter_wakes_none(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60, sweep_seconds=NEVER) as server:
        services, client = server.services, server.client
        with contextlib.ExitStack() as stack:
            for number in range(9):
                waiter = stack.enter_context(connected(server))
                waiter.sendall(asking(f"s{number}"))
            until(lambda: services.committer.metrics.commands > 9)
            tasks = [
                client.create(owner={"kind": "pool", "ref": "others"})["id"],
                client.create()["id"],
            ]
            profile = {"worker": {"agent_name": "others"}}
            client.ok("PUT", f"/api/tasks/{tasks[1]}/execution-profile", profile)
            before = services.committer.metrics.commands
            for task_id in tasks:
                client.enqueue(task_id)
            time.sleep(0.1)

            assert services.committer.metrics.commands - before == 2
            owner = {"owner": {"kind": "agent_session", "ref": "s7"}}
            run_id = client.enqueue(client.create(**owner)["id"])["id"]
            until(lambda: len(services.claims) == 8)
            run = client.ok("GET", f"/api/task-runs/{run_id}")["run"]["run"]
            assert run["session_id"] == "s7"
            assert services.committer.metrics.commands - before == 2 + 3


def test_one_run_wakes_one_of_many_waiters(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60, sweep_seconds=NEVER) as server:
        services, client = server.services, server.client
        with contextlib.ExitStack() as stack:
            for number in range(40):
                waiter = stack.enter_context(connected(server))
                waiter.sendall(asking(f"s{number}"))
            until(lambda: len(services.claims) == 40)
            until(lambda: services.committer.metrics.commands > 40)
            before = services.committer.metrics.commands
            client.enqueue(client.create()["id"])
            until(lambda: len(services.claims) == 39)
            time.sleep(0.1)

            assert services.committer.metrics.commands - before == len(("create", "run", "claim"))
            assert len(services.claims) == 39
        until(lambda: len(services.claims) == 0)


def test_waiting_ends_empty_handed_after_the_longest_wait(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=0.3) as server:
        begin = time.monotonic()
        answer = server.client.agent().post(CLAIM_NEXT, {"wait": True})

        assert answer.status_code == 204
        assert time.monotonic() - begin >= 0.3


def test_nothing_is_claimed_for_a_client_that_left_while_it_waited(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60) as server:
        claims, client = server.services.claims, server.client
        with hanging_up(server.url, asking("s1")):
            until(lambda: len(claims) == 1)
        until(lambda: len(claims) == 0)
        client.enqueue(client.create()["id"])

        assert claims_on_record(client) == []
        assert client.agent("s2").post(CLAIM_NEXT).status_code == 200


def test_nothing_is_decided_for_a_client_that_left_before(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60) as server:
        services, client = server.services, server.client
        client.enqueue(client.create()["id"])
        with commits_held_back(services):
            with hanging_up(server.url, asking("s1")):
                until(lambda: services.committer.waiting == 1)
            until(lambda: all_have_left(services))
        until(lambda: len(services.claims) == 0)

        assert claims_on_record(client) == []
        assert client.agent("s2").post(CLAIM_NEXT).status_code == 200


def test_a_claim_is_given_back_when_its_client_leaves_during_the_commit(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60, sweep_seconds=NEVER) as server:
        services, client = server.services, server.client
        run = client.enqueue(client.create()["id"])
        with commits_kept_open(services) as begun:
            with hanging_up(server.url, asking("s1")):
                until(begun)
                connected = server.connections
            until(lambda: server.connections < connected)
        until(lambda: len(services.claims) == 0)
        path = "/api/timeline?type=task.run_released"
        (released,) = client.ok("GET", path)["timeline"]

        assert released["run"]["id"] == run["id"]
        assert released["payload"]["reason"] == "the client went away"
        assert client.agent("s2").post(CLAIM_NEXT).status_code == 200


def test_a_run_that_comes_while_a_claim_looks_is_not_missed(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60, sweep_seconds=NEVER) as server:
        services, client = server.services, server.client
        task = client.create()
        enqueue = raw(f"/api/tasks/{task['id']}/runs", b"{}")
        with connected(server) as waiter, connected(server) as maker:
            with commits_held_back(services):
                waiter.sendall(asking("s1"))
                until(lambda: services.committer.waiting == 1)
                # The claim is decided first, in the commit that brings the run.
                maker.sendall(enqueue)
                until(lambda: services.committer.waiting == 2)
            waiter.settimeout(30)

            assert waiter.recv(100).startswith(b"HTTP/1.1 200")


def test_a_run_that_comes_while_another_is_handed_out_goes_to_the_next(tmp_path: Path) -> None:
    with serving(tmp_path, claim_wait_seconds=60, sweep_seconds=NEVER) as server:
        services, client = server.services, server.client
        tasks = [client.create() for _ in range(2)]
        with connected(server) as first, connected(server) as second:
            for number, waiter in enumerate((first, second)):
                waiter.sendall(asking(f"s{number}"))
                until(lambda number=number: len(services.claims) == number + 1)
                waiter.settimeout(30)
            slow_commits(server.services, 0.05)
            for task in tasks:
                client.enqueue(task["id"])

            assert first.recv(100).startswith(b"HTTP/1.1 200")
            assert second.recv(100).startswith(b"HTTP/1.1 200")
