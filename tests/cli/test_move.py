"""`taskledger migrate` and `copy`, with their exit codes."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from api.services import build
from api.settings import Settings
from replay.migrations import MIGRATIONS, latest
from tests.cli.processes import Server, until
from tests.faults.serving import Site
from tests.replay.audited import planted, store_of
from tests.support.places import KINDS, place_in

NOW = latest(MIGRATIONS)


@pytest.fixture(name="cli")
def _cli(tmp_path: Path) -> Server:
    """No server: the commands work on stores."""
    return Server(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_migrate_says_which_version_there_was_and_is(
    kind: str, cli: Server, tmp_path: Path
) -> None:
    words = ("migrate", "--store", place_in(tmp_path / "new", kind))

    assert cli.cli(*words).stdout == f"schema version {NOW}, made\n"
    assert cli.cli(*words).stdout == f"schema version {NOW}, nothing to do\n"
    assert cli.json(*words) == {"before": NOW, "version": NOW}


def test_migrate_refuses_a_newer_schema(cli: Server, tmp_path: Path) -> None:
    place = place_in(tmp_path, "postgresql")
    cli.cli("migrate", "--store", place)
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute("UPDATE meta SET value = value + 1")

    told = cli.cli("migrate", "--store", place, exit_code=2).stderr
    assert f"schema version {NOW + 1}; this release knows {NOW}\n" in told


def test_migrate_refuses_what_is_no_store(cli: Server, tmp_path: Path) -> None:
    cli.cli("migrate", "--store", f"sqlite:{tmp_path}", exit_code=2)
    told = cli.cli("migrate", "--store", "mysql:x", exit_code=2).stderr
    assert "--store must be sqlite:PATH or postgresql://" in told


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> str:
    return f"sqlite:{store_of(tmp_path)}"


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> str:
    return place_in(tmp_path, "postgresql")


def test_copy_there_and_back(cli: Server, source: str, database: str, tmp_path: Path) -> None:
    there = cli.cli("copy", "--from", source, "--to", database).stdout
    back = cli.json("copy", "--from", database, "--to", f"sqlite:{tmp_path / 'back.db'}")

    assert "0 were there already" in there
    assert f"both logs have the digest {back['digest']}" in there
    assert "the same rows in both: lookup, " in there
    assert (back["finding"], back["unequal"], back["present"]) == (None, [], 0)
    assert back["copied"] == back["head"] == back["source_head"]
    assert back["secrets_left_behind"] == 0
    lines = [
        cli.cli("export", "-", "--store", each).stdout
        for each in (source, database, f"sqlite:{tmp_path / 'back.db'}")
    ]
    assert lines[0] == lines[1] == lines[2]
    replayed = [
        cli.cli("replay", "--task", "a", "--from", "4", "--store", each).stdout
        for each in (source, database)
    ]
    assert replayed[0] == replayed[1]


def test_copy_says_that_secrets_stay_behind(
    cli: Server, source: str, database: str, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as store:
        store.execute("INSERT INTO bridge_secrets VALUES ('s', x'00')")
        store.commit()

    told = cli.cli("copy", "--from", source, "--to", database).stdout

    assert "secrets stay behind (1)" in told


def test_copy_ends_with_1_when_the_stores_differ(
    cli: Server, source: str, database: str, tmp_path: Path
) -> None:
    cli.cli("copy", "--from", source, "--to", database)
    planted(tmp_path / "ledger.db", "UPDATE tasks SET priority = 'low'")
    told = cli.cli("copy", "--from", source, "--to", database, exit_code=1).stdout
    assert "wrong in the source, right in the target: tasks" in told

    planted(tmp_path / "ledger.db", "DELETE FROM stored_events WHERE notification_id > 3")
    told = cli.cli("copy", "--from", source, "--to", database, exit_code=1).stderr
    assert "but the source at 3" in told


def test_copy_ends_with_2_when_a_store_cannot_be_used(
    cli: Server, source: str, database: str, tmp_path: Path
) -> None:
    nowhere = f"{database}x"
    for words, told in (
        (("--from", source, "--to", source), "the same store"),
        (("--from", source, "--to", nowhere), "does not exist"),
        (("--from", nowhere, "--to", source), "does not exist"),
        (("--from", f"sqlite:{tmp_path / 'no.db'}", "--to", database), "there is no store at"),
        (("--from", "mysql:x", "--to", database), "--from must be sqlite:PATH"),
        (("--from", source, "--to", "mysql:x"), "--to must be sqlite:PATH"),
    ):
        assert told in cli.cli("copy", *words, exit_code=2).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_a_served_store_is_neither_copied_nor_imported_into(
    kind: str, cli: Server, source: str, tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    target = place_in(tmp_path / "served", kind)
    file = tmp_path / "events.ndjson"
    cli.cli("export", str(file), "--store", source)
    with Site(tmp_path / "served", place=target).serving():
        until(lambda: kind == "sqlite" or led(target))

        told = cli.cli("copy", "--from", source, "--to", target, exit_code=2).stderr
        assert "is in use by" in told
        told = cli.cli("import", str(file), "--store", target, exit_code=2).stderr
        assert "is in use by" in told
        assert cli.json("copy", "--from", target, "--to", source.replace("ledger", "copy"))


def led(place: str) -> bool:
    """Return whether a server leads on a database."""
    with closing(build(Settings(store=place))) as services:
        return not services.ledger.access.leads()


def test_the_offline_commands_work_on_a_database(
    cli: Server, source: str, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "events.ndjson"
    cli.cli("export", str(file), "--store", source)
    store = ("--store", database)

    first = cli.json("import", str(file), *store)
    head = first["head"]
    assert first == {"imported": head, "present": 0, "blobs": 0, "head": head}
    assert cli.json("import", str(file), *store)["imported"] == 0
    assert cli.cli("export", "-", *store).stdout == file.read_text()
    assert "in order" in cli.cli("verify", *store).stdout
    assert cli.json("verify", *store)["finding"] is None
    words = ("replay", "--task", "a")
    assert (
        cli.cli(*words, *store, "--json").stdout
        == cli.cli(*words, "--store", source, "--json").stdout
    )
    span = ("diff", "--from", "1", "--to", "9")
    assert cli.cli(*span, *store).stdout == cli.cli(*span, "--store", source).stdout
    cli.cli("replay", "--task", "unknown", *store, exit_code=2)


def test_verify_finds_what_is_wrong_in_a_database(cli: Server, source: str, database: str) -> None:
    cli.cli("copy", "--from", source, "--to", database)
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute("UPDATE tasks SET priority = 'low' WHERE task_id = 'a'")

    told = cli.cli("verify", "--json", "--store", database, exit_code=1).stdout
    assert json.loads(told)["finding"]["read_model"] == "tasks"
    assert (
        "tasks"
        in cli.cli("projections", "verify", "tasks", "--store", database, exit_code=1).stdout
    )
    cli.cli("projections", "rebuild", "tasks", "--repair", "--store", database)
    cli.cli("verify", "--store", database)


def test_tokens_and_read_models_of_a_database(cli: Server, source: str, database: str) -> None:
    cli.cli("copy", "--from", source, "--to", database)
    store = ("--store", database)

    made = cli.json("token", "create", "--name", "laptop", *store)
    assert [each["id"] for each in cli.json("token", "list", *store)] == [made["id"]]
    assert cli.json("token", "revoke", made["id"], *store) == {"revoked": made["id"]}
    assert {each["state"] for each in cli.json("projections", "list", *store)} == {"live"}
    cli.cli("projections", "rebuild", "tasks", *store)
    cli.cli("projections", "status", "tasks", *store)
    cli.cli("projections", "rollback", "tasks", *store)
    cli.cli("verify", *store)
