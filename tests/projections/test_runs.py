"""The runs of a task, and one run in full."""

from typing import Any

import msgspec
import pytest

from domain import events as e
from projections.queries.runs import list_runs, run_detail, run_of
from projections.runs import RUNS, RunsProjector
from tests.projections.support import Ledger


@pytest.fixture
def runs(ledger: Ledger) -> Ledger:
    ledger.create("task-1")
    ledger.create("task-2")
    ledger.enqueue("task-1", "run-1")
    ledger.run_fact("run-1", e.RunFailed, "failed", "ready", error="it broke")
    ledger.enqueue("task-1", "run-2")
    ledger.claim("run-2", "session-1")
    ledger.enqueue("task-2", "run-3")
    return ledger


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["run-2", "run-1"]),
        ({"status": "failed"}, ["run-1"]),
        ({"session_id": "session-1"}, ["run-2"]),
        ({"session_id": "session-1", "status": "failed"}, []),
        ({"limit": 1}, ["run-2"]),
    ],
)
def test_runs_are_filtered_and_come_latest_first(
    runs: Ledger, filters: dict[str, Any], expected: list[str]
) -> None:
    assert [run.id for run in list_runs(runs.store, "task-1", **filters)] == expected


def test_a_run_is_found_by_its_id(runs: Ledger) -> None:
    assert run_of(runs.store, "run-1") == runs.run("run-1")
    assert run_of(runs.store, "unknown") is None


def test_the_detail_of_a_run_tells_task_session_and_last_event(runs: Ledger) -> None:
    runs.session("session-1", name="Ann's")

    found: Any = msgspec.json.decode(msgspec.json.encode(run_detail(runs.store, "run-2")))

    assert found["run"]["id"] == "run-2"
    assert found["task"]["id"] == "task-1"
    assert found["session"]["name"] == "Ann's"
    assert found["summary"] == {
        "last_activity_at": "2026-05-03T03:09:43Z",
        "last_event_type": "task.run_claimed",
    }


def test_the_detail_of_a_run_without_a_session_has_none(runs: Ledger) -> None:
    found = run_detail(runs.store, "run-3")

    assert found is not None
    assert found.session is None


def test_the_last_event_may_leave_the_run_as_it_was(runs: Ledger) -> None:
    runs.emit("task-1", e.RunRejected(operation="start", reason="stale"), "run-2")

    found = run_detail(runs.store, "run-2")

    assert found is not None
    assert found.summary.last_event_type == "task.run_rejected"
    assert found.summary.last_activity_at == "2026-05-03T03:09:45Z"


def test_an_event_of_the_task_alone_leaves_the_runs_alone(ledger: Ledger) -> None:
    rows = Ledger([RunsProjector()])
    rows.create("task-1")
    rows.enqueue("task-1", "run-1")
    writes = rows.store.writes

    rows.pause("task-1")
    rows.session("session-1")

    assert rows.store.writes == writes
    rows.store.close()


def test_an_event_on_one_run_leaves_the_others_alone(runs: Ledger) -> None:
    before = runs.store.get(RUNS, ("run-1",))

    runs.release("run-2")

    assert runs.store.get(RUNS, ("run-1",)) == before


def test_runs_disappear_with_the_task(runs: Ledger) -> None:
    runs.run_fact("run-2", e.RunCanceled, "canceled", "canceled")
    runs.delete("task-1")

    assert list_runs(runs.store, "task-1") == []
    assert run_detail(runs.store, "run-1") is None


def test_a_run_whose_task_is_held_back_is_not_told(runs: Ledger) -> None:
    runs.store.connection.execute("DELETE FROM tasks WHERE task_id = 'task-2'")

    assert run_detail(runs.store, "run-3") is None
