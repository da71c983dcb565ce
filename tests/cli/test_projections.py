"""`taskledger projections`, through a running server and on a store that nobody serves."""

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.cli.main import main
from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.places import environment_of
from tests.api.test_poison import interrupt
from tests.cli.processes import ROOT, TASKLEDGER, Server, environment, running
from tests.replay.audited import planted
from tests.support.verify import verify

NAMES = [each.name for each in PROJECTORS]
KINDS = ("served", "stored")


@contextmanager
def stored(kind: str, folder: Path) -> Iterator[Path]:
    """Give a store with some work in it, with its server or after that has stopped."""
    with running(folder) as server:
        fill(server)
        if kind == "stored":
            server.stop()
        yield folder / "ledger.db"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A store of one test's own."""
    with stored(request.param, tmp_path) as found:
        yield found


@pytest.fixture(params=KINDS, scope="module")
def unchanged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A store for the tests that change nothing."""
    with stored(request.param, tmp_path_factory.mktemp("unchanged")) as found:
        yield found


def fill(server: Server) -> None:
    for number in range(5):
        server.queue(f"task {number}")


def cli(store: Path, *words: str, exit_code: int = 0) -> Result:
    command = ["projections", *words, "--store", f"sqlite:{store}"]
    asked = CliRunner().invoke(main, command, prog_name="taskledger")
    assert asked.exit_code == exit_code, (asked.output, asked.exception)
    return asked


def documents(store: Path, *words: str, exit_code: int = 0) -> Any:
    return json.loads(cli(store, *words, "--json", exit_code=exit_code).stdout)


def test_read_models_are_listed(unchanged: Path) -> None:
    assert [each["name"] for each in documents(unchanged, "list")] == NAMES
    shown = cli(unchanged, "list").stdout
    assert "NAME" in shown
    assert "live" in shown


def test_all_are_rebuilt_one_by_one_and_one_is_rolled_back(store: Path) -> None:
    found = documents(store, "rebuild", "--all")
    assert [each["last"]["end"] for each in found] == ["done"] * len(NAMES)
    assert documents(store, "rollback", "tasks")["state"] == "live"
    assert re.search(r"^last work +roll_back$", cli(store, "status", "tasks").stdout, re.M)
    shown = cli(store, "status", "runs").stdout
    assert "previous version" in shown
    assert re.search(r"^how it ended +done$", shown, re.M)
    digest = next(each["last"]["digest"] for each in found if each["name"] == "runs")
    assert re.search(rf"^digest of the rows +{digest}$", shown, re.M)
    assert documents(store, "list")[0]["head"] > 10
    verify(store)


def test_differences_are_shown_and_repaired(store: Path) -> None:
    with closing(sqlite3.connect(store, timeout=5, isolation_level=None)) as file:
        file.execute("UPDATE runs SET session_id='made up'")
    shown = cli(store, "verify", "runs", exit_code=1).stdout
    assert "runs  differs from its rebuild at sequence" in shown
    assert "0 missing  0 extra  5 changed" in shown
    assert '"stored":{"session_id":"made up"}' in shown

    assert "--repair" in cli(store, "rebuild", "runs", exit_code=1).stdout
    advice = documents(store, "status", "runs")["rebuild_failure"]["advice"]
    assert "taskledger projections rebuild runs --dry-run" in advice
    assert "taskledger projections rebuild runs --repair" in advice
    cli(store, "rebuild", "runs", "--repair")
    assert "rebuild_failure" not in documents(store, "status", "runs")
    assert "runs  equals its rebuild" in cli(store, "rebuild", "runs", "--dry-run").stdout
    cli(store, "verify")


def test_a_second_rebuild_is_refused_whoever_does_the_first(store: Path) -> None:
    with closing(Ledger(environment_of(f"sqlite:{store}"))) as ledger, ledger.access.alone("runs"):
        told = cli(store, "rebuild", "runs", exit_code=1).stdout

    assert told == f"runs  refused  runs is being worked on by the process with id {os.getpid()}\n"
    cli(store, "rebuild", "runs")


def test_the_rebuild_of_another_process_is_not_canceled(tmp_path: Path) -> None:
    with stored("stored", tmp_path) as store:
        interrupt(tmp_path, 1)
        place = environment_of(f"sqlite:{store}")
        with closing(Ledger(place)) as ledger, ledger.access.alone("runs"):
            told = cli(store, "cancel", "runs", exit_code=1).stderr
        assert f"runs is being worked on by the process with id {os.getpid()}" in told

        assert documents(store, "cancel", "runs")["last"]["end"] == "canceled"


def test_an_event_is_skipped_with_a_reason(store: Path) -> None:
    planted(store, "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 1")
    assert (
        documents(store, "skip", "tasks", "--sequence", "1", "--reason", "old")["state"] == "live"
    )
    told = cli(store, "skip", "tasks", "--sequence", "99999", "--reason", "old", exit_code=2)
    assert "there is no event 99999; the last one is" in told.output
    assert "there is nothing" not in cli(store, "cancel", "tasks", exit_code=1).output


def test_an_event_that_a_read_model_takes_is_not_skipped(store: Path) -> None:
    told = cli(store, "skip", "tasks", "--sequence", "1", "--reason", "slip", exit_code=1).output

    assert 'event 1 is not in the way of "tasks"' in told
    assert "projections rebuild tasks" in told
    cli(store, "verify", "tasks")


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--server", "nowhere"),
        ("status", "none"),
        ("rebuild", "none"),
        ("rebuild",),
        ("verify", "none"),
        ("cancel", "none"),
        ("rollback", "none"),
        ("skip", "none", "--sequence", "1", "--reason", "old"),
    ],
)
def test_an_unknown_name_or_place_is_wrong_usage(unchanged: Path, words: tuple[str, ...]) -> None:
    cli(unchanged, *words, exit_code=2)


def test_progress_is_drawn_on_a_terminal_and_nowhere_else(store: Path) -> None:
    ours, theirs = os.openpty()
    command = [*TASKLEDGER, "projections", "rebuild", "tasks", "--store", f"sqlite:{store}"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(TERM="xterm"), stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    drawn = b""
    with suppress(OSError):
        while piece := os.read(ours, 4096):
            drawn += piece
    os.close(ours)
    printed, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert b"tasks" in drawn
    assert b"\x1b[" in drawn
    assert printed.startswith(b"tasks  done")
    assert b"\x1b[" not in printed
