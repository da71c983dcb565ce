"""A store in order is found to be, and each kind of damage is named."""

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from projections.catalog import PROJECTORS
from replay.verify import Verified, verify
from tests.replay.audited import STORY, events_of, planted, store_of
from tests.replay.support import opened


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return store_of(tmp_path)


def verified(store: Path) -> Verified:
    with opened(store) as ledger:
        return verify(ledger, PROJECTORS)


def test_a_store_in_order_is_found_to_be(store: Path) -> None:
    found = verified(store)

    assert found.finding is None
    assert found.events == found.head == len(events_of(store)) >= len(STORY)
    assert found.read_models == tuple(each.name for each in PROJECTORS)


def test_a_copy_that_cannot_be_written_is_verified_as_well(store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    before = copy.read_bytes()

    with opened(f"file:{copy}?mode=ro") as ledger:
        assert verify(ledger, PROJECTORS).finding is None
    assert copy.read_bytes() == before


def test_an_empty_store_is_in_order(tmp_path: Path) -> None:
    assert verified(store_of(tmp_path, ())).finding is None


def changed(member: str, sequence: int, like: int) -> str:
    """Return a statement that gives an event a member of another one."""
    value = "json_extract(CAST({}.state AS TEXT), '$.{}')"
    old, new = value.format("stored_events", member), value.format("other", member)
    return (
        "UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), " + old + ","
        f" (SELECT {new} FROM stored_events AS other WHERE other.notification_id = {like}))"
        f" AS BLOB) WHERE notification_id = {sequence}"
    )


@pytest.mark.parametrize(
    ("kind", "statement", "text"),
    [
        (
            "sequence",
            "DELETE FROM stored_events WHERE notification_id = 3",
            "sequence 3 is missing",
        ),
        (
            "version",
            "UPDATE stored_events SET originator_version = originator_version + 1"
            " WHERE notification_id = (SELECT max(notification_id) FROM stored_events"
            " WHERE originator_id = 'task:a')",
            "stream task:a has version",
        ),
        (
            "time",
            "UPDATE stored_events SET state = replace(CAST(state AS TEXT),"
            " '\"recorded_at\":1', '\"recorded_at\":2') WHERE notification_id = 2",
            "recorded_at goes back at sequence 3",
        ),
        (
            "unreadable",
            "UPDATE stored_events SET state = x'00' WHERE notification_id = 4",
            "sequence 4, a task.",
        ),
        (
            "event",
            "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 5",
            "event 5, a task.of_tomorrow: ",
        ),
        ("id", changed("event_id", 3, 2), "of sequence 3 was used before"),
        ("command", changed("command_id", 4, 2), "is torn: it goes on at sequence 4"),
        ("row", "UPDATE tasks SET priority = 'low' WHERE task_id = 'a'", "'a' has priority 'low'"),
        ("row", "DELETE FROM runs", "is missing"),
        (
            "row",
            "UPDATE timeline SET frame = x'7b7d' WHERE sequence = 2",
            "2 has frame {}",
        ),
        (
            "row",
            "UPDATE tracking SET notification_id = 1 WHERE application_name = 'tasks'",
            "tasks stands at 1",
        ),
    ],
)
def test_damage_is_found_and_named(store: Path, kind: str, statement: str, text: str) -> None:
    planted(store, statement)

    finding = verified(store).finding

    assert finding is not None
    assert finding.kind == kind
    assert text in finding.text


def test_a_page_of_the_file_that_is_damaged_is_found_wherever_it_is(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'tasks_activity'"
        ).fetchone()
    with store.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 100)

    finding = verified(store).finding

    assert finding is not None
    assert finding.kind == "file"
    assert f"page {page}" in finding.text.lower()


def test_a_type_of_another_release_is_called_that(store: Path) -> None:
    planted(store, "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 5")

    finding = verified(store).finding

    assert finding is not None
    assert "this release knows no such type" in finding.text


def test_what_follows_on_such_an_event_is_not_blamed(store: Path) -> None:
    first = next(row[0] for row in events_of(store) if row[3] == "task.run_enqueued")
    planted(store, f"UPDATE stored_events SET topic = 'x' WHERE notification_id = {first}")

    finding = verified(store).finding

    assert finding is not None
    assert (finding.kind, finding.sequence) == ("event", first)


def test_a_row_that_no_event_gave_is_found(store: Path) -> None:
    planted(store, "UPDATE timeline SET sequence = 1000 WHERE sequence = 1")

    finding = verified(store).finding

    assert finding is not None
    assert "row 1 is missing" in finding.text


def test_a_command_whose_events_were_not_written_together_is_torn(store: Path) -> None:
    with opened(store) as ledger:
        events = ledger.read(0, 1000)
    second = next(
        later.sequence
        for earlier, later in pairwise(events)
        if earlier.command_id == later.command_id
    )
    planted(
        store,
        "UPDATE stored_events SET state = CAST(replace(CAST(state AS TEXT), '\"recorded_at\":1',"
        f" '\"recorded_at\":2') AS BLOB) WHERE notification_id >= {second}",
    )

    finding = verified(store).finding

    assert finding is not None
    assert (finding.kind, finding.sequence) == ("command", second)


def test_rows_of_another_release_are_called_that(store: Path) -> None:
    planted(store, "UPDATE read_models SET doc = '{\"version\":0}' WHERE name = 'tasks'")
    finding = verified(store).finding

    assert finding is not None
    assert (finding.kind, finding.read_model) == ("row", "tasks")
    assert finding.text == (
        "read model tasks has rows of version 0, this release gives it version"
        f" {next(each.version for each in PROJECTORS if each.name == 'tasks')}:"
        " no server of this release has rebuilt it yet"
    )


def test_a_read_model_that_a_later_release_brought_is_called_that(store: Path) -> None:
    planted(store, "DELETE FROM read_models WHERE name = 'lookup'")
    finding = verified(store).finding

    assert finding is not None
    assert finding.text == (
        "read model lookup is not in the store: no server of this release has run on it yet"
    )
