"""Idempotency keys: what a repeated request answers, and whose key it is."""

from typing import Any

import pytest

from domain import errors
from domain.commands import (
    ApproveTask,
    CancelRun,
    CancelTask,
    ClaimRun,
    DeleteTask,
    EnqueueRun,
    FailRun,
    PublishTask,
    StartRun,
    StartTask,
    UpdateTask,
)
from domain.values import Actor, Origin
from tests.support.spec import given
from tests.support.steps import (
    agent,
    completed,
    draft,
    failed,
    json,
    manual,
    queued,
    task,
)

KEYED = EnqueueRun(task_id="t1", idempotency_key="k", metadata=json('{"a": 1}'))


def test_the_same_request_answers_with_the_same_run() -> None:
    spec = given(task("t1")).when(KEYED, run_id="r1").then_reply(task_id="t1", run_id="r1")
    spec.when(KEYED).then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


def test_spaces_do_not_make_another_request() -> None:
    spec = given(task("t1")).when(KEYED, run_id="r1")
    spec.when(EnqueueRun(task_id="t1", idempotency_key=" k ", metadata=json(' {"a":1} ')))
    spec.then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


@pytest.mark.parametrize("end", [CancelRun(run_id="r1"), UpdateTask(task_id="t1", title="n")])
def test_a_key_answers_whatever_the_status_of_its_run(end: Any) -> None:
    start = StartTask(task_id="t1", idempotency_key="k")
    spec = given(task("t1")).when(start, run_id="r1").given(end)
    spec.when(start).then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


@pytest.mark.parametrize(
    "other",
    [
        EnqueueRun(task_id="t1", idempotency_key="k"),
        EnqueueRun(task_id="t1", idempotency_key="k", metadata=json('{"a":2}')),
        EnqueueRun(
            task_id="t1", idempotency_key="k", metadata=json('{"a":1}'), network_channel="dev"
        ),
    ],
)
def test_the_same_key_with_another_body_is_a_conflict(other: EnqueueRun) -> None:
    spec = given(task("t1")).when(KEYED, run_id="r1").when(other)
    spec.then_refused(
        errors.ConflictError,
        'task: conflict: idempotency key "k" stands for another request (run "r1")',
    )


def test_a_key_of_another_task_is_refused() -> None:
    spec = given(task("t1"), task("t2")).when(KEYED)
    spec.when(EnqueueRun(task_id="t2", idempotency_key="k"))
    spec.then_refused(errors.ValidationError, 'idempotency key "k" is already bound to task "t1"')


def test_enqueue_looks_at_the_status_before_the_key() -> None:
    spec = given(task("t1")).when(KEYED).given(CancelTask(task_id="t1")).when(KEYED)
    spec.then_refused(errors.InvalidTransitionError, 'task "t1" is canceled')


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (task("t1"), StartTask(task_id="t1", idempotency_key="k")),
        (draft("t1"), PublishTask(task_id="t1", idempotency_key="k")),
        (manual("t1"), ApproveTask(task_id="t1", idempotency_key="k")),
    ],
)
def test_other_operations_look_at_the_key_first(past: Any, command: Any) -> None:
    spec = given(past).when(command, run_id="r1").given(CancelTask(task_id="t1"))
    spec.when(command).then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (task("t1"), StartTask(task_id="t1")),
        (draft("t1"), PublishTask(task_id="t1")),
        (manual("t1"), ApproveTask(task_id="t1")),
    ],
)
def test_a_default_key_answers_while_its_run_is_open(past: Any, command: Any) -> None:
    spec = given(past).when(command, run_id="r1")
    spec.given(ClaimRun(run_id="r1"), StartRun(run_id="r1"))
    spec.when(command).then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


def test_a_default_key_stands_for_a_new_run_once_the_old_one_ended() -> None:
    spec = given(task("t1")).when(StartTask(task_id="t1"), run_id="r1")
    spec.given(ClaimRun(run_id="r1"), StartRun(run_id="r1"), FailRun(run_id="r1", error="e"))
    spec.when(StartTask(task_id="t1"), run_id="r2").then_reply(task_id="t1", run_id="r2")
    spec.when(StartTask(task_id="t1"))
    spec.then_nothing().then_reply(task_id="t1", run_id="r2", replayed=True)


def test_a_default_key_with_another_body_is_a_conflict_while_its_run_is_open() -> None:
    spec = given(task("t1")).when(StartTask(task_id="t1"), run_id="r1")
    spec.when(StartTask(task_id="t1", network_channel="dev"))
    spec.then_refused(errors.ConflictError, 'key "task.start.t1" stands for another request')


def test_each_operation_has_its_own_slot() -> None:
    start = Origin("http", "tasks.start")
    spec = given(task("t1")).when(KEYED, run_id="r1")
    spec.when(StartTask(task_id="t1", idempotency_key="k"), origin=start)
    spec.then_refused(errors.InvalidTransitionError, 'task "t1" has open run "r1"')


def test_each_caller_has_its_own_slot() -> None:
    spec = given(task("t1"), task("t2")).when(KEYED, run_id="r1")
    other = EnqueueRun(task_id="t2", idempotency_key="k")
    spec.when(agent("s1", other)).then_reply(task_id="t2", run_id="run-1")


def test_a_key_goes_with_its_deleted_task() -> None:
    spec = given(task("t1"), task("t2"), *completed("t1", "r0")).when(KEYED)
    spec.given(CancelRun(run_id="run-1"), DeleteTask(task_id="t1"))
    spec.when(EnqueueRun(task_id="t2", idempotency_key="k"))
    spec.then_reply(task_id="t2", run_id="run-2")


ROBOT: dict[str, Any] = {
    "actor": Actor("automation", "cron"),
    "origin": Origin("automation", "cron"),
}


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        (EnqueueRun(task_id="t1"), "enqueue_run"),
        (ClaimRun(run_id="r1"), "claim_run"),
        (StartRun(run_id="r1"), "start_run"),
    ],
)
def test_a_caller_that_is_no_human_needs_a_key(command: Any, operation: str) -> None:
    spec = given(task("t1"), queued("t1", "r1")).when(command, **ROBOT)
    spec.then_refused(
        errors.ValidationError, f"{operation}.idempotency_key is required for non-human actors"
    )


@pytest.mark.parametrize(
    ("command", "operation"),
    [(ClaimRun(run_id="r1"), "claim_run"), (StartRun(run_id="r1"), "start_run")],
)
def test_a_key_has_a_limit_even_where_it_is_not_kept(command: Any, operation: str) -> None:
    long = type(command)(run_id="r1", idempotency_key="k" * 1025)
    spec = given(task("t1"), queued("t1", "r1")).when(long, **ROBOT)
    spec.then_refused(
        errors.PayloadTooLargeError, f"{operation}.idempotency_key exceeds 1024 bytes"
    )


def test_with_a_key_a_robot_may_enqueue_claim_and_start() -> None:
    spec = given(task("t1"))
    spec.when(EnqueueRun(task_id="t1", idempotency_key="k"), run_id="r1", **ROBOT)
    spec.when(ClaimRun(run_id="r1", idempotency_key="k"), **ROBOT)
    spec.then_run("r1", claimed_by=ROBOT["actor"])
    spec.when(StartRun(run_id="r1", idempotency_key="k"), **ROBOT).then_run("r1", status="running")


def test_the_key_of_a_failed_run_still_names_it() -> None:
    spec = given(task("t1")).when(KEYED, run_id="r1")
    spec.given(ClaimRun(run_id="r1"), StartRun(run_id="r1"), FailRun(run_id="r1", error="e"))
    spec.when(KEYED).then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)


def test_a_run_without_a_key_is_never_a_replay() -> None:
    spec = given(task("t1"), *failed("t1", "r1")).when(queued("t1", "r2"))
    spec.then_reply(task_id="t1", run_id="r2")
