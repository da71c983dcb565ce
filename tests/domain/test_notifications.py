"""What subscribers are told, and how far they have been (task API, bridge delivery)."""

from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings

from domain import bridge_commands as b
from domain import commands as c
from domain import events as e
from domain.bridge_state import KEPT_ATTEMPTS, CursorState, evolve_bridge, evolve_cursor
from domain.notification import Notify, PassOver, next_step
from domain.recorded import Recorded
from domain.task.state import TaskState
from tests.domain.test_bridges import bridge, subscribe
from tests.domain.test_properties import Script, scripts
from tests.domain.test_properties import told as told_script
from tests.support.spec import HTTP, HUMAN, NOW, Spec, given, on
from tests.support.steps import queued, task


def step(spec: Spec, task_id: str = "t", subscription_id: str = "s") -> Notify | PassOver | None:
    state = spec.world.states[f"task:{task_id}"]
    assert isinstance(state, TaskState)
    return next_step(state, cursor(spec, subscription_id))


def cursor(spec: Spec, subscription_id: str = "s") -> CursorState:
    state = spec.world.states[f"notification:{subscription_id}"]
    assert isinstance(state, CursorState)
    return state


def subscription() -> Spec:
    return given(task("t", max_attempts=2), bridge(), subscribe())


def completed(spec: Spec, run_id: str = "r") -> Spec:
    steps = (c.ClaimRun(run_id=run_id), c.StartRun(run_id=run_id), c.CompleteRun(run_id=run_id))
    return spec.given(queued("t", run_id), *steps)


def failed(spec: Spec, run_id: str = "r") -> Spec:
    steps = (
        c.ClaimRun(run_id=run_id),
        c.StartRun(run_id=run_id),
        c.FailRun(run_id=run_id, error="it broke"),
    )
    return spec.given(queued("t", run_id), *steps)


def note(spec: Spec, fact: b.NotificationFact, at: int = NOW) -> Spec:
    return spec.when(b.NoteNotification(fact=fact), at=at)


def delivered(sequence: int, **more: Any) -> e.NotificationDelivered:
    usual = {"subscription_id": "s", "delivery_id": f"notif:s:{sequence}", "status_code": 204}
    return e.NotificationDelivered(subject_sequence=sequence, **{**usual, **more})


def not_delivered(sequence: int, attempt: int = 1) -> e.NotificationFailed:
    return e.NotificationFailed(
        subscription_id="s",
        subject_sequence=sequence,
        delivery_id=f"notif:s:{sequence}",
        attempt=attempt,
        status_code=500,
        error="answered 500",
        retry_at=NOW + 100 * attempt,
    )


def test_nothing_is_told_of_a_task_that_has_not_ended() -> None:
    spec = subscription()

    assert step(spec) is None
    failed(spec)
    assert spec.world.task("t").status == "ready"
    assert step(spec) is None


def test_a_completed_task_is_told_with_a_stable_id() -> None:
    spec = completed(subscription())

    sequence = spec.recorded[-1].sequence
    assert step(spec) == Notify(
        delivery_id=f"notif:s:{sequence}",
        sequence=sequence,
        event_type="task.run_completed",
        status="completed",
        run_id="r",
    )


def test_a_failure_is_told_with_its_error() -> None:
    spec = failed(failed(subscription()), "r2")

    told = step(spec)
    assert isinstance(told, Notify)
    # The first failure was not the end.
    assert (told.status, told.run_id, told.error) == ("failed", "r2", "it broke")
    note(spec, delivered(told.sequence))
    assert step(spec) is None


def test_each_end_of_a_task_is_told() -> None:
    spec = completed(subscription())
    first = step(spec)
    assert isinstance(first, Notify)
    note(spec, delivered(first.sequence))
    completed(spec, "r2")

    later = step(spec)
    assert isinstance(later, Notify)
    assert later.run_id == "r2"


def test_failures_before_a_success_are_passed_by() -> None:
    spec = completed(failed(subscription()), "r2")

    told = step(spec)
    assert isinstance(told, Notify)
    assert (told.status, told.run_id) == ("completed", "r2")


def test_a_cancel_is_told_once_though_it_cancels_the_run_as_well() -> None:
    spec = subscription().given(queued("t", "r"), c.CancelTask(task_id="t", reason="enough"))

    told = step(spec)
    assert isinstance(told, Notify)
    ended = [past for past in spec.recorded if past.type in {"task.canceled", "task.run_canceled"}]
    assert len(ended) == 2
    assert (told.sequence, told.status) == (ended[-1].sequence, "canceled")


def test_events_that_tell_another_outcome_are_passed_over() -> None:
    changed = e.TaskStatusChanged(
        previous_status="ready", status="completed", cause_event_id="x", cause_task_id="y"
    )
    spec = failed(subscription())
    sequence = spec.recorded[-1].sequence
    spec.given(on("t", changed))

    expected = "the task is completed, but not by task.run_failed"
    assert step(spec) == PassOver(sequence=sequence, error=expected)
    passed = e.NotificationPassedOver(
        subscription_id="s", subject_sequence=sequence, error=expected
    )
    spec.when(b.NoteNotification(fact=passed), checked=False)
    assert (cursor(spec).last_sequence, cursor(spec).last_error) == (sequence, expected)
    assert step(spec) is None


def test_nothing_is_told_of_a_deleted_task() -> None:
    spec = completed(subscription()).given(c.DeleteTask(task_id="t"))

    assert step(spec) is None


def test_a_delivery_moves_the_cursor_and_clears_what_went_wrong() -> None:
    spec = completed(subscription())
    sequence = spec.recorded[-1].sequence
    note(spec, not_delivered(sequence), at=NOW + 1)
    failing = cursor(spec)
    assert (failing.last_sequence, failing.last_error) == (0, "answered 500")
    assert (failing.failures, failing.retry_at) == (1, NOW + 100)

    note(spec, delivered(sequence), at=NOW + 2).then(delivered(sequence))
    reached = cursor(spec)
    assert (reached.last_sequence, reached.last_error) == (sequence, "")
    assert (reached.failures, reached.retry_at) == (0, 0)
    assert (reached.last_delivery_id, reached.last_delivered_at) == (
        f"notif:s:{sequence}",
        NOW + 2,
    )
    assert [(each.at - NOW, each.outcome, each.status_code) for each in reached.attempts] == [
        (1, "failed", 500),
        (2, "delivered", 204),
    ]


def test_what_is_suppressed_counts_as_served() -> None:
    spec = completed(subscription())
    sequence = spec.recorded[-1].sequence
    fact = e.NotificationSuppressed(
        subscription_id="s", subject_sequence=sequence, delivery_id="d", reason="bridge is disabled"
    )

    note(spec, fact).then(fact)
    reached = cursor(spec)
    assert (reached.last_sequence, reached.last_delivery_id) == (sequence, "d")
    assert reached.last_delivered_at == 0
    assert step(spec) is None


def test_the_cursor_never_goes_back() -> None:
    spec = completed(subscription())
    sequence = spec.recorded[-1].sequence
    note(spec, delivered(sequence))

    for fact in (delivered(sequence), delivered(sequence - 1), not_delivered(sequence)):
        note(spec, fact).then_nothing()
    note(spec, delivered(9, subscription_id="unknown")).then_nothing()


def test_only_the_last_attempts_are_kept() -> None:
    spec = completed(subscription())
    for attempt in range(1, 9):
        note(spec, not_delivered(spec.world.head, attempt))

    assert len(cursor(spec).attempts) == KEPT_ATTEMPTS


def test_a_subscription_made_anew_goes_on_behind_its_old_position() -> None:
    spec = completed(subscription())
    sequence = spec.recorded[-1].sequence
    note(spec, delivered(sequence))
    spec.given(b.UnsubscribeBridge(task_id="t", subscription_id="s"), subscribe())

    assert cursor(spec).last_sequence == sequence
    assert step(spec) is None


def test_a_subscription_sent_again_is_tried_at_once() -> None:
    spec = completed(subscription())
    sequence = spec.recorded[-1].sequence
    note(spec, not_delivered(sequence, 7))
    spec.given(subscribe())

    assert (cursor(spec).failures, cursor(spec).retry_at) == (0, 0)
    assert isinstance(step(spec), Notify)


@pytest.mark.parametrize("fact", [e.BridgeRemoved(bridge_id="b"), delivered(1)])
def test_folds_are_total(fact: e.Fact) -> None:
    recorded = Recorded(
        sequence=1,
        originator_id="bridge:b",
        originator_version=1,
        event_id="e",
        fact=fact,
        actor=HUMAN,
        origin=HTTP,
        occurred_at=NOW,
        recorded_at=NOW,
        command_id="c",
    )

    assert evolve_bridge(None, recorded) is None
    assert evolve_cursor(None, recorded) is None
    state = CursorState(subscription_id="s", task_id="t")
    after = evolve_cursor(state, recorded)
    assert after is not None
    assert after.version == 1


@settings(max_examples=60)
@for_all(scripts)
def test_after_any_history_each_end_is_told_at_most_once_and_then_there_is_rest(
    script: Script,
) -> None:
    spec = told_script(script, checked=False)
    for state in spec.world.tasks():
        for name in state.subscriptions:
            told: list[int] = []
            while (ahead := step(spec, state.id, name)) is not None:
                told.append(ahead.sequence)
                fact: b.NotificationFact = delivered(ahead.sequence, subscription_id=name)
                if isinstance(ahead, PassOver):
                    fact = e.NotificationPassedOver(
                        subscription_id=name, subject_sequence=ahead.sequence, error=ahead.error
                    )
                spec.when(b.NoteNotification(fact=fact), checked=False)
            assert told == sorted(set(told))
            assert set(told) <= {ending.sequence for ending in state.endings}
