"""Rebuilds on PostgreSQL: others use the tables, the database restarts, or several would do it."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.faults.client import Client, until
from tests.faults.serving import Site
from tests.support.postgres import PostgresServer

NEVER: Final = 3_600
"""Seconds after which background work would come in between."""

WANTED: Final = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
"""Whether somebody wants a table for itself that others use."""

FINISHED: Final = "/api/timeline?type=ops.projection_rebuild_finished"


def task(name: str) -> dict[str, Any]:
    return {"id": name, "scope": "global", "title": name}


def rebuilt(client: Client) -> bool:
    """Whether the dashboard's rebuild has come to its good end."""
    reply = client.call("GET", "/api/projections")
    known = reply.json["projections"] if reply.status == 200 else []
    [last] = [each.get("last") for each in known if each["name"] == "dashboard"] or [None]
    assert last is None or last["end"] == "done", last
    return last is not None


def rebuilding(client: Client) -> bool:
    """Whether a server works on a rebuild."""
    return "rebuilding" in str(client.get("/api/projections"))


def test_a_rebuild_waits_for_who_reads_the_tables_and_holds_nobody_up(
    tmp_path: Path, place: str
) -> None:
    site = Site(tmp_path, place=place, sweep_seconds=NEVER)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", task("before"))
        # As a dump does, for as long as it takes.
        with psycopg.connect(place) as dump:
            dump.execute("SELECT count(*) FROM dashboard_tasks")
            assert client.call("POST", "/api/projections/dashboard/rebuild", {}).status == 202
            for _ in range(2):
                until(lambda: dump.execute(WANTED).fetchone(), "the rebuild wants the tables")
                until(lambda: not dump.execute(WANTED).fetchone(), "the rebuild lets them be")
            client.post("/api/tasks", task("during"))
        until(lambda: rebuilt(client), "the rebuild is done")
        assert {each["id"] for each in client.get("/api/tasks")["tasks"]} == {"before", "during"}
    assert not site.complaints()


def test_a_rebuild_goes_on_after_a_restart(
    tmp_path: Path, cluster: PostgresServer, place: str
) -> None:
    site = Site(tmp_path, place=place, sweep_seconds=NEVER)
    with site.serving(), Client(site.port) as client:
        client.post("/api/tasks", task("before"))
        assert client.call("POST", "/api/projections/dashboard/rebuild", {}).status == 202
        with cluster.stopped():
            until(lambda: "is not available" in site.log.read_text(), "the restart is noticed")
        until(lambda: rebuilt(client), "the rebuild is done")
    assert not site.complaints()


def test_what_an_orphan_has_finished_is_put_on_record(tmp_path: Path, place: str) -> None:
    site = Site(tmp_path, place=place, sweep_seconds=NEVER)
    with psycopg.connect(place, autocommit=True) as other, psycopg.connect(place) as dump:
        with site.serving() as server, Client(site.port) as client:
            dump.execute("SELECT count(*) FROM dashboard_tasks")
            assert client.call("POST", "/api/projections/dashboard/rebuild", {}).status == 202
            until(lambda: other.execute(WANTED).fetchone(), "it is about to switch")
            server.kill()
        dump.rollback()
        until(lambda: not other.execute(WANTED).fetchone(), "nobody waits for the tables")
    with site.serving(), Client(site.port) as client:
        until(lambda: rebuilt(client), "the end is known")
        assert len(client.get(FINISHED)["timeline"]) == 1
    assert not site.complaints()


def test_a_rebuild_that_was_interrupted_is_gone_on_with_by_one_process(
    tmp_path: Path, place: str
) -> None:
    first, *others = (Site(tmp_path, place=place, sweep_seconds=NEVER) for _ in range(3))
    with ExitStack() as resources, psycopg.connect(place) as dump:
        with first.serving() as server, Client(first.port) as client:
            dump.execute("SELECT count(*) FROM dashboard_tasks")
            assert client.call("POST", "/api/projections/dashboard/rebuild", {}).status == 202
            until(lambda: dump.execute(WANTED).fetchone(), "the rebuild wants the tables")
            server.kill()
        for site in others:
            resources.enter_context(site.serving())
        clients = [resources.enter_context(Client(site.port)) for site in others]
        told = "work on dashboard waits"
        until(lambda: all(told in site.log.read_text() for site in others), "both want to go on")
        dump.rollback()
        until(lambda: not any(map(rebuilding, clients)), "nobody works on it any more")
        assert len(clients[0].get(FINISHED)["timeline"]) == 1
    assert [site.complaints() for site in others] == [[], []]
