"""A close look at tasks and runs: what is shown, what is wrong, what to do next."""

from typing import Any

import msgspec
import pytest

from domain import events as e
from domain.instants import SECOND, rfc3339
from domain.recorded import session_stream
from domain.registry import SchedulerState
from projections.queries.inspect import inspect_of_run, inspect_task
from projections.wire.inspect import Inspect
from tests.projections.support import Ledger
from tests.projections.test_claims import needing, require

RUNNING = SchedulerState()
PAUSED = SchedulerState(paused=True, paused_by="human:ann", paused_at=SECOND, paused_reason="why")


def look(ledger: Ledger, later: int = 0, scheduler: SchedulerState = RUNNING) -> Inspect:
    """Look at the task `later` seconds after the last event."""
    found = inspect_task(ledger.store, "task", scheduler, ledger.now + later * SECOND)
    assert found is not None
    return found


def codes(found: Inspect) -> list[str]:
    return [diagnostic.code.removeprefix("task_run_") for diagnostic in found.diagnostics]


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def queued(ledger: Ledger, workspace: str = "") -> None:
    ledger.create("task", workspace=workspace)
    ledger.enqueue("task", "run-1")


def stop(ledger: Ledger, session_id: str) -> None:
    fact = e.SessionStopped(session_id=session_id)
    ledger.step(lambda plan: plan.emit(session_stream(session_id), fact))


def move(
    ledger: Ledger, run_id: str, kind: Any, status: Any, task: Any = "ready", **more: Any
) -> None:
    ledger.run_fact(run_id, kind, status, task, **more)


def test_nothing_unknown_is_looked_at(ledger: Ledger) -> None:
    assert inspect_task(ledger.store, "task", RUNNING, ledger.now) is None
    assert inspect_of_run(ledger.store, "run", RUNNING, ledger.now) is None


def test_a_task_without_a_run_waits_or_is_over(ledger: Ledger) -> None:
    ledger.create("task")
    found = look(ledger)
    assert (found.target, found.next_action, found.current_run) == (
        "task",
        "waiting_for_session",
        None,
    )
    assert (found.as_of, shown(found.scheduler)) == (rfc3339(ledger.now), {"paused": False})

    ledger.emit("task", e.TaskCanceled(status="canceled"))
    assert look(ledger).next_action == "terminal"


def test_a_queued_run_can_be_claimed_when_there_is_a_session(ledger: Ledger) -> None:
    queued(ledger)
    assert look(ledger).next_action == "waiting_for_session"

    ledger.session("s1")
    assert look(ledger).next_action == "claim_available"
    paused = look(ledger, scheduler=PAUSED)
    assert paused.next_action == "waiting_for_session"
    assert shown(paused.scheduler) == {
        "paused": True,
        "paused_by": "human:ann",
        "paused_at": rfc3339(SECOND),
        "reason": "why",
        "updated_at": rfc3339(SECOND),
    }


def test_a_session_of_another_workspace_is_not_eligible(ledger: Ledger) -> None:
    queued(ledger, "w1")
    ledger.session("s1")
    assert look(ledger).next_action == "waiting_for_session"

    ledger.session("s2", workspace_id="w1")
    assert look(ledger).next_action == "claim_available"


def test_a_run_nobody_can_take_is_stranded_after_five_minutes(ledger: Ledger) -> None:
    queued(ledger)
    assert codes(look(ledger, 299)) == []
    found = look(ledger, 300)

    assert (codes(found), found.next_action) == (["stranded"], "stranded")
    evidence = found.diagnostics[0].evidence
    assert {name: evidence[name] for name in list(evidence)[-4:]} == {
        "queued_age_seconds": 300,
        "threshold_seconds": 300,
        "eligible_session_count": 0,
        "scheduler_paused": False,
    }
    assert codes(look(ledger, 300, PAUSED)) == []
    ledger.session("s1")
    assert codes(look(ledger, 300)) == []


def test_a_requeued_run_waits_since_it_came_back(ledger: Ledger) -> None:
    queued(ledger)
    ledger.now += 600 * SECOND
    ledger.claim("run-1", "s1")
    ledger.release("run-1")
    assert codes(look(ledger, 299)) == []
    assert codes(look(ledger, 300)) == ["stranded"]


def test_a_claimed_run_is_stuck_without_a_sign_of_life(ledger: Ledger) -> None:
    queued(ledger)
    ledger.claim("run-1")
    assert (codes(look(ledger, 120)), look(ledger, 120).next_action) == ([], "running")
    found = look(ledger, 121)

    assert (codes(found), found.next_action) == (["stuck"], "recovery_required")
    assert found.current_run is not None
    assert found.current_run.heartbeat_age_seconds == 121
    assert shown(found.diagnostics[0]) == {
        "id": "task.inspect.task_run_stuck.run-1",
        "code": "task_run_stuck",
        "severity": "warn",
        "category": "task",
        "title": "Task run stuck",
        "message": "the claimed run gave no sign of life for 121 seconds",
        "suggested_command": 'agh task release run-1 --reason "stuck"',
        "doc_url": "/runtime/core/autonomy/task-runs-and-leases#task-inspect-diagnostics",
        "data_freshness": "live",
        "evidence": {
            "task_id": "task",
            "run_id": "run-1",
            "status": "claimed",
            "attempt": 1,
            "claim_token_hash_truncated": "",
            "lease_until": "0001-01-01T00:00:00Z",
            "heartbeat_at": "0001-01-01T00:00:00Z",
            "as_of": rfc3339(ledger.now + 121 * SECOND),
            "heartbeat_age_seconds": 121,
            "threshold_seconds": 120,
        },
    }


def test_a_lease_of_the_past_is_stale_only_while_claimed(ledger: Ledger) -> None:
    queued(ledger)
    ledger.session("s1")
    ledger.claim("run-1", "s1", lease=60)
    assert codes(look(ledger, 60)) == []
    assert codes(look(ledger, 61)) == ["stale_lease"]
    assert look(ledger, 61).next_action == "recovery_required"

    move(ledger, "run-1", e.RunStarted, "running", "in_progress", session_id="s1")
    assert codes(look(ledger, 900)) == []
    assert look(ledger, 900).next_action == "running"


def test_a_leased_run_is_orphaned_when_its_session_is_gone(ledger: Ledger) -> None:
    queued(ledger)
    ledger.claim("run-1", "s1", token="sha256:0123456789abcdef")
    missing = look(ledger)
    assert codes(missing) == ["orphan"]
    assert shown(missing.bound_session) == {"session_id": "s1", "state": "missing"}
    assert missing.current_run is not None
    assert missing.current_run.claim_token_hash_truncated == "01234567"

    ledger.session("s1")
    assert codes(look(ledger)) == []
    stop(ledger, "s1")
    found = look(ledger)
    assert codes(found) == ["orphan"]
    assert found.bound_session is not None
    assert (found.bound_session.state, found.bound_session.agent_name) == ("stopped", "coder")
    assert found.diagnostics[0].evidence["session_state"] == "stopped"


def test_a_failed_run_has_crashed_until_another_attempt_follows(ledger: Ledger) -> None:
    queued(ledger)
    ledger.claim("run-1")
    move(ledger, "run-1", e.RunFailed, "failed", error=f" x{'é' * 100} ")
    found = look(ledger)
    assert (codes(found), found.next_action) == (["crashed"], "recovery_required")
    assert found.current_run is not None
    assert (found.current_run.last_error_summary, found.current_run.failure_kind) == (
        "x" + "é" * 79,
        "error",
    )
    assert found.diagnostics[0].suggested_command == "agh task run enqueue task"

    ledger.enqueue("task", "run-2")
    move(ledger, "run-2", e.RunCanceled, "canceled")
    of_run = inspect_of_run(ledger.store, "run-1", RUNNING, ledger.now)
    assert of_run is not None
    assert codes(of_run) == ["crashed"]
    assert look(ledger).next_action == "terminal"

    ledger.enqueue("task", "run-3")
    of_run = inspect_of_run(ledger.store, "run-1", RUNNING, ledger.now)
    assert of_run is not None
    assert (codes(of_run), of_run.next_action, of_run.target) == ([], "terminal", "run")


def test_a_run_that_needs_attention_waits(ledger: Ledger) -> None:
    queued(ledger)
    more = {"previous_status": "queued", "diagnostic": "no claim"}
    move(ledger, "run-1", e.RunNeedsAttention, "needs_attention", **more)
    assert look(ledger).next_action == "waiting_for_session"


def test_the_current_run_is_the_claimed_then_the_furthest_one(ledger: Ledger) -> None:
    queued(ledger)
    ledger.claim("run-1")
    move(ledger, "run-1", e.RunCompleted, "completed")
    ledger.enqueue("task", "run-2")
    found = look(ledger)
    assert found.current_run is not None
    assert (found.current_run.run_id, found.current_run.retries) == ("run-2", 1)

    ledger.claim("run-2")
    again = look(ledger)
    assert again.current_run is not None
    assert again.current_run.status == "claimed"


def test_five_runs_newest_first_and_ten_events_oldest_first(ledger: Ledger) -> None:
    ledger.create("task")
    for number in range(1, 8):
        ledger.enqueue("task", f"run-{number}")
        ledger.claim(f"run-{number}")
        move(ledger, f"run-{number}", e.RunFailed, "failed", error="it broke")
    found = look(ledger)

    assert [run.attempt for run in found.recent_runs] == [7, 6, 5, 4, 3]
    assert len(found.recent_events) == 10
    assert [event.type for event in found.recent_events[-3:]] == [
        "task.run_enqueued",
        "task.run_claimed",
        "task.run_failed",
    ]
    last = shown(found.recent_events[-1])
    assert (last["outcome"], last["summary"], last["run_id"]) == ("failure", "it broke", "run-7")
    of_run = inspect_of_run(ledger.store, "run-2", RUNNING, ledger.now)
    assert of_run is not None
    assert {event.run_id for event in of_run.recent_events} == {"run-2"}


@pytest.mark.parametrize(("ahead", "age"), [(-10, None), (0, 0)])
def test_a_sign_of_life_from_the_future_has_no_age(
    ledger: Ledger, ahead: int, age: int | None
) -> None:
    queued(ledger)
    ledger.claim("run-1", "s1")
    found = look(ledger, ahead)
    assert found.current_run is not None
    assert found.current_run.heartbeat_age_seconds == age


def test_a_run_that_is_held_back_cannot_be_claimed_though_there_is_a_session(
    ledger: Ledger,
) -> None:
    queued(ledger)
    ledger.session("s1")
    ledger.pause("task")
    assert (codes(look(ledger, 300)), look(ledger).next_action) == ([], "waiting_for_session")


def test_a_session_that_does_not_suit_the_profile_is_not_eligible(ledger: Ledger) -> None:
    queued(ledger)
    ledger.session("s1")
    require(ledger, "task", needing("go"))
    assert (codes(look(ledger, 300)), look(ledger).next_action) == (
        ["stranded"],
        "waiting_for_session",
    )
    ledger.session("s2", capabilities=("go",))
    assert look(ledger).next_action == "claim_available"
