"""Frames: what is kept, and the pages of a task, a subtree and the ledger."""

import msgspec
import pytest

from domain import events as e
from domain.values import Actor
from projections.queries.timeline import LedgerFilters, ledger_page, stream_page, timeline_page
from projections.timeline import TIMELINE
from projections.wire import frame
from tests.projections.support import Ledger

ALL = 2**62


@pytest.fixture
def events(ledger: Ledger) -> Ledger:
    """1 root, 2 child, 3 child_created, 4 grandchild, 5 child_created, 6 session, 7-8 runs."""
    ledger.create("root", workspace="ws-1")
    ledger.create("child", parent="root", workspace="ws-1")
    ledger.create("grandchild", parent="child", workspace="ws-1")
    ledger.session("session-1", workspace_id="ws-2")
    ledger.enqueue("grandchild", "run-1", actor=Actor("automation", "bot"))
    ledger.enqueue("root", "run-2")
    return ledger


def test_a_row_tells_where_the_event_belongs(events: Ledger) -> None:
    row = events.store.get(TIMELINE, (7,))

    assert row is not None
    assert row[:-1] == (
        7,
        "grandchild",
        "run-1",
        "task.run_enqueued",
        "ws-1",
        "automation",
        "bot",
        '["grandchild","child","root"]',
    )
    assert row[-1] == frame(events.changes[6])


def test_an_event_of_no_task_is_kept_with_its_workspace(events: Ledger) -> None:
    row = events.store.get(TIMELINE, (6,))

    assert row is not None
    assert row[:-1] == (
        6,
        "",
        "",
        "session.registered",
        "ws-2",
        "human",
        "local-user",
        "[]",
    )


def test_an_event_without_any_workspace_is_kept(ledger: Ledger) -> None:
    ledger.step(lambda plan: plan.emit("scheduler", e.SchedulerResumed()))

    assert ledger.store.rows(TIMELINE)[0][4] == ""


def test_an_event_of_another_stream_is_shown_with_the_task_it_belongs_to(events: Ledger) -> None:
    events.step(lambda plan: plan.emit("scheduler", e.SchedulerResumed(), task_id="child"))

    row = events.store.rows(TIMELINE)[-1]
    assert row[1] == "child"
    assert row[4] == "ws-1"
    assert row[7] == '["child","root"]'
    assert msgspec.json.decode(row[8])["task"]["id"] == "child"
    assert timeline_page(events.store, "child")[-1][0] == row[0]
    assert stream_page(events.store, "root", after=8, limit=9, upto=9)[0][0] == row[0]


def test_the_timeline_of_a_task_shows_only_its_own_events(events: Ledger) -> None:
    def own(task_id: str, **page: int) -> list[int]:
        return [sequence for sequence, _ in timeline_page(events.store, task_id, **page)]

    assert own("root") == [1, 3, 8]
    assert own("root", after=1) == [3, 8]
    assert own("root", after=1, limit=1) == [3]
    assert own("unknown") == []


def test_the_stream_of_a_task_shows_everything_below_it_in_order(events: Ledger) -> None:
    def stream(task_id: str, after: int = 0, limit: int = 100, upto: int = ALL) -> list[int]:
        page = stream_page(events.store, task_id, after=after, limit=limit, upto=upto)
        return [sequence for sequence, _, _ in page]

    assert stream("root") == [1, 2, 3, 4, 5, 7, 8]
    assert stream("child") == [2, 4, 5, 7]
    assert stream("root", after=2, limit=3) == [3, 4, 5]
    assert stream("root", upto=4) == [1, 2, 3, 4]


def test_every_reader_gets_the_bytes_that_were_kept(events: Ledger) -> None:
    own = dict(timeline_page(events.store, "root"))
    stream = {s: f for s, _, f in stream_page(events.store, "root", after=0, limit=99, upto=ALL)}
    ledger, _ = ledger_page(events.store, LedgerFilters(), after=0, limit=99, upto=8)

    for sequence, kind, kept in ledger:
        assert kept == frame(events.changes[sequence - 1])
        assert kind == events.history[sequence - 1].type
        assert stream.get(sequence, kept) == own.get(sequence, kept) == kept


def test_a_later_pause_changes_no_earlier_frame(events: Ledger) -> None:
    events.pause("root")

    (_, _, kept), *_ = stream_page(events.store, "child", after=6, limit=1, upto=ALL)

    assert "effective_paused" not in msgspec.json.decode(kept)["task"]


def test_the_timeline_outlives_the_task(events: Ledger) -> None:
    events.run_fact("run-1", e.RunCanceled, "canceled", "ready")
    events.delete("grandchild")

    types = [kind for _, kind, _ in stream_page(events.store, "child", after=6, limit=9, upto=ALL)]
    assert types == [
        "task.run_enqueued",
        "task.run_canceled",
        "task.deleted",
        "task.child_deleted",
    ]
    assert [sequence for sequence, _ in timeline_page(events.store, "grandchild")] == [4, 7, 9, 10]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (LedgerFilters(), [1, 2, 3, 4, 5, 6, 7, 8]),
        (LedgerFilters(types=("task.created",)), [1, 2, 4]),
        (LedgerFilters(types=("session.registered", "task.run_enqueued")), [6, 7, 8]),
        (LedgerFilters(workspace_id="ws-2"), [6]),
        (LedgerFilters(actor="bot"), [7]),
        (LedgerFilters(actor="automation:bot"), [7]),
        (LedgerFilters(actor="human:bot"), []),
        (LedgerFilters(actor="human:local-user", types=("task.run_enqueued",)), [8]),
    ],
)
def test_the_ledger_is_filtered(
    events: Ledger, filters: LedgerFilters, expected: list[int]
) -> None:
    items, scanned_to = ledger_page(events.store, filters, after=0, limit=100, upto=8)

    assert [sequence for sequence, _, _ in items] == expected
    assert scanned_to == 8


def test_a_ref_may_hold_a_colon(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1", actor=Actor("human", "urn:ann"))

    for actor in ("urn:ann", "human:urn:ann"):
        items, _ = ledger_page(ledger.store, LedgerFilters(actor=actor), after=0, limit=9, upto=ALL)
        assert [sequence for sequence, _, _ in items] == [2]


def test_a_full_page_ends_at_its_last_event(events: Ledger) -> None:
    items, scanned_to = ledger_page(events.store, LedgerFilters(), after=2, limit=3, upto=8)

    assert [sequence for sequence, _, _ in items] == [3, 4, 5]
    assert scanned_to == 5


def test_the_cursor_moves_even_when_nothing_matches(events: Ledger) -> None:
    nothing = LedgerFilters(types=("no.such",))

    assert ledger_page(events.store, nothing, after=0, limit=9, upto=8) == ([], 8)
    assert ledger_page(events.store, nothing, after=0, limit=9, upto=50_000) == ([], 10_000)
    assert ledger_page(events.store, nothing, after=8, limit=9, upto=8) == ([], 8)
    assert ledger_page(events.store, nothing, after=9, limit=9, upto=8) == ([], 9)


def test_pages_are_read_from_keys(events: Ledger) -> None:
    events.store.selects.clear()
    timeline_page(events.store, "root", limit=5)
    ledger_page(events.store, LedgerFilters(), after=0, limit=5, upto=8)

    for statement in events.store.selects:
        plan = events.store.plan_of(statement, [0] * statement.count("?"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan
