"""A read model folded anew beside the live one, switched to, rolled back, and compared."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from api.services import world_of
from domain.commands import SkipEvent
from domain.decide import decide
from domain.world import Change
from projections.rows import Row, Rows
from replay.batch import Projector
from replay.committer import Committer
from replay.fold import FoldError
from replay.ledger import Ledger
from replay.read_models import Previous, Standing, holds, position_of, standing_of
from replay.rebuild import Workshop
from replay.workbench import CanceledError, Progress, RefusedError
from tests.replay.support import FIRST_TIME, PROJECTORS, context, opened, register
from tests.replay.test_detach import SEEN, Seen, SeenApart, SeenMore, committer_with

EVENTS = 700


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path) as ledger:
        yield ledger


@pytest.fixture
def committer(ledger: Ledger) -> Committer:
    committer = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])
    fill(committer, EVENTS)
    return committer


def fill(committer: Committer, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        committer.execute(register(f"w{number}"), context())


@pytest.fixture
def other(committer: Committer, path: Path) -> Iterator[Ledger]:
    """The ledger as another process has it."""
    assert committer.waiting == 0
    with opened(path) as ledger:
        yield ledger


def workshop(ledger: Ledger, projector: Seen | None = None, stop_after: int = -1) -> Workshop:
    told: list[Progress] = []
    return Workshop(
        ledger,
        projector or Seen(),
        lambda: FIRST_TIME,
        report=told.append,
        stopping=lambda: 0 <= stop_after <= len(told),
    )


def standing(ledger: Ledger) -> Standing:
    return standing_of(ledger.writer.connection, "seen")


def rows(ledger: Ledger) -> list[Row]:
    return ledger.reader.select("SELECT * FROM seen ORDER BY 1")


def leftovers(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_master")]
    files = [each.name for each in path.parent.iterdir() if "rebuild" in each.name]
    return [each for each in (*names, *files) if "__next" in each or each.endswith("-seen")]


def test_a_rebuild_gives_the_same_rows_in_new_tables(
    ledger: Ledger, other: Ledger, committer: Committer, path: Path
) -> None:
    before = rows(ledger)
    ended = workshop(other).rebuild()
    fill(committer, 1, EVENTS)

    assert ended is not None
    assert (ended.ending, ended.position) == ("rebuilt", EVENTS)
    assert rows(ledger)[:-1] == before
    assert rows(ledger)[-1][0] == EVENTS + 1
    previous = Previous(version=1, position=EVENTS)
    assert standing(ledger) == Standing(version=1, generation=1, previous=previous, ended=ended)
    assert leftovers(path) == []


def test_rebuilding_again_and_again_works(ledger: Ledger, other: Ledger, path: Path) -> None:
    for _ in range(3):
        workshop(other).rebuild()

    assert standing(ledger).generation == 3
    assert len(rows(ledger)) == EVENTS
    assert leftovers(path) == []


def test_a_table_that_is_missing_is_made_anew(ledger: Ledger, other: Ledger) -> None:
    ledger.writer.connection.execute("DROP TABLE seen")

    workshop(other).rebuild()

    assert len(rows(ledger)) == EVENTS


def test_who_is_to_stop_before_anything_is_begun_begins_nothing(
    ledger: Ledger, other: Ledger, path: Path
) -> None:
    with pytest.raises(CanceledError):
        workshop(other, stop_after=0).rebuild()

    assert standing(ledger).rebuild is None
    assert leftovers(path) == []


def test_another_version_is_switched_to_whatever_its_rows(ledger: Ledger, other: Ledger) -> None:
    workshop(other, SeenMore()).rebuild()

    assert standing(ledger).version == 2
    assert rows(ledger)[0] == (1, "workspace:w0", "workspace.registered")


def test_damaged_rows_are_not_replaced_unless_that_is_asked_for(
    ledger: Ledger, other: Ledger
) -> None:
    ledger.writer.connection.execute("UPDATE seen SET stream='damaged' WHERE sequence=5")
    ledger.writer.connection.execute("DELETE FROM seen WHERE sequence=6")
    for _ in range(2):
        with pytest.raises(RefusedError, match=f"differ from the live ones at sequence {EVENTS}"):
            workshop(other).rebuild()
    found = standing(ledger)
    assert found.rebuild is not None
    assert found.rebuild.failure is not None
    assert found.state == "live"

    workshop(other).rebuild(repair=True)

    assert [row[1] for row in rows(ledger)[4:6]] == ["workspace:w4", "workspace:w5"]


def test_a_check_says_which_rows_differ_and_changes_nothing(
    ledger: Ledger, other: Ledger, path: Path
) -> None:
    connection = ledger.writer.connection
    connection.execute("UPDATE seen SET stream='damaged' WHERE sequence=5")
    connection.execute("DELETE FROM seen WHERE sequence IN (6, 7)")
    connection.execute("INSERT INTO seen VALUES (9999, 'made up')")
    before = rows(ledger), standing(ledger)

    position, (found,) = workshop(other).check()

    assert position == EVENTS
    assert (found.table, found.missing, found.extra, found.changed) == ("seen", 2, 1, 1)
    assert {(example.kind, example.key) for example in found.examples} == {
        ("changed", (5,)),
        ("missing", (6,)),
        ("missing", (7,)),
        ("extra", (9999,)),
    }
    changed = next(each for each in found.examples if each.kind == "changed")
    assert changed.stored == {"stream": "damaged"}
    assert changed.rebuilt == {"stream": "workspace:w4"}
    assert (rows(ledger), standing(ledger)) == before
    assert leftovers(path) == []


def test_a_rebuild_that_is_stopped_anywhere_goes_on(ledger: Ledger, other: Ledger) -> None:
    before = rows(ledger)
    stops = 0
    while True:
        try:
            workshop(other, stop_after=stops % 3).rebuild()
        except CanceledError:
            stops += 1
            assert rows(ledger) == before
        else:
            break

    assert stops
    assert rows(ledger) == before


def test_a_rebuild_that_is_given_up_leaves_nothing(
    ledger: Ledger, other: Ledger, path: Path
) -> None:
    with pytest.raises(CanceledError):
        workshop(other, stop_after=2).rebuild()

    ended = workshop(other).discard()

    assert standing(ledger) == Standing(version=1, ended=ended)
    assert leftovers(path) == []


def test_what_is_recorded_meanwhile_is_in_the_new_tables(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    phases: set[str] = set()

    def report(progress: Progress) -> None:
        phases.add(progress.phase)
        fill(committer, 1, EVENTS + len(rows(ledger)))

    Workshop(other, Seen(), lambda: FIRST_TIME, report=report).rebuild()

    assert phases >= {"fold", "copy"}
    assert [row[0] for row in rows(ledger)] == list(range(1, committer.feed_position + 1))


def test_a_second_rebuild_of_the_same_read_model_is_refused(other: Ledger, path: Path) -> None:
    refusals: list[str] = []

    def report(_: Progress) -> None:
        with opened(path) as third, pytest.raises(RefusedError) as refused:
            workshop(third).rebuild()
        refusals.append(str(refused.value))

    Workshop(other, Seen(), lambda: FIRST_TIME, report=report).rebuild()

    assert "seen is being worked on by the process with id" in refusals[0]


def test_a_rollback_brings_the_previous_tables_back_and_up_to_date(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    workshop(other).rebuild()
    ledger.writer.connection.execute("UPDATE seen SET stream='damaged' WHERE sequence=5")
    fill(committer, 100, EVENTS)

    workshop(other).roll_back()
    fill(committer, 1, EVENTS + 100)

    assert [row[0] for row in rows(ledger)] == list(range(1, EVENTS + 102))
    assert rows(ledger)[4] == (5, "workspace:w4")
    assert standing(ledger).previous == Previous(version=1, position=EVENTS + 100)


def test_rows_of_another_release_come_back_as_they_were(ledger: Ledger, other: Ledger) -> None:
    workshop(other, SeenMore()).rebuild()
    workshop(other, SeenMore()).roll_back()

    found = standing(ledger)
    assert (found.version, found.state, found.rolled_back) == (1, "detached", True)
    committer_with(other, *PROJECTORS, SeenMore())
    assert standing(ledger) == found
    committer_with(other, *PROJECTORS, Seen())
    assert standing(ledger).state == "live"
    assert rows(ledger)[0] == (1, "workspace:w0")


def test_without_a_rebuild_there_is_nothing_to_go_back_to(other: Ledger) -> None:
    with pytest.raises(RefusedError, match="seen has no previous tables"):
        workshop(other).roll_back()


def test_a_poison_event_stops_the_rebuild_until_it_is_skipped(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    fill(committer, 3, EVENTS)
    poisoned = Seen("w5")
    with pytest.raises(FoldError, match="event 6, a workspace"):
        workshop(other, poisoned).rebuild()
    found = standing(ledger).rebuild
    assert found is not None
    assert found.failure is not None
    assert found.failure.sequence == 6

    skip(ledger, 6)
    other.refresh()
    with pytest.raises(RefusedError, match="differ"):
        workshop(other, poisoned).rebuild()
    workshop(other, poisoned).rebuild(repair=True)

    assert [row[0] for row in rows(ledger)][4:6] == [5, 7]


class SeenMoreApart(SeenMore):
    """Stands still for single streams."""

    separable = True

    def apply(self, change: Change, rows: Rows) -> None:
        super().apply(change, rows)
        if change.recorded.originator_id in self.poison:
            raise ArithmeticError


def held(ledger: Ledger) -> dict[str, int]:
    found = holds(ledger.writer.connection).get("seen", {})
    return {stream: failure.sequence for stream, failure in found.items()}


def test_new_rows_stand_still_for_the_stream_of_a_poison_event(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    committer.execute(register("w5", "again"), context())
    workshop(other, SeenMoreApart("w5", "w8")).rebuild()

    assert standing(ledger).version == 2
    assert held(ledger) == {"workspace:w5": 6, "workspace:w8": 9}
    kept = [row[0] for row in rows(ledger)]
    assert kept == [each for each in range(1, EVENTS + 1) if each not in {6, 9}]

    workshop(other, SeenMoreApart()).catch_up()
    assert held(ledger) == {}
    assert [row[0] for row in rows(ledger)] == list(range(1, EVENTS + 2))


def test_new_rows_stand_still_also_for_what_is_recorded_meanwhile(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    def report(progress: Progress) -> None:
        if progress.phase == "copy" and ledger.head == EVENTS:
            for workspace_id in ("late", "later"):
                committer.execute(register(workspace_id), context())

    Workshop(other, SeenMoreApart("late", "w3"), lambda: FIRST_TIME, report=report).rebuild()

    assert held(ledger) == {"workspace:w3": 4, "workspace:late": EVENTS + 1}
    assert rows(ledger)[-1][0] == EVENTS + 2


def test_a_rebuild_that_is_stopped_knows_what_its_rows_stand_still_for(
    ledger: Ledger, other: Ledger
) -> None:
    for stop_after in range(3):
        with pytest.raises(CanceledError):
            workshop(other, SeenMoreApart("w5"), stop_after=stop_after).rebuild()
    workshop(other, SeenMoreApart()).rebuild()

    assert held(ledger) == {"workspace:w5": 6}


def test_good_rows_are_not_replaced_by_such_that_stand_still(ledger: Ledger, other: Ledger) -> None:
    before = rows(ledger)
    with pytest.raises(FoldError, match="event 6, a workspace"):
        workshop(other, SeenApart("w5")).rebuild()

    assert rows(ledger) == before
    assert held(ledger) == {}


def test_rows_that_are_rolled_back_to_stand_still_for_nothing(
    ledger: Ledger, other: Ledger
) -> None:
    workshop(other).rebuild()
    workshop(other, SeenMoreApart("w5")).rebuild()
    workshop(other).roll_back()

    assert (standing(ledger).version, standing(ledger).previous) == (1, None)
    assert held(ledger) == {}
    assert len(rows(ledger)) == EVENTS


def skip(ledger: Ledger, sequence: int) -> None:
    """Skip an event as an operator does."""
    projectors: tuple[Projector, ...] = (*PROJECTORS, Seen())
    committer = Committer(ledger, projectors, decide, world_of, lambda: FIRST_TIME)
    command = SkipEvent(projection="seen", sequence=sequence, reason="broken", in_the_way=True)
    committer.execute(command, context())


def test_a_detached_read_model_is_caught_up_beside_the_commands(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    committer.execute(register("bad"), context())
    fill(committer, 300, EVENTS)
    assert standing(ledger).state == "detached"
    assert position_of(ledger.writer.connection, "seen") == EVENTS

    ended = workshop(other).catch_up()
    fill(committer, 1, EVENTS + 300)

    assert standing(ledger) == Standing(version=1, ended=ended)
    assert [row[0] for row in rows(ledger)] == list(range(1, EVENTS + 303))


def test_a_catch_up_that_meets_the_event_again_says_so(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    committer.execute(register("bad"), context())
    with pytest.raises(FoldError):
        workshop(other, Seen("bad")).catch_up()

    failure = standing(ledger).failure
    assert failure is not None
    assert failure.sequence == EVENTS + 1


class Refusing(Seen):
    """Needs every row it wrote before."""

    def apply(self, change: Change, rows: Rows) -> None:
        sequence = change.recorded.sequence
        assert sequence == 1 or rows.get(SEEN, (sequence - 1,))
        super().apply(change, rows)


def test_rows_of_earlier_pages_are_found_again(other: Ledger) -> None:
    assert workshop(other, Refusing()).check() == (EVENTS, [])


def test_large_events_are_folded_a_few_at_a_time(
    ledger: Ledger, other: Ledger, committer: Committer
) -> None:
    for number in range(100):
        committer.execute(register("large", f"{number}{'x' * 1_000_000}"), context())
    folded: list[int] = []

    def report(progress: Progress) -> None:
        if progress.phase == "fold":
            folded.append(progress.applied)

    Workshop(other, Seen(), lambda: FIRST_TIME, report=report).rebuild()

    large = [after - max(before, EVENTS) for before, after in pairwise([0, *folded])]
    assert folded[-1] == ledger.head
    assert max(large) <= 64
