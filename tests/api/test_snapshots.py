"""Snapshots make answers of the past cheap; whether they are there changes no byte of them."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.commands import SkipEvent
from domain.values import LOCAL_USER, Origin
from replay.lock import StoreLock
from replay.snapshots import digest_of
from tests.machine.gates import DirectGate
from tests.machine.moves import spend_day
from tests.machine.rewinding import OF_ALL, RecordingGate, RewindMachine
from tests.replay.audited import STORY, planted

INTERVAL = 4
DASHBOARD = "/api/observe/tasks/dashboard"


@contextmanager
def gate_over(
    folder: Path, kind: type[RecordingGate] = RecordingGate, **settings: Any
) -> Iterator[RecordingGate]:
    gate = kind(folder, **{"snapshot_interval": INTERVAL, **settings})
    try:
        yield gate
    finally:
        gate.close()


@pytest.fixture(name="told")
def _told(tmp_path: Path) -> RecordingGate:
    """A closed gate, with what it answered in its time."""
    with gate_over(tmp_path) as gate:
        for request in STORY:
            gate.send(*request)
    return gate


def files(folder: Path) -> list[Path]:
    return sorted((folder / "ledger.db.snapshots").glob("*.db"))


def sequences(folder: Path) -> list[int]:
    return sorted(int(path.name.partition("-")[0]) for path in files(folder))


def check(gate: DirectGate, told: RecordingGate) -> None:
    """Check every answer about many tasks against those given in their time."""
    for (as_of, path), expected in told.answers.items():
        if path in OF_ALL:
            answer = gate.read(f"{path}{'&' if '?' in path else '?'}as_of={as_of}")
            assert (answer.status, answer.body) == expected, (as_of, path)


def test_answers_begin_with_snapshots_that_are_made_on_the_way(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path) as gate:
        head = gate.services.ledger.head
        check(gate, told)

    assert sequences(tmp_path) == list(range(INTERVAL, head, INTERVAL))[: len(files(tmp_path))]
    assert files(tmp_path)


def test_snapshots_are_made_in_the_background_before_anybody_asks(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
        due = gate.services.ledger.head // INTERVAL * INTERVAL
        made = files(tmp_path)
        gate.run(gate.services.moments.keep_up())
        check(gate, told)

    assert sequences(tmp_path) == list(range(INTERVAL, due + 1, INTERVAL))
    assert files(tmp_path) == made


def test_snapshots_survive_a_restart(told: RecordingGate, tmp_path: Path) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
    made = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    with gate_over(tmp_path) as gate:
        check(gate, told)

    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == made


@pytest.mark.parametrize("damage", [b"", b"not a database"])
def test_a_damaged_snapshot_is_dropped_and_made_again(
    told: RecordingGate, tmp_path: Path, damage: bytes
) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
    made = files(tmp_path)
    for path in made:
        path.write_bytes(damage or path.read_bytes()[:-1] + b"\x00\x01")
    with gate_over(tmp_path) as gate:
        check(gate, told)
        gate.run(gate.services.moments.keep_up())

    assert [path.name.rpartition("-")[0] for path in files(tmp_path)] == [
        path.name.rpartition("-")[0] for path in made
    ]
    assert all(path.stem.endswith(digest_of(path)) for path in files(tmp_path))


def test_answers_leave_snapshots_as_they_are(told: RecordingGate, tmp_path: Path) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
        before = {path: path.read_bytes() for path in files(tmp_path)}
        check(gate, told)

    assert {path: path.read_bytes() for path in files(tmp_path)} == before


def test_snapshots_of_another_history_are_removed(told: RecordingGate, tmp_path: Path) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
    for path in files(tmp_path):
        sequence, _, rest = path.name.partition("-")
        path.rename(path.with_name(f"{sequence}-{'0' * 32}-{rest.partition('-')[2]}"))
    (tmp_path / "ledger.db.snapshots" / "nothing.db").touch()
    with gate_over(tmp_path) as gate:
        check(gate, told)

    assert "0" * 32 not in "".join(path.name for path in files(tmp_path))
    assert "nothing.db" not in {path.name for path in files(tmp_path)}


def test_there_are_never_more_than_there_is_room_for(told: RecordingGate, tmp_path: Path) -> None:
    with gate_over(tmp_path, snapshot_interval=1, snapshot_megabytes=1) as gate:
        gate.run(gate.services.moments.keep_up())
        head = gate.services.ledger.head

    found = files(tmp_path)
    assert sequences(tmp_path)[-1] == head
    assert len(found) == 1 or sum(path.stat().st_size for path in found) <= 1 << 20


def test_those_made_when_they_are_asked_for_make_room_as_well(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path, snapshot_interval=1, snapshot_megabytes=1) as gate:
        for sequence in (8, 2, 7, 3, 5, 4, 6):
            assert gate.read(f"/api/tasks?as_of={sequence}").status == 200
            found = files(tmp_path)
            assert sum(path.stat().st_size for path in found) <= (1 << 20) + found[0].stat().st_size
        check(gate, told)


def test_a_server_that_stops_gives_up_what_it_was_making(
    told: RecordingGate, tmp_path: Path
) -> None:
    folder = tmp_path / "ledger.db.snapshots"
    folder.mkdir(exist_ok=True)
    # Somebody else makes some, so that there is time to leave.
    others = StoreLock(str(folder / "making"))
    with gate_over(tmp_path) as gate:

        async def ask_and_leave() -> None:
            asking = asyncio.create_task(gate.services.moments.reader_at(9))
            await asyncio.sleep(0.05)
            asking.cancel()

        gate.run(ask_and_leave())
    others.release()
    assert files(tmp_path) == []
    with gate_over(tmp_path) as gate:
        check(gate, told)


@pytest.mark.parametrize("path", ["/api/tasks", "/api/scheduler", "/api/observe/tasks/dashboard"])
def test_a_fold_that_fails_is_in_the_log_and_the_present_goes_on(
    told: RecordingGate, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "ledger.db.snapshots"
    folder.write_text("a file where a folder should be")
    with gate_over(tmp_path) as gate:
        head = gate.services.ledger.head
        refused, now = gate.read(f"{path}?as_of={head}"), gate.read(path)
        of_one_task = gate.read(f"/api/tasks/a?as_of={head}")
        folder.unlink()
        again = gate.read(f"{path}?as_of={head}")

    # The text of what is wrong with the server is for its log alone.
    assert (refused.status, refused.json["error"]) == (503, "Service Unavailable")
    due = head // INTERVAL * INTERVAL
    assert f"the read models up to sequence {due} cannot be folded: FileExists" in caplog.text
    assert (now.status, of_one_task.status, again.status) == (200, 200, 200)


def test_moments_a_long_way_from_a_snapshot_are_folded_by_another_process(
    told: RecordingGate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.moments._AT_ONCE", 1)
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
        check(gate, told)


@pytest.mark.parametrize("at_once", [0, 400])
@pytest.mark.usefixtures("told")
def test_an_unreadable_event_is_in_the_way_of_its_task_and_of_what_counts_across_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("api.moments._AT_ONCE", at_once)
    kind = "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 6"
    planted(tmp_path / "ledger.db", kind)
    with gate_over(tmp_path) as gate:
        gate.send("POST", "/api/tasks", {"scope": "global", "title": "Later", "id": "c"})
        head = gate.services.ledger.head
        listed = gate.read(f"/api/tasks?as_of={head}")
        refused = gate.read(f"{DASHBOARD}?as_of={head}")
        before = gate.read(f"{DASHBOARD}?as_of=5")
        body = {"sequence": 6, "reason": "only a test"}
        gate.send("POST", "/api/projections/dashboard/skip", body)
        skipped = gate.read(f"{DASHBOARD}?as_of={head}")

    titles = {each["id"]: each["title"] for each in listed.json["tasks"]}
    assert titles == {"a": "First", "c": "Later"}
    assert refused.status == 503
    assert f"dashboard cannot be told as of sequence {head}: event 6, a " in refused.json["error"]
    assert "projections skip dashboard --sequence 6" in refused.json["error"]
    assert before.status == 200
    assert skipped.json["dashboard"]["totals"]["tasks_total"] == 2


def test_many_who_ask_for_a_moment_at_once_get_the_same(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path) as gate:
        moments = gate.services.moments

        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(moments.reader_at(9) for _ in range(5)))

        readers = gate.run(all_at_once())
        statement = "SELECT * FROM tasks"
        assert len({tuple(each.select(statement)) for each in readers}) == 1
    assert len(files(tmp_path)) == 1


def test_a_snapshot_that_is_gone_or_damaged_in_use_is_done_without(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
        for path in files(tmp_path):
            path.write_bytes(b"no longer a database")
        check(gate, told)
        shutil.rmtree(tmp_path / "ledger.db.snapshots")
        check(gate, told)


def test_two_who_make_the_same_snapshots_take_turns(told: RecordingGate, tmp_path: Path) -> None:
    with gate_over(tmp_path) as one, gate_over(tmp_path) as other:

        async def both() -> None:
            await asyncio.gather(*(each.services.moments.keep_up() for each in (one, other)))

        one.run(both())
        check(other, told)

    found = sequences(tmp_path)
    assert len(found) == len(set(found)) > 0


def test_every_sequence_is_told_alike_with_and_without_snapshots(tmp_path: Path) -> None:
    day = RewindMachine()
    spend_day(day, 7, 30)
    path = day.gate.close()
    with gate_over(path.parent, snapshot_interval=10**6) as without:
        head = without.services.ledger.head
        asked = [f"{each}{'&' if '?' in each else '?'}as_of=" for each in OF_ALL]
        expected = {
            (each, at): without.read(f"{each}{at}").body for at in range(head + 1) for each in asked
        }
    with gate_over(path.parent, snapshot_interval=9) as gate:
        gate.run(gate.services.moments.keep_up())
        for (each, at), body in expected.items():
            assert gate.read(f"{each}{at}").body == body, (each, at)
    assert len(files(path.parent)) == head // 9 > 0
    day.gate.clean()


def pass_over(gate: DirectGate, name: str, sequence: int) -> None:
    """Have a read model pass over an event that is taken for one in its way."""
    skip = SkipEvent(projection=name, sequence=sequence, reason="to see", in_the_way=True)
    context = gate.services.context(LOCAL_USER, Origin("cli", "projections.skip"))
    gate.run(gate.services.committer.submit(skip, context))


def test_an_event_that_is_passed_over_is_so_in_the_past_as_well(
    told: RecordingGate, tmp_path: Path
) -> None:
    with gate_over(tmp_path) as gate:
        gate.run(gate.services.moments.keep_up())
        events = gate.services.ledger.read(0, 100)
        updated = next(each.sequence for each in events if each.type == "task.updated")
        paths = [f"{path}?as_of={{}}" for path in ("/api/tasks", "/api/tasks/a/runs")]
        before = [gate.read(path.format(updated)).body for path in paths]
        pass_over(gate, "tasks", updated)
        after = [gate.read(path.format(updated)).body for path in paths]
        left = [gate.read(path.format(updated - 1)).body for path in paths]
        detail = gate.read(f"/api/tasks/a?as_of={updated}").json["task"]

    assert before[0] != after[0]
    assert after == left
    assert (detail["task"]["title"], len(detail["events"])) == ("First", 4)
