"""Pausing and resuming a task."""

from typing import Any

import pytest

from domain import errors
from domain.commands import CancelTask, ClaimRun, PauseTask, ResumeTask
from domain.events import TaskPaused, TaskResumed
from domain.instants import SECOND
from domain.values import Actor, Origin
from tests.support.spec import NOW, given, on
from tests.support.steps import (
    canceled,
    child,
    claim_next,
    complete,
    completed,
    draft,
    failed,
    heartbeat,
    json,
    leased,
    manual,
    queued,
    release,
    running,
    session,
    task,
)

PAUSE = PauseTask(task_id="t1", reason="why")
RESUME = ResumeTask(task_id="t1")
OPERATOR = Actor("extension", "ops")


def test_a_pause_says_who_and_why() -> None:
    spec = given(task("t1"))
    pause = PauseTask(task_id="t1", reason=" why ", metadata=json('{"a": 1}'))
    spec.when(pause, actor=OPERATOR, origin=Origin("extension", "x"), at=NOW + SECOND)
    spec.then(
        on(
            "t1",
            TaskPaused(
                manual=True,
                actor_kind="extension",
                actor_id="ops",
                previous_paused=False,
                paused=True,
                reason="why",
                metadata=json('{"a":1}'),
            ),
        )
    )
    spec.then_reply(task_id="t1").then_task(
        "t1",
        paused=True,
        paused_by="extension:ops",
        paused_at=NOW + SECOND,
        paused_reason="why",
        status="ready",
    )


def test_pausing_again_overwrites() -> None:
    spec = given(task("t1"), PAUSE).when(PauseTask(task_id="t1", reason="more"), at=NOW + SECOND)
    spec.then(
        TaskPaused(
            manual=True,
            actor_kind="human",
            actor_id="local-user",
            previous_paused=True,
            paused=True,
            reason="more",
        )
    )
    spec.then_task("t1", paused_at=NOW + SECOND, paused_reason="more")


def test_a_pause_needs_a_reason() -> None:
    spec = given(task("t1")).when(PauseTask(task_id="t1", reason=" "))
    spec.then_refused(errors.RequiresReasonError, "Reason required: pause_task requires a reason")
    assert spec.refusal is not None
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.code == "force_op_requires_reason"


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ([draft("t1")], "draft"),
        ([manual("t1")], "blocked"),
        ([task("t1"), queued("t1", "r1")], "ready"),
        ([task("t1"), *running("t1", "r1")], "in_progress"),
    ],
)
def test_every_unfinished_task_can_be_paused(past: list[Any], status: str) -> None:
    given(*past).when(PAUSE).then_task("t1", paused=True, status=status)


@pytest.mark.parametrize(
    ("past", "status"),
    [
        (completed("t1", "r1"), "completed"),
        (failed("t1", "r1"), "failed"),
        (canceled("t1", "r1"), "canceled"),
        ((CancelTask(task_id="t1"),), "canceled"),
    ],
)
def test_a_finished_task_cannot_be_paused(past: tuple[Any, ...], status: str) -> None:
    spec = given(task("t1", max_attempts=1), *past).when(PAUSE)
    spec.then_refused(errors.InvalidTransitionError, f'task "t1" is already {status}')
    assert spec.refusal is not None
    diagnostic = spec.refusal.diagnostic
    assert diagnostic is not None
    assert (diagnostic.code, diagnostic.severity) == ("task_run_already_terminal", "info")
    assert diagnostic.evidence == {"task_id": "t1", "task_status": status}


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (PauseTask(task_id="t9", reason="why"), errors.TaskNotFoundError, 'task "t9"'),
        (ResumeTask(task_id="t9"), errors.TaskNotFoundError, 'task "t9"'),
        (
            PauseTask(task_id="t1", reason="why", metadata=json('"' + "x" * 16_383 + '"')),
            errors.PayloadTooLargeError,
            "pause_task.metadata exceeds 16384 bytes",
        ),
        (
            ResumeTask(task_id="t1", metadata=json("{")),
            errors.ValidationError,
            "resume_task.metadata must contain valid JSON",
        ),
    ],
)
def test_a_bad_request_is_refused(command: Any, error: type[Any], text: str) -> None:
    given(task("t1")).when(command).then_refused(error, text)


def test_resume_ends_the_pause() -> None:
    spec = given(task("t1"), PAUSE).when(ResumeTask(task_id="t1", metadata=json("1")))
    spec.then(
        on(
            "t1",
            TaskResumed(
                manual=True,
                actor_kind="human",
                actor_id="local-user",
                previous_paused=True,
                paused=False,
                metadata=json("1"),
            ),
        )
    )
    spec.then_reply(task_id="t1")
    spec.then_task("t1", paused=False, paused_by="", paused_at=0, paused_reason="")


@pytest.mark.parametrize(
    "past", [[task("t1")], [task("t1"), *completed("t1", "r1")], [draft("t1")]]
)
def test_resume_passes_in_any_status_and_when_not_paused(past: list[Any]) -> None:
    given(*past).when(RESUME).then(
        TaskResumed(
            manual=True,
            actor_kind="human",
            actor_id="local-user",
            previous_paused=False,
            paused=False,
        )
    )


def test_a_pause_holds_everything_below_back_from_claim_next() -> None:
    spec = given(task("t1"), child("t1", "a"), child("a", "b"), queued("b", "r1"), PAUSE)
    spec.when(claim_next("s1")).then_reply(session_id="s1")
    spec.given(RESUME).when(claim_next("s1"))
    spec.then_reply(task_id="b", run_id="r1", session_id="s1")


def test_the_nearest_paused_task_is_named() -> None:
    spec = given(task("t1"), child("t1", "a"), child("a", "b"), PAUSE)
    spec.when(queued("b", "r1"))
    assert [change.paused_by for change in spec.changes] == ["t1"]
    spec.when(PauseTask(task_id="a", reason="why")).when(ClaimRun(run_id="r1"))
    assert [change.paused_by for change in spec.changes] == ["a"]
    spec.when(PauseTask(task_id="b", reason="why"))
    assert [change.paused_by for change in spec.changes] == ["b"]
    spec.when(session("s2"))
    assert [change.paused_by for change in spec.changes] == [""]


def test_a_pause_leaves_claimed_work_alone() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), PAUSE)
    spec.when(heartbeat("r1", "s1")).then_run("r1", status="claimed")
    spec.when(release("r1", "s1")).then_run("r1", status="queued")
    spec.when(ClaimRun(run_id="r1")).then_run("r1", status="claimed")


def test_a_paused_task_can_be_completed() -> None:
    spec = given(task("t1"), *leased("t1", "r1"), PAUSE).when(complete("r1", "s1"))
    spec.then_task("t1", status="completed", paused=True)
