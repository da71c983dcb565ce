"""A copy has the same log and the same rows in every kind of store, however often it stopped."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from api.services import Services, build
from api.settings import Settings
from domain.commands import NoteProjection
from domain.projection_events import ProjectionEventSkipped
from domain.values import LOCAL_USER, Origin
from projections.catalog import PROJECTORS
from replay import copying
from replay.blobs.carrying import Carrier
from replay.copying import Copied, CopyRefusedError, copy
from replay.ledger import Ledger
from replay.places import environment_of
from tests.replay.audited import STORY, planted, store_of
from tests.replay.support import register
from tests.support.places import KINDS, place_in

ROOT: Final = Path(__file__).parents[2]
SLOW_COPY: Final = """
import sys
from api.cli.main import main
from replay import copying
from replay.blobs.carrying import Carrier
from replay.appending import Appender
copying.CHUNK = 1
append = Appender.append
def slowly(self, rows):
    append(self, rows)
    print(rows[-1][0], flush=True)
    sys.stdin.readline()
Appender.append = slowly
main(["copy", "--from", sys.argv[1], "--to", sys.argv[2]])
"""


def ignored(_what: str, _done: int, _target: int) -> None:
    """Tell nobody."""


def carrier(source: Ledger, target: Services) -> Carrier:
    """Return what brings the blobs."""
    return Carrier(source.access.blobs(), target.blobs)


def copied(source: str, target: str) -> Copied:
    """Copy as the command does."""
    with (
        closing(Ledger(environment_of(source))) as ours,
        closing(build(Settings(store=target))) as theirs,
    ):
        return copy(ours, theirs.ledger, PROJECTORS, ignored, carrier(ours, theirs))


@contextmanager
def served(place: str) -> Iterator[Services]:
    with closing(build(Settings(store=place))) as services:
        yield services


def record(services: Services, name: str) -> None:
    context = services.context(LOCAL_USER, Origin("cli", "test"))
    services.committer.execute(register(name), context)


@pytest.fixture(name="story")
def _story(tmp_path: Path) -> str:
    return f"sqlite:{store_of(tmp_path)}"


def place(folder: Path, kind: str) -> str:
    folder.mkdir()
    return place_in(folder, kind)


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_a_copy_is_the_same_in_every_kind_of_store(
    story: str, tmp_path: Path, first: str, second: str
) -> None:
    source, target = place(tmp_path / "one", first), place(tmp_path / "two", second)
    assert copied(story, source).finding is None

    done = copied(source, target)

    assert (done.finding, done.unequal, done.present) == (None, (), 0)
    assert set(done.equal) == {each.name for each in PROJECTORS}
    assert done.copied == done.head == done.source_head > len(STORY) / 2
    again = copied(source, target)
    assert (again.copied, again.present, again.digest) == (0, done.head, done.digest)


def test_an_empty_ledger_can_be_copied(tmp_path: Path) -> None:
    source, target = place(tmp_path / "one", "postgresql"), place(tmp_path / "two", "sqlite")

    assert copied(source, target).head == 0


def test_what_was_added_since_is_brought_over(story: str, tmp_path: Path) -> None:
    target = place(tmp_path / "two", "postgresql")
    before = copied(story, target).head
    with served(story) as services:
        record(services, "later")

    done = copied(story, target)

    assert (done.present, done.copied, done.finding) == (before, done.head - before, None)
    with served(target) as services:
        record(services, "last")
        assert services.ledger.head == done.head + 1


def test_a_copy_that_is_killed_goes_on_where_it_was(story: str, tmp_path: Path) -> None:
    target = place(tmp_path / "two", "postgresql")
    command = [sys.executable, "-c", SLOW_COPY, story, target]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"go on\n" * 2)
        process.stdin.flush()
        reached = [int(process.stdout.readline()) for _ in range(3)][-1]
        process.kill()

    done = copied(story, target)

    assert reached <= done.present < done.head
    assert done.copied == done.head - done.present
    assert (done.finding, done.unequal) == (None, ())


def test_no_command_is_ever_copied_by_half(
    story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK", 1)
    ends: list[int] = []
    with (
        closing(Ledger(environment_of(story))) as ours,
        served(place(tmp_path / "two", "sqlite")) as theirs,
    ):
        copy(
            ours,
            theirs.ledger,
            PROJECTORS,
            lambda what, done, _: ends.append(done) if what == "copied" else None,
            carrier(ours, theirs),
        )
        commands = [each.command_id for each in ours.read(0, 100)]

    assert ends == [
        place
        for place, command in enumerate(commands, 1)
        if place == len(commands) or command != commands[place]
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "state = state || x'20' WHERE notification_id = 3",
            "sequence 3, task.* has other contents",
        ),
        ("topic = 'task.paused' WHERE notification_id = 2", "sequence 2 is task.* of task:b with"),
    ],
)
def test_a_target_that_is_not_the_beginning_of_its_source_is_refused(
    story: str, tmp_path: Path, change: str, told: str
) -> None:
    target = place(tmp_path / "two", "sqlite")
    copied(story, target)
    planted(Path(target.removeprefix("sqlite:")), f"UPDATE stored_events SET {change}")

    with pytest.raises(CopyRefusedError, match=told.replace("*", ".*")):
        copied(story, target)


def test_a_target_that_went_on_by_itself_is_refused(story: str, tmp_path: Path) -> None:
    target = place(tmp_path / "two", "postgresql")
    head = copied(story, target).head
    with served(target) as services:
        record(services, "stranger")

    told = f"the target ends at sequence {head + 1}, but the source at {head}"
    with pytest.raises(CopyRefusedError, match=told):
        copied(story, target)


def test_a_target_that_somebody_writes_to_stops_the_copy(
    story: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "CHUNK", 1)
    target = place(tmp_path / "two", "postgresql")
    with (
        closing(Ledger(environment_of(story))) as ours,
        served(target) as theirs,
        served(target) as stranger,
    ):

        def meddle(what: str, _done: int, _target: int) -> None:
            if what == "copied":
                record(stranger, "stranger")

        with pytest.raises(CopyRefusedError, match=r"sequence 2: somebody else writes to 127"):
            copy(ours, theirs.ledger, PROJECTORS, meddle, carrier(ours, theirs))


def test_an_event_that_cannot_be_read_is_named(story: str, tmp_path: Path) -> None:
    source = Path(story.removeprefix("sqlite:"))
    planted(source, "UPDATE stored_events SET state = x'00' WHERE notification_id = 4")

    with pytest.raises(CopyRefusedError, match="sequence 4: it cannot be read"):
        copied(story, place(tmp_path / "two", "sqlite"))


def test_rows_that_are_wrong_in_the_source_are_told_and_right_in_the_target(
    story: str, tmp_path: Path
) -> None:
    planted(Path(story.removeprefix("sqlite:")), "UPDATE tasks SET priority = 'low'")

    done = copied(story, place(tmp_path / "two", "postgresql"))

    assert (done.finding, done.unequal) == (None, ("tasks",))


def test_what_an_operator_had_passed_over_is_passed_over_in_the_target(
    story: str, tmp_path: Path
) -> None:
    with served(story) as services:
        past = services.ledger.read(0, 100)
        last = max(each.sequence for each in past if each.originator_id == "task:a")
        fact = ProjectionEventSkipped(projection="tasks", skipped_sequence=last, reason="poison")
        context = services.context(LOCAL_USER, Origin("cli", "test"))
        services.committer.execute(NoteProjection(fact=fact), context)

    done = copied(story, place(tmp_path / "two", "sqlite"))

    # The rows of the source were written before.
    assert (done.finding, done.unequal) == (None, ("tasks",))
