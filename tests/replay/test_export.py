"""What is exported can be imported: the same events, the same rows; damage is refused."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.services import build
from api.settings import Settings
from domain.commands import NoteProjection
from domain.events import ProjectionEventSkipped
from domain.values import LOCAL_USER, Origin
from projections.catalog import PROJECTORS
from replay import importing
from replay.blobs.carrying import Carrier
from replay.export import LineError, event_of, export_lines
from replay.importing import Importer, ImportRefusedError, Skips, read_events
from replay.verify import verify
from tests.replay.audited import STORY, events_of, store_of
from tests.replay.support import opened


def exported(store: Path, after: int = 0) -> list[bytes]:
    with opened(store) as ledger:
        return [line for _, line in export_lines(ledger, after)]


def imported(store: Path, lines: list[bytes]) -> Importer:
    services = build(Settings(store=f"sqlite:{store}"))
    try:
        carrier = Carrier(services.blobs, services.blobs)
        skips = Skips()
        # Damage is for the import to find.
        with suppress(ImportRefusedError):
            for _, recorded in read_events(lines):
                skips.note(recorded.fact)
        importer = Importer(services.ledger, PROJECTORS, carrier, skips)
        importer.take(lines, lambda _: None)
        return importer
    finally:
        services.close()


def in_order(store: Path) -> bool:
    with opened(store) as ledger:
        return verify(ledger, PROJECTORS).finding is None


@pytest.fixture
def lines(tmp_path: Path) -> list[bytes]:
    return exported(store_of(tmp_path))


@settings(max_examples=12)
@given(choices=st.lists(st.sampled_from(STORY), max_size=25), cut=st.integers(0, 30))
def test_any_history_comes_back_the_same_also_in_two_parts(
    tmp_path_factory: pytest.TempPathFactory, choices: list[tuple[str, str, object]], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("store")
    source, target = store_of(folder, choices), folder / "copy.db"
    lines = exported(source)

    imported(target, lines[:cut])
    imported(target, lines)

    assert events_of(target) == events_of(source)
    assert in_order(target)


def test_what_is_passed_over_later_is_passed_over_from_the_first_import_on(tmp_path: Path) -> None:
    source, target = store_of(tmp_path), tmp_path / "copy.db"
    passed_over = max(row[0] for row in events_of(source) if row[1] == "task:a")
    services = build(Settings(store=f"sqlite:{source}"))
    fact = ProjectionEventSkipped(projection="tasks", skipped_sequence=passed_over, reason="r")
    context = services.context(LOCAL_USER, Origin("cli", "test"))
    services.committer.execute(NoteProjection(fact=fact), context)
    services.close()

    imported(target, exported(source))

    assert events_of(target) == events_of(source)
    assert in_order(target)


def test_a_line_is_a_cloud_event(lines: list[bytes]) -> None:
    first = json.loads(lines[0])

    assert first["specversion"] == "1.0"
    assert first["sequence"] == "1"
    assert first["type"] == "task.created"
    assert first["subject"] == "task:a"
    assert first["data"]["title"] == "First"
    names = set(first) - {"data"}
    assert all(name.isalnum() and name.islower() for name in names)


def test_an_export_may_begin_later(tmp_path: Path, lines: list[bytes]) -> None:
    assert exported(tmp_path / "ledger.db", 4) == lines[4:]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"code", b"kode"), *lines[2:]], 2),
        (lambda lines: [*lines[:3], lines[3][:40] + b"\n", *lines[4:]], 4),
        (lambda lines: [*lines[:3], *lines[4:]], 4),
        (lambda lines: [*lines[:3], lines[4], lines[3]], 4),
        (lambda lines: [*lines[:5], b"\n"], 6),
        (lambda lines: [*lines[:5], lines[5].rstrip(b"\n")], 6),
        (lambda lines: [*lines[:2], lines[1]], 3),
        (lambda lines: [b"\xff\xfe not json\n", *lines], 1),
        (lambda lines: lines[1:], 1),
    ],
)
def test_a_damaged_file_is_refused_by_its_line_and_leaves_nothing(
    tmp_path: Path,
    lines: list[bytes],
    damage: Callable[[list[bytes]], list[bytes]],
    line: int,
) -> None:
    target = tmp_path / "copy.db"

    with pytest.raises(ImportRefusedError, match=f"^line {line}: "):
        imported(target, damage(lines))

    assert events_of(target) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda line: b"a shopping list\n", "it does not end with a digest"),
        (lambda line: line[:-20], "it does not end with a digest"),
        (lambda line: line.replace(b"task", b"tusk", 1), "it is damaged: its digest does not fit"),
    ],
)
def test_what_is_no_line_of_an_export_is_told_from_a_damaged_one(
    lines: list[bytes], change: Callable[[bytes], bytes], told: str
) -> None:
    with pytest.raises(LineError, match=told):
        event_of(change(lines[0]))


def test_chunks_before_a_damaged_line_stay_and_the_import_goes_on(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PAGE", 3)
    target = tmp_path / "copy.db"
    with pytest.raises(ImportRefusedError, match=r"^line 5: "):
        imported(target, [*lines[:4], b"{}\n"])
    assert len(events_of(target)) == 3

    done = imported(target, lines)

    assert (done.present, done.imported) == (3, len(lines) - 3)
    assert events_of(target) == events_of(tmp_path / "ledger.db")
    assert in_order(target)


def test_no_command_is_ever_in_the_store_by_half(
    tmp_path: Path, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "PAGE", 1)
    commands = [json.loads(line)["commandid"] for line in lines]
    assert len(set(commands)) < len(commands), "no command has two events"
    for whole in range(len(lines)):
        target = tmp_path / f"copy-{whole}.db"
        with pytest.raises(ImportRefusedError):
            imported(target, [*lines[:whole], b"{}\n"])
        # What lies right before the damage may be half a command, so it waits for the rest.
        kept = len(events_of(target))
        assert kept == 0 or commands[kept - 1] != commands[kept]
        assert kept == max(whole - commands[:whole].count(commands[max(whole - 1, 0)]), 0)


def test_the_export_of_another_ledger_is_refused(tmp_path: Path, lines: list[bytes]) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = store_of(folder, STORY[1:])

    with pytest.raises(ImportRefusedError, match="another event at sequence 1"):
        imported(other, lines)
