"""PostgreSQL in trouble under a running server: it says so, loses nothing, and heals by itself."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import psycopg
import pytest

from api.services import Services
from tests.api.live import serving
from tests.faults.client import Client, refused, until
from tests.faults.crew import Crew, check_done
from tests.faults.follow import Follower, recorded
from tests.faults.raw import ask
from tests.faults.serving import Site, history_of
from tests.support.obstacles import cut_connections, kept_open_by_lock, let_commits_be, waits
from tests.support.places import can_mount, key_file_in
from tests.support.postgres import PostgresServer, postgres

SEED: Final = 53
NEVER: Final = 3_600
"""Seconds after which background work would come in between."""

READERS: Final = 8
WRITERS: Final = 4
EACH: Final = 30
TROUBLES: Final = {
    "25P03": "a transaction did nothing for too long",
    "53100": "disk full",
    "53200": "out of memory",
    "57014": "statement timeout",
    "58030": "input or output failed",
    "XX001": "data corrupted",
}


def task(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "scope": "global", "title": name, **fields}


@contextmanager
def served(
    folder: Path, place: str, prepare: Callable[[Services], None] = lambda _: None
) -> Iterator[int]:
    """Give the port of a server in this process, which does nothing by itself."""
    usual: dict[str, Any] = {"sweep_seconds": NEVER, "keep_alive_seconds": 0.2}
    key = key_file_in(folder, "postgresql")
    with serving(folder, prepare=prepare, store=place, secret_key_file=key, **usual) as server:
        yield server.settings.port


def titles(client: Client) -> list[str]:
    """Return what tasks there are, in order of their names."""
    return sorted(each["title"] for each in client.get("/api/tasks")["tasks"])


def unreadable(client: Client) -> bool:
    """Whether the server says that it can neither read nor write, and yet lives."""
    reply = client.call("GET", "/readyz")
    assert client.call("GET", "/healthz").status == 200
    reasons = ["the store cannot be read", "the store cannot be written"]
    return (reply.status, reply.json.get("reasons")) == (503, reasons)


def failures(client: Client, port: int) -> list[tuple[str, str, int]]:
    """Return which operations fail otherwise than by saying that the store is away."""
    found = []
    for path, operations in client.get("/openapi.json")["paths"].items():
        asked = re.sub(r"{[^}]*}", "before", path)
        for method in operations:
            body = None if method == "get" else b"{}"
            status = ask(port, method.upper(), asked, body).status
            if status >= 500 and status != 503:
                found.append((method, path, status))
    return found


def test_a_restart_is_told_while_it_lasts_and_nothing_is_lost(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    # Without being told, neither server would look at what the other commits.
    sites = [
        Site(tmp_path, place=place, sweep_seconds=0.2, keep_alive_seconds=0.2, poll_seconds=NEVER)
        for _ in range(2)
    ]
    with ExitStack() as resources:
        for site in sites:
            resources.enter_context(site.serving())
        left, right = (resources.enter_context(Client(site.port)) for site in sites)
        agents = [resources.enter_context(Client(site.port, session="s9")) for site in sites]
        crews = [
            resources.enter_context(
                Crew(site.port, size=2, seed=SEED, first=2 * number, doubtful=True)
            )
            for number, site in enumerate(sites)
        ]
        follower = Follower(sites[0].port, "/api/stream")
        follower.start()
        left.post("/api/tasks", task("before"))
        until(lambda: all(len(crew.done) > 30 for crew in crews), "writers are at work")
        with cluster.stopped():
            for client, agent in zip((left, right), agents, strict=True):
                for _ in range(3):
                    assert refused(client.call("POST", "/api/tasks", task("lost")))
                    assert refused(client.call("PATCH", "/api/tasks/before", {"title": "lost"}))
                    assert refused(client.call("POST", "/api/tasks/before/runs", {}))
                    assert refused(agent.call("POST", "/api/agent/tasks/claim-next", {}))
                    assert refused(client.call("GET", "/api/tasks"))
                    assert refused(client.call("GET", "/api/timeline?limit=10"))
                    assert refused(client.call("GET", "/api/timeline"))
                    assert unreadable(client)
                assert failures(client, sites[0].port) == []
            told = [len(crew.done) for crew in crews]
        until(
            lambda: all(len(c.done) > n + 30 for c, n in zip(crews, told, strict=True)),
            "writers go on",
        )
        for crew in crews:
            crew.finish()
        # The last event is the other server's, and nothing is written where it is heard of.
        last = right.post("/api/tasks", task("after"))["task"]["latest_event_seq"]
        seen = follower.reach(last)
        whole = recorded(left)
        assert left.call("GET", "/readyz").status == 200
    history = history_of(place)

    assert seen == [event for _, event in whole if event.sequence <= last]
    assert follower.connections == 1
    assert [past.sequence for past in history] == list(range(1, len(history) + 1))
    # Behind it there is only what servers do by themselves.
    assert {past.type for past in history[last:]} <= {"task.run_lease_expired"}
    check_done([done for crew in crews for done in crew.done], history)
    assert [site.complaints() for site in sites] == [[], []]


def test_whether_the_database_can_be_read_is_a_number(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    with served(tmp_path, place) as port, Client(port) as client:

        def told() -> list[str]:
            lines = client.call("GET", "/metrics").body.decode().splitlines()
            return [line for line in lines if line.startswith("taskledger_store_up ")]

        # Who may read the numbers is known from here on, as nobody writes.
        assert told() == ["taskledger_store_up 1.0"]
        with cluster.stopped():
            assert told() == ["taskledger_store_up 0.0"]
        until(lambda: told() == ["taskledger_store_up 1.0"], "the database is read again")


def test_a_server_whose_database_goes_while_it_starts_recovers_when_it_is_back(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    with (
        served(tmp_path, place) as port,
        Client(port) as client,
        Client(port, session="s1") as agent,
    ):
        client.post("/api/tasks", task("t"))
        client.post("/api/tasks/t/runs")
        agent.post("/api/agent/tasks/claim-next", {"lease_seconds": 1})
    time.sleep(1.1)

    with ExitStack() as resources:
        port = resources.enter_context(served(tmp_path, place, prepare=lambda _: cluster.stop()))
        client = resources.enter_context(Client(port))
        assert refused(client.call("GET", "/api/tasks"))
        assert client.call("GET", "/healthz").status == 200
        cluster.start()
        expired = "/api/timeline?type=task.run_lease_expired"
        until(lambda: client.call("GET", expired).json.get("timeline"), "the lease is taken back")
        [event] = client.get(expired)["timeline"]
    assert event["payload"]["reason"] == "orphaned_on_boot"


def test_what_was_committed_though_nobody_heard_of_it_is_found_by_its_key(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    name = place.rpartition("/")[2]
    with (
        served(tmp_path, place) as port,
        Client(port) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        follower = Follower(port, "/api/stream")
        follower.start()
        client.post("/api/tasks", task("t"))
        runs, body = "/api/tasks/t/runs", {"idempotency_key": "once"}
        with kept_open_by_lock(place, str(cluster.folder)) as begun:
            first = threads.submit(client.call, "POST", runs, body)
            until(begun, "there is a commit")
            # From here on nobody can ask whether the commit was done, and it is.
            cluster.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            cut_connections(cluster.port)
        assert refused(first.result())
        until(lambda: not waits(cluster, place), "the commit has ended")
        cluster.run(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        let_commits_be(place)

        again = client.call("POST", runs, body)
        same = client.call("POST", runs, body)
        seen = follower.reach(client.get("/api/timeline")["head"])
        whole = recorded(client)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    assert same.json == again.json
    assert [event.type for event in seen].count("task.run_enqueued") == 1
    assert seen == [event for _, event in whole]


def test_a_table_that_somebody_keeps_is_waited_for_no_longer_than_said(
    tmp_path: Path, place: str
) -> None:
    patience = "options=-c%20lock_timeout%3D300ms"
    site = Site(tmp_path, place=f"{place}?{patience}", sweep_seconds=NEVER)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", task("before"))
        for table in ("stored_events", "tasks"):
            with psycopg.connect(place) as other:
                other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
                for _ in range(2):
                    assert refused(client.call("POST", "/api/tasks", task(f"lost-{table}")))
                if table == "tasks":
                    assert refused(client.call("GET", "/api/tasks"))
                else:
                    # What has nothing to do with it is answered.
                    assert client.call("GET", "/api/tasks").status == 200
                assert client.call("GET", "/healthz").status == 200
        timeline = client.insist("GET", "/api/timeline")
        assert timeline is not None
        assert timeline.json["head"] == 1
        client.post("/api/tasks", task("after"))
        until(lambda: client.call("GET", "/readyz").status == 200, "it says that it is well")
    assert [past.task_id for past in history_of(place)] == ["before", "after"]
    assert not site.complaints()


def test_what_needs_no_table_that_somebody_keeps_is_answered_all_the_time(
    tmp_path: Path, place: str
) -> None:
    site = Site(tmp_path, place=place, sweep_seconds=NEVER, poll_seconds=NEVER)
    with site.serving(), Client(site.port) as client, psycopg.connect(place) as other:
        client.post("/api/tasks", task("before"))
        other.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        for _ in range(8):
            assert refused(client.call("GET", "/api/tasks"))
            for path in ("/api/timeline", "/api/timeline?limit=10", "/api/sessions/none"):
                assert client.call("GET", path).status in {200, 404}, path
    assert not site.complaints()


def test_of_many_who_want_a_table_that_somebody_keeps_one_waits(tmp_path: Path, place: str) -> None:
    patience = "options=-c%20lock_timeout%3D3s"
    site = Site(tmp_path, place=f"{place}?{patience}", sweep_seconds=NEVER, poll_seconds=NEVER)
    with (
        site.serving(),
        ThreadPoolExecutor(READERS) as threads,
        psycopg.connect(place) as other,
    ):
        other.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")

        def ask(_: int) -> bool:
            with Client(site.port) as client:
                return refused(client.call("GET", "/api/tasks"))

        assert all(threads.map(ask, range(READERS)))
    assert site.log.read_text().count("canceling statement due to lock timeout") == 1
    assert not site.complaints()


@contextmanager
def troubled(place: str, state: str) -> Iterator[None]:
    """Let the database fail in this way wherever an event is written."""
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE 'trouble' USING ERRCODE = '{state}'; END $$".encode()
        )
        admin.execute("CREATE TRIGGER fail BEFORE INSERT ON stored_events EXECUTE FUNCTION fail()")
        yield
        admin.execute("DROP FUNCTION fail CASCADE")


def test_a_database_that_fails_by_itself_refuses_writes_alone(tmp_path: Path, place: str) -> None:
    names = ["before"]
    with (
        served(tmp_path, place) as port,
        Client(port) as client,
    ):
        client.post("/api/tasks", task("before"))
        for state, trouble in TROUBLES.items():
            with troubled(place, state):
                assert refused(client.call("POST", "/api/tasks", task(state))), trouble
                assert titles(client) == sorted(names)
            client.post("/api/tasks", task(state))
            names.append(state)
    assert [past.task_id for past in history_of(place)] == names


@pytest.mark.skipif(not can_mount(), reason="no file system of one's own")
def test_a_full_disk_refuses_writes_until_there_is_room_again(tmp_path: Path) -> None:
    with postgres(disk="24m") as cluster:
        place = cluster.create("full")
        site = Site(tmp_path, place=place, sweep_seconds=NEVER)
        with site.serving(), Client(site.port) as client:
            cluster.fill_disk(leaving=500_000)
            kept: list[str] = []
            while len(kept) < 10_000:
                body = task(f"t-{len(kept)}", description=token_hex(4_000))
                reply = client.call("POST", "/api/tasks", body)
                if refused(reply):
                    break
                assert reply.status == 201, reply
                kept.append(body["id"])
            assert 0 < len(kept) < 10_000
            assert refused(client.call("POST", "/api/tasks", body))
            assert titles(client) == sorted(kept)

            cluster.free_disk()
            client.post("/api/tasks", task("after"))
            assert client.call("GET", "/readyz").status == 200
        assert [past.task_id for past in history_of(place)] == [*kept, "after"]
        assert not site.complaints()


def test_a_reader_skips_and_repeats_nothing_under_a_vacuum_and_an_old_snapshot(
    tmp_path: Path, place: str
) -> None:
    with ExitStack() as resources:
        ports = [resources.enter_context(served(tmp_path, place)) for _ in range(2)]
        client = resources.enter_context(Client(ports[0]))
        client.post("/api/tasks", task("first"))
        idle = resources.enter_context(psycopg.connect(place))
        idle.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        count = "SELECT count(*) FROM stored_events"
        assert idle.execute(count).fetchone() == (1,)
        threads = resources.enter_context(ThreadPoolExecutor(WRITERS + 1))
        done = threading.Event()
        resources.callback(done.set)
        writing = [threads.submit(write, ports[n % 2], n) for n in range(WRITERS)]
        vacuuming = threads.submit(vacuum, place, done)
        seen: list[int] = []
        page: list[dict[str, Any]] = []
        at_work = True
        while at_work or page:
            # Asked before reading, so that the last page is read after the last commit.
            at_work = not all(each.done() for each in writing)
            after = seen[-1] if seen else 0
            page = client.get(f"/api/timeline?after_sequence={after}&limit=7")["timeline"]
            seen += [frame["sequence"] for frame in page]
        done.set()
        for each in writing:
            each.result()
        assert vacuuming.result() > 1
        assert idle.execute(count).fetchone() == (1,)

    assert seen == list(range(1, 2 + WRITERS * EACH))


def write(port: int, number: int) -> None:
    """Write tasks, and now and then something that is refused."""
    with Client(port) as client:
        for each in range(EACH):
            client.post("/api/tasks", task(f"w{number}-{each}"))
            assert client.call("POST", "/api/tasks", task("first")).status == 409


def vacuum(place: str, done: threading.Event) -> int:
    """Clean the tables of events up until it is said to be enough; return how often."""
    times = 0
    with psycopg.connect(place, autocommit=True) as admin:
        while not done.wait(0.02):
            admin.execute("VACUUM (FREEZE) stored_events, timeline, ledger_writes")
            times += 1
    return times
