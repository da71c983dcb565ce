"""The derivation of a task's status, and when the stored one moves."""

from itertools import product
from typing import Any

import pytest

from domain import errors
from domain.commands import (
    CancelRun,
    CancelTask,
    ClaimRun,
    CompleteRun,
    EnqueueRun,
    FailRun,
    PublishTask,
    StartRun,
    StartTask,
    UpdateTask,
)
from domain.events import RunCompleted, RunNeedsAttention, TaskStatusChanged
from domain.instants import SECOND
from domain.task.state import Dependency, Run, Task, TaskState
from domain.task.status import derive_status
from domain.values import RunStatus, TaskStatus
from tests.support.spec import HTTP, HUMAN, NOW, given, on
from tests.support.steps import (
    canceled,
    child,
    claim_next,
    complete,
    completed,
    draft,
    enqueued,
    failed,
    leased,
    manual,
    queued,
    running,
    task,
    waits,
)


def state_of(*runs: RunStatus, status: TaskStatus = "ready", **members: Any) -> TaskState:
    """Return a task whose runs have these statuses, the oldest first."""
    members = {"max_attempts": 10, **members}
    return TaskState(
        task=Task(
            id="t1",
            scope="global",
            title="Title",
            status=status,
            created_by=HUMAN,
            origin=HTTP,
            created_at=NOW,
            updated_at=NOW,
            **members,
        ),
        runs={f"r{n}": run(n, status) for n, status in enumerate(runs, 1)},
        version=1,
    )


def run(attempt: int, status: RunStatus, run_id: str = "", queued_at: int = NOW) -> Run:
    return Run(
        id=run_id or f"r{attempt}",
        task_id="t1",
        status=status,
        attempt=attempt,
        origin=HTTP,
        queued_at=queued_at,
    )


def nothing_known(_: str) -> str | None:
    return None


WAITING: dict[str, Any] = {"dependencies": (Dependency(depends_on_task_id="t0"),)}
UNAPPROVED = {"approval_policy": "manual", "approval_state": "pending"}
REJECTED = {"approval_policy": "manual", "approval_state": "rejected"}
APPROVED = {"approval_policy": "manual", "approval_state": "approved"}
EVERY_RUN: tuple[RunStatus, ...] = (
    "queued",
    "claimed",
    "starting",
    "running",
    "completed",
    "failed",
    "canceled",
    "needs_attention",
)


@pytest.mark.parametrize(("status", "last"), list(product(["canceled", "draft"], EVERY_RUN)))
def test_rule_1_canceled_and_draft_stay(status: TaskStatus, last: RunStatus) -> None:
    assert derive_status(state_of(last, status=status), nothing_known) == status


@pytest.mark.parametrize("held", [{}, WAITING, UNAPPROVED, REJECTED])
@pytest.mark.parametrize("last", ["starting", "running"])
def test_rule_2_work_makes_it_in_progress_even_when_blocked(
    last: RunStatus, held: dict[str, Any]
) -> None:
    assert derive_status(state_of("failed", last, **held), nothing_known) == "in_progress"


@pytest.mark.parametrize("last", ["queued", "claimed"])
@pytest.mark.parametrize(
    ("held", "status"),
    [
        ({}, "ready"),
        (APPROVED, "ready"),
        (WAITING, "blocked"),
        (UNAPPROVED, "blocked"),
        (REJECTED, "blocked"),
    ],
)
def test_rule_3_a_waiting_run_makes_it_ready_or_blocked(
    last: RunStatus, held: dict[str, Any], status: str
) -> None:
    assert derive_status(state_of("completed", last, **held), nothing_known) == status


@pytest.mark.parametrize(
    ("last", "held", "status"),
    [
        ("completed", {}, "completed"),
        ("completed", WAITING, "completed"),
        ("canceled", {}, "canceled"),
        ("canceled", UNAPPROVED, "canceled"),
        ("failed", {}, "ready"),
        ("failed", WAITING, "blocked"),
        ("failed", UNAPPROVED, "blocked"),
        ("failed", {"max_attempts": 2}, "failed"),
        ("failed", {"max_attempts": 2, **WAITING}, "failed"),
        ("failed", {"max_attempts": 1}, "failed"),
        ("failed", {"max_attempts": 3}, "ready"),
    ],
)
def test_rule_4_the_latest_ended_run_decides(
    last: RunStatus, held: dict[str, Any], status: str
) -> None:
    assert derive_status(state_of("canceled", last, **held), nothing_known) == status


def test_rule_4_the_latest_has_the_highest_attempt_then_time_then_id() -> None:
    state = state_of()
    by_attempt = [run(2, "completed"), run(1, "failed", queued_at=NOW + 9)]
    by_time = [run(1, "completed", "a", NOW + 1), run(1, "failed", "b", NOW)]
    by_id = [run(1, "completed", "b"), run(1, "failed", "a")]
    for runs in (by_attempt, by_time, by_id):
        settled = TaskState(task=state.task, runs={r.id: r for r in runs}, version=1)
        assert derive_status(settled, nothing_known) == "completed"


@pytest.mark.parametrize("runs", [(), ("needs_attention",)])
@pytest.mark.parametrize(
    ("status", "held", "derived"),
    [
        ("completed", WAITING, "completed"),
        ("failed", {}, "failed"),
        ("ready", {}, "ready"),
        ("in_progress", {}, "ready"),
        ("pending", {}, "ready"),
        ("blocked", {}, "ready"),
        ("ready", WAITING, "blocked"),
        ("ready", UNAPPROVED, "blocked"),
    ],
)
def test_rule_5_without_runs_an_end_is_kept(
    runs: tuple[RunStatus, ...], status: TaskStatus, held: dict[str, Any], derived: str
) -> None:
    assert derive_status(state_of(*runs, status=status, **held), nothing_known) == derived


@pytest.mark.parametrize(
    ("blocker", "status"),
    [
        (None, "blocked"),
        ("draft", "blocked"),
        ("pending", "blocked"),
        ("blocked", "blocked"),
        ("ready", "blocked"),
        ("in_progress", "blocked"),
        ("failed", "blocked"),
        ("canceled", "blocked"),
        ("completed", "ready"),
    ],
)
def test_only_a_completed_blocker_is_resolved(blocker: str | None, status: str) -> None:
    assert derive_status(state_of(**WAITING), lambda _: blocker) == status


def test_every_blocker_has_to_be_completed() -> None:
    edges = tuple(Dependency(depends_on_task_id=name) for name in ("a", "b"))
    one = {"a": "completed", "b": "ready"}
    assert derive_status(state_of(dependencies=edges), one.get) == "blocked"
    both = {"a": "completed", "b": "completed"}
    assert derive_status(state_of(dependencies=edges), both.get) == "ready"


def test_claiming_does_not_make_a_task_in_progress() -> None:
    spec = given(task("t1"), *leased("t1", "r1")).then_task("t1", status="ready")
    spec.when(complete("r1", "s1")).then_task("t1", status="completed")
    assert isinstance(spec.facts[0], RunCompleted)
    assert spec.facts[0].task_status == "completed"


def test_a_run_that_needs_attention_is_invisible() -> None:
    attention = RunNeedsAttention(
        previous_status="queued", status="needs_attention", task_status="ready"
    )
    spec = given(task("t1"), queued("t1", "r1"), on("t1", attention, "r1"))
    spec.when(UpdateTask(task_id="t1", title="n")).then_task("t1", status="ready")


def test_canceling_the_deciding_run_cancels_the_task_for_good() -> None:
    spec = given(task("t1"), *canceled("t1", "r1")).then_task("t1", status="canceled")
    for command in (EnqueueRun(task_id="t1"), StartTask(task_id="t1")):
        spec.when(command).then_refused(errors.InvalidTransitionError, 'task "t1" is canceled')


def test_a_completed_task_that_is_queued_again_blocks_its_dependents_again() -> None:
    spec = given(task("t1"), task("t2"), waits("t2", "t1"), *completed("t1", "r1"))
    spec.then_task("t2", status="ready")
    spec.when(queued("t1", "r2"))
    spec.then(
        on("t1", enqueued(attempt=2), "r2"),
        on(
            "t2",
            TaskStatusChanged(
                previous_status="ready",
                status="blocked",
                cause_event_id=spec.recorded[0].event_id,
                cause_task_id="t1",
            ),
        ),
    )
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    spec.then_task("t1", status="ready", closed_at=0)


def test_a_parent_follows_no_child_and_waits_for_none() -> None:
    spec = given(task("t1"), child("t1", "t2"), *completed("t2", "r2"))
    spec.then_task("t1", status="ready")
    spec.given(child("t1", "t3"), *completed("t1", "r1")).then_task("t1", status="completed")


@pytest.mark.parametrize(
    "end", [completed("t1", "r1"), failed("t1", "r1")], ids=["completed", "failed"]
)
def test_a_new_blocker_leaves_a_finished_task_as_it_is(end: tuple[Any, ...]) -> None:
    spec = given(task("t0"), task("t1", max_attempts=1), *end)
    before = spec.world.task("t1").status
    spec.when(waits("t1", "t0")).then_task("t1", status=before, closed_at=NOW)


def test_the_closing_time_moves_with_the_status() -> None:
    spec = given(task("t1"), *running("t1", "r1")).then_task("t1", closed_at=0)
    spec.when(CompleteRun(run_id="r1"), at=NOW + SECOND)
    spec.then_task("t1", closed_at=NOW + SECOND, updated_at=NOW + SECOND)
    spec.when(queued("t1", "r2", NOW + 2 * SECOND))
    spec.then_task("t1", closed_at=0, updated_at=NOW + 2 * SECOND)


def test_the_current_run_is_the_claimed_one() -> None:
    spec = given(task("t1"), queued("t1", "r1")).then_task("t1", current_run_id="")
    for command in (ClaimRun(run_id="r1"), StartRun(run_id="r1")):
        spec.when(command).then_task("t1", current_run_id="r1")
    spec.when(FailRun(run_id="r1", error="e")).then_task("t1", current_run_id="")


def test_a_leased_run_is_current_until_it_ends() -> None:
    spec = given(task("t1"), *leased("t1", "r1")).then_task("t1", current_run_id="r1")
    spec.when(CancelRun(run_id="r1")).then_task("t1", current_run_id="")


def test_a_blocked_task_may_have_a_queued_run_that_waits_with_it() -> None:
    spec = given(task("t1"), task("t2"), waits("t2", "t1"), queued("t2", "r2"))
    spec.then_task("t2", status="blocked").when(claim_next("s1", at=NOW + SECOND))
    spec.then_reply(session_id="s1")
    spec.given(*completed("t1", "r1")).when(claim_next("s1", at=NOW + SECOND))
    spec.then_reply(task_id="t2", run_id="r2", session_id="s1")


def test_pending_is_never_the_result_of_a_command() -> None:
    given(draft("t1")).when(PublishTask(task_id="t1")).then_task("t1", status="ready")


def test_a_cascade_reaches_each_dependent_once_and_goes_no_further() -> None:
    spec = given(
        task("t1"),
        task("t2"),
        task("t3"),
        task("t4"),
        waits("t2", "t1"),
        waits("t3", "t1"),
        waits("t4", "t2"),
        *running("t1", "r1"),
    )
    spec.when(CompleteRun(run_id="r1"))
    cause = spec.recorded[0].event_id
    moved = TaskStatusChanged(
        previous_status="blocked", status="ready", cause_event_id=cause, cause_task_id="t1"
    )
    ended = spec.facts[0]
    assert isinstance(ended, RunCompleted)
    spec.then(on("t1", ended, "r1"), on("t2", moved), on("t3", moved))
    assert [past.causation_id for past in spec.recorded] == ["", cause, cause]
    spec.then_task("t2", latest_event_seq=spec.recorded[1].sequence)
    spec.then_task("t4", status="blocked")


def test_cancellation_does_not_propagate_to_dependents() -> None:
    spec = given(task("t1"), task("t2"), waits("t2", "t1")).when(CancelTask(task_id="t1"))
    assert len(spec.facts) == 1
    spec.then_task("t2", status="blocked")


def test_a_dependent_of_a_manual_task_is_blocked_by_both() -> None:
    spec = given(task("t1"), manual("t2"), waits("t2", "t1"), *completed("t1", "r1"))
    spec.then_task("t2", status="blocked")
