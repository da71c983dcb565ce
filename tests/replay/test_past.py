"""Folds of the past leave a read model behind where its projector raises, and no other one."""

import sqlite3
from pathlib import Path

import pytest

from domain.world import Change
from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.past import PastFold, create
from replay.related import Pad, RelatedFold
from replay.rows import RowBuffer
from replay.snapshots import Shelf, Snapshot, StoppedError, opened
from tests.replay.audited import planted, store_of
from tests.replay.support import opened as opened_ledger

TASKS = next(each for each in PROJECTORS if each.name == "tasks")
RUNS = next(each for each in PROJECTORS if each.name == "runs")
DASHBOARD = next(each for each in PROJECTORS if each.name == "dashboard")


class Fussy:
    """Keeps tasks, but cannot take the event at a sequence."""

    name = "fussy"
    version = 1
    tables = TASKS.tables

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self.separable = False

    def apply(self, change: Change, rows: RowBuffer) -> None:
        TASKS.apply(change, rows)
        if change.recorded.sequence == self._sequence:
            message = "it cannot take this one"
            raise LookupError(message)


def folded(ledger: Ledger, upto: int, *projectors: object) -> tuple[sqlite3.Connection, PastFold]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create(connection, projectors)  # type: ignore[arg-type]
    return connection, go_on(ledger, connection, upto, *projectors)


def go_on(
    ledger: Ledger, connection: sqlite3.Connection, upto: int, *projectors: object
) -> PastFold:
    rows = RowBuffer(table for each in projectors for table in each.tables)  # type: ignore[attr-defined]
    rows.start(connection)
    fold = PastFold(ledger, projectors, rows)  # type: ignore[arg-type]
    list(fold.pages(ledger.reader, upto, 3))
    return fold


def positions(connection: sqlite3.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT * FROM past_positions"))


def rows_of(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def test_one_that_raises_is_left_behind_there_and_the_others_go_on(tmp_path: Path) -> None:
    with opened_ledger(store_of(tmp_path)) as ledger:
        found, fold = folded(ledger, ledger.head, Fussy(5), RUNS)
        before, _ = folded(ledger, 4, TASKS)
        whole, _ = folded(ledger, ledger.head, RUNS)

        assert positions(found) == {"fussy": 4, "runs": ledger.head}
        assert rows_of(found, "tasks") == rows_of(before, "tasks")
        assert rows_of(found, "runs") == rows_of(whole, "runs")
        assert [(name, each.sequence) for name, each in fold.failures.items()] == [("fussy", 5)]


def test_what_was_left_behind_stays_there_when_a_later_moment_begins_with_it(
    tmp_path: Path,
) -> None:
    with opened_ledger(store_of(tmp_path)) as ledger:
        found, _ = folded(ledger, 7, Fussy(5), RUNS)
        go_on(ledger, found, ledger.head, Fussy(5), RUNS)
        assert positions(found) == {"fussy": 4, "runs": ledger.head}

        go_on(ledger, found, ledger.head, Fussy(0), RUNS)
        whole, _ = folded(ledger, ledger.head, TASKS)
        assert positions(found) == {"fussy": ledger.head, "runs": ledger.head}
        assert rows_of(found, "tasks") == rows_of(whole, "tasks")


UNREADABLE = "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 6"
READABLE = "UPDATE stored_events SET topic = 'task.updated' WHERE notification_id = 6"


def before_and_whole(store: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return the rows before the event that becomes unreadable, and those at the head."""
    with opened_ledger(store) as ledger:
        before, _ = folded(ledger, 5, TASKS, RUNS)
        whole, _ = folded(ledger, ledger.head, TASKS, RUNS)
    return before, whole


def test_an_unreadable_event_holds_back_its_stream_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    before, whole = before_and_whole(store)
    planted(store, UNREADABLE)

    with opened_ledger(store) as ledger:
        found, fold = folded(ledger, ledger.head, TASKS, RUNS, DASHBOARD)

        assert positions(found) == {"tasks": 11, "runs": 11, "dashboard": 5}
        for table in ("tasks", "runs"):
            (held,) = rows_of(before, table)[:1]
            assert rows_of(found, table) == [held, *rows_of(whole, table)[1:]]
        assert {name: error.sequence for name, error in fold.failures.items()} == {
            "tasks": 6,
            "runs": 6,
            "dashboard": 6,
        }


def test_what_is_held_back_stays_so_until_its_event_can_be_taken(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    before, whole = before_and_whole(store)
    planted(store, UNREADABLE)
    with opened_ledger(store) as ledger:
        found, _ = folded(ledger, 7, TASKS, RUNS)
        again = go_on(ledger, found, ledger.head, TASKS, RUNS)
        assert rows_of(found, "tasks")[:1] == rows_of(before, "tasks")[:1]
        assert again.failures["runs"].sequence == 6
    planted(store, READABLE)

    with opened_ledger(store) as ledger:
        mended = go_on(ledger, found, ledger.head, TASKS, RUNS)

    assert mended.failures == {}
    for table in ("tasks", "runs"):
        assert rows_of(found, table) == rows_of(whole, table)


def test_one_stream_of_what_raises_is_held_back_and_no_other_read_model(tmp_path: Path) -> None:
    fussy = Fussy(6)
    fussy.separable = True
    with opened_ledger(store_of(tmp_path)) as ledger:
        found, _ = folded(ledger, ledger.head, fussy, RUNS)
        before, _ = folded(ledger, 5, TASKS)
        whole, _ = folded(ledger, ledger.head, TASKS, RUNS)

        assert positions(found) == {"fussy": 11, "runs": 11}
        assert rows_of(found, "runs") == rows_of(whole, "runs")
        held, *_ = rows_of(before, "tasks")
        assert rows_of(found, "tasks") == [held, *rows_of(whole, "tasks")[1:]]


def test_of_one_task_as_well_the_others_go_on(tmp_path: Path) -> None:
    with opened_ledger(store_of(tmp_path)) as ledger:
        pad = Pad([Fussy(5), RUNS])
        list(RelatedFold(ledger, ledger.reader, ledger.head, pad).slices("a", "runs"))
        before, _ = folded(ledger, 4, TASKS)
        whole, _ = folded(ledger, ledger.head, RUNS)

        (expected,) = before.execute("SELECT * FROM tasks WHERE task_id = 'a'").fetchall()
        assert rows_of(pad.connection, "tasks") == [expected]
        assert rows_of(pad.connection, "runs") == rows_of(whole, "runs")
        pad.clear()
        assert rows_of(pad.connection, "tasks") == []


def test_whoever_is_asked_to_stop_leaves_no_snapshot(tmp_path: Path) -> None:
    with opened_ledger(store_of(tmp_path)) as ledger:
        shelf = Shelf(tmp_path / "shelf", ledger, PROJECTORS)
        with pytest.raises(StoppedError):
            shelf.make([4], stopping=lambda: True)
        assert shelf.snapshots() == []

        shelf.make([4, 6])
        assert [each.sequence for each in shelf.snapshots()] == [4, 6]
        assert all(each.is_sound() for each in shelf.snapshots())


def test_a_snapshot_that_is_gone_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    gone = Snapshot(4, tmp_path / "gone.db")

    with pytest.raises(sqlite3.OperationalError):
        opened(gone, PROJECTORS).execute("SELECT * FROM sqlite_master")
    assert not gone.path.exists()
    assert (gone.size, gone.is_sound()) == (0, False)
