"""`taskledger migrate` and `copy`, with their exit codes."""

from pathlib import Path

import psycopg
import pytest

from replay.migrations import MIGRATIONS, latest
from tests.cli.processes import Server
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
