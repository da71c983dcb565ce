"""What an event changed, and what differs between two moments."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.instants import rfc3339
from replay.history import FieldChange, differences_between, steps
from replay.ledger import Ledger
from replay.moments import MomentError, moment_of
from tests.machine.gates import START, STEP
from tests.replay.audited import store_of
from tests.replay.support import opened

TITLE = FieldChange(field="task.title", before="First", after="Changed")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(store_of(tmp_path)) as ledger:
        yield ledger


def updated_at(ledger: Ledger) -> int:
    [found] = [e.sequence for e in ledger.read(0, 100) if e.type == "task.updated"]
    return found


def test_each_event_is_shown_with_what_it_changed(ledger: Ledger) -> None:
    found = list(steps(ledger, ledger.reader, upto=ledger.head))
    by_sequence = {step.recorded.sequence: step.changes for step in found}

    assert list(by_sequence) == list(range(1, ledger.head + 1))
    assert FieldChange(field="task.title", after="First") in by_sequence[1]
    created = rfc3339(found[0].recorded.occurred_at)
    assert FieldChange(field="task.created_at", after=created) in by_sequence[1]
    assert "runs" not in {change.field for change in by_sequence[1]}
    assert TITLE in by_sequence[updated_at(ledger)]


def test_steps_of_one_stream_are_the_same_from_anywhere(ledger: Ledger) -> None:
    everything = list(steps(ledger, ledger.reader, upto=ledger.head))
    for after in range(ledger.head):
        found = list(
            steps(ledger, ledger.reader, stream="task:a", after=after, upto=ledger.head - 1)
        )
        assert found == [
            step
            for step in everything
            if step.recorded.originator_id == "task:a"
            and after < step.recorded.sequence < ledger.head
        ]


def test_moments_are_compared_stream_by_stream(ledger: Ledger) -> None:
    at = updated_at(ledger)
    [diff] = differences_between(ledger, ledger.reader, after=at - 1, upto=at)
    everything = list(differences_between(ledger, ledger.reader, after=0, upto=ledger.head))
    nothing = list(
        differences_between(ledger, ledger.reader, stream="task:b", after=at - 1, upto=at)
    )

    assert diff.stream == "task:a"
    assert TITLE in diff.changes
    assert [each.stream for each in everything] == ["scheduler", "task:a", "task:b"]
    assert nothing == []


def test_comparing_tells_how_far_it_is(ledger: Ledger) -> None:
    heard: list[tuple[int, int]] = []

    def told(done: int, target: int) -> None:
        heard.append((done, target))

    list(differences_between(ledger, ledger.reader, after=0, upto=ledger.head, told=told))

    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_a_time_means_the_last_sequence_recorded_by_then(ledger: Ledger) -> None:
    events = ledger.read(0, 100)
    for recorded in events:
        last = max(e.sequence for e in events if e.recorded_at <= recorded.recorded_at)
        at = moment_of(ledger, ledger.reader, rfc3339(recorded.recorded_at))
        named = moment_of(ledger, ledger.reader, str(recorded.sequence))

        assert (at.sequence, at.clock) == (last, recorded.recorded_at)
        assert (named.sequence, named.clock) == (recorded.sequence, recorded.recorded_at)
    assert moment_of(ledger, ledger.reader, rfc3339(START - STEP)).sequence == 0
    assert moment_of(ledger, ledger.reader, "2999-01-01T00:00:00Z").sequence == ledger.head


@pytest.mark.parametrize("text", ["yesterday", "-1", "9" * 30, "2026-13-01T00:00:00Z", "1.5"])
def test_a_bad_moment_is_refused_with_the_head_and_the_forms(ledger: Ledger, text: str) -> None:
    with pytest.raises(MomentError, match=rf"0 to {ledger.head} \(the head\).* RFC 3339"):
        moment_of(ledger, ledger.reader, text)


def test_a_sequence_beyond_the_head_is_refused(ledger: Ledger) -> None:
    with pytest.raises(MomentError, match="beyond the head"):
        moment_of(ledger, ledger.reader, str(ledger.head + 1))
