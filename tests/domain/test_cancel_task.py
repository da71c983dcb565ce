"""Canceling a task and everything below it."""

from typing import Any

import pytest

from domain import errors
from domain.commands import CancelTask
from domain.events import (
    RunCanceled,
    RunForceStopped,
    RunNeedsAttention,
    TaskCanceled,
    TaskStatusChanged,
)
from domain.instants import SECOND
from tests.support.spec import NOW, given, on
from tests.support.steps import (
    child,
    claim_next,
    completed,
    draft,
    failed,
    json,
    leased,
    manual,
    queued,
    running,
    session,
    task,
    waits,
)

CANCEL = CancelTask(task_id="t1")
ATTENTION = RunNeedsAttention(
    previous_status="queued", status="needs_attention", task_status="ready"
)


def test_the_reason_is_kept() -> None:
    cancel = CancelTask(task_id="t1", reason=" moved ", metadata=json('{"a": 1}'))
    spec = given(task("t1")).when(cancel, at=NOW + SECOND)
    spec.then(on("t1", TaskCanceled(reason="moved", metadata=json('{"a":1}'), status="canceled")))
    spec.then_reply(task_id="t1")
    spec.then_task("t1", status="canceled", closed_at=NOW + SECOND, updated_at=NOW + SECOND)


@pytest.mark.parametrize(
    ("past", "events"),
    [
        ([draft("t1")], 1),
        ([manual("t1")], 1),
        ([task("t1")], 1),
        ([task("t1"), queued("t1", "r1")], 2),
        ([task("t1"), *running("t1", "r1")], 3),
    ],
)
def test_every_unfinished_task_can_be_canceled(past: list[Any], events: int) -> None:
    spec = given(*past).when(CANCEL).then_task("t1", status="canceled", current_run_id="")
    assert len(spec.facts) == events


def test_the_run_is_canceled_before_the_task() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"))
    cancel = CancelTask(task_id="t1", reason="why", metadata=json("1"))
    spec.when(cancel)
    spec.then(
        on(
            "t1",
            RunCanceled(
                status="canceled",
                task_status="canceled",
                reason="why",
                metadata=json("1"),
                session_id="s1",
            ),
            "r1",
        ),
        on("t1", RunForceStopped(session_id="s1", grace_timeout_ms=0), "r1"),
        on(
            "t1",
            TaskCanceled(
                reason="why", metadata=json("1"), status="canceled", canceled_run_ids=("r1",)
            ),
        ),
    )


@pytest.mark.parametrize(
    ("end", "status"), [(completed("t1", "r1"), "completed"), (failed("t1", "r1"), "failed")]
)
def test_a_finished_task_cannot_be_canceled(end: tuple[Any, ...], status: str) -> None:
    spec = given(task("t1", max_attempts=1), *end).when(CANCEL)
    spec.then_refused(
        errors.InvalidTransitionError,
        f'task: invalid status transition: task "t1" cannot transition from "{status}" '
        'to "canceled"',
    )


def test_a_finished_task_with_an_open_run_can_be_canceled() -> None:
    spec = given(task("t1"), task("t2"), waits("t2", "t1"), *completed("t1", "r1"))
    attention = RunNeedsAttention(
        previous_status="queued", status="needs_attention", task_status="completed"
    )
    ready = TaskStatusChanged(
        previous_status="blocked", status="ready", cause_event_id="past", cause_task_id="t1"
    )
    spec.given(queued("t1", "r2"), on("t1", attention, "r2"), on("t2", ready))
    spec.when(CANCEL).then_task("t1", status="canceled").then_task("t2", status="blocked")


def test_a_canceled_task_stays_as_it_is() -> None:
    given(task("t1"), CANCEL).when(CANCEL).then_nothing().then_reply(task_id="t1")


def test_a_run_that_needs_attention_is_canceled_too() -> None:
    spec = given(task("t1"), queued("t1", "r1"), on("t1", ATTENTION, "r1"))
    spec.when(CANCEL).then_run("r1", status="canceled").then_task("t1", status="canceled")


def test_the_whole_tree_is_canceled_root_first_and_breadth_first() -> None:
    spec = given(
        task("t1"),
        child("t1", "a"),
        child("a", "a1"),
        child("t1", "b"),
        child("b", "b1"),
        queued("b1", "r1"),
    )
    spec.when(CancelTask(task_id="t1", reason="why"))
    own = TaskCanceled(reason="why", status="canceled")
    below = TaskCanceled(reason="why", status="canceled", propagated_from_task_id="t1")
    spec.then(
        on("t1", own),
        on("a", below),
        on("b", below),
        on("a1", below),
        on(
            "b1",
            RunCanceled(
                status="canceled",
                task_status="canceled",
                reason="why",
                propagated_from_task_id="t1",
            ),
            "r1",
        ),
        on(
            "b1",
            TaskCanceled(
                reason="why",
                status="canceled",
                propagated_from_task_id="t1",
                canceled_run_ids=("r1",),
            ),
        ),
    )


def test_finished_descendants_are_skipped_but_not_what_is_below_them() -> None:
    spec = given(task("t1"), child("t1", "a"), child("a", "b"), *completed("a", "r1"))
    spec.when(CANCEL)
    assert spec.statuses == {"t1": "canceled", "a": "completed", "b": "canceled"}


def test_new_children_of_a_canceled_task_can_be_canceled_with_it() -> None:
    spec = given(task("t1"), CANCEL, child("t1", "a")).when(CANCEL)
    spec.then(on("a", TaskCanceled(status="canceled", propagated_from_task_id="t1")))


def test_a_missing_task_is_not_found() -> None:
    given().when(CANCEL).then_refused(errors.TaskNotFoundError, 'task "t1"')


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"reason": "x" * 65_537}, errors.PayloadTooLargeError, "cancel_task.reason exceeds"),
        (
            {"metadata": json('"' + "x" * 65_535 + '"')},
            errors.PayloadTooLargeError,
            "cancel_task.metadata exceeds 65536 bytes",
        ),
        ({"metadata": json("{")}, errors.ValidationError, "must contain valid JSON"),
    ],
)
def test_a_bad_value_is_refused(members: dict[str, Any], error: type[Any], text: str) -> None:
    given(task("t1")).when(CancelTask(task_id="t1", **members)).then_refused(error, text)


def test_a_canceled_lease_is_free_for_other_work() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), CANCEL)
    spec.given(task("t2"), queued("t2", "r2")).when(claim_next("s1", at=NOW + SECOND))
    spec.then_reply(task_id="t2", run_id="r2", session_id="s1")


def test_a_session_below_loses_its_run_through_the_root() -> None:
    spec = given(task("t1"), child("t1", "a"), *leased("a", "r1")).when(CANCEL)
    stopped = RunForceStopped(session_id="s1", grace_timeout_ms=0, propagated_from_task_id="t1")
    assert stopped in spec.facts
    canceled, told = spec.recorded[1:3]
    assert (told.fact, told.run_id, told.causation_id) == (stopped, "r1", canceled.event_id)
