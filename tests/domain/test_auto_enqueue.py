"""Runs that queue themselves: what triggers them, what holds them back."""

from typing import Any

import pytest

from domain.commands import (
    ApproveTask,
    CancelTask,
    CompleteRun,
    DeleteTask,
    OwnerInput,
    PauseTask,
    RemoveDependency,
    ResumeTask,
    UpdateTask,
)
from domain.events import (
    RunCompleted,
    RunEnqueued,
    TaskDeleted,
    TaskDependencyRemoved,
    TaskStatusChanged,
)
from domain.instants import SECOND
from domain.values import Actor
from tests.support.spec import NOW, Spec, given, on
from tests.support.steps import (
    child,
    claim_next,
    complete,
    completed,
    draft,
    expire,
    fail,
    failed,
    leased,
    manual,
    queued,
    release,
    running,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)


def waiting(**members: Any) -> Spec:
    """Return a scenario in which t2 asks for a run and waits for t1."""
    return given(task("t1"), task("t2", auto_enqueue_on_ready=True, **members), waits("t2", "t1"))


def enqueues(spec: Spec) -> list[tuple[str, str]]:
    """Return the tasks whose runs queued themselves, with their keys."""
    return [
        (past.task_id, past.fact.idempotency_key)
        for past in spec.recorded
        if isinstance(past.fact, RunEnqueued) and past.causation_id
    ]


def test_the_completion_of_the_last_blocker_queues_a_run_in_the_same_commit() -> None:
    spec = waiting().given(session("s1"), *leased("t1", "r1")).when(complete("r1", "s1"))
    ended, ready, queued_itself = spec.recorded
    assert isinstance(ended.fact, RunCompleted)
    spec.then(
        on("t1", ended.fact, "r1"),
        on(
            "t2",
            TaskStatusChanged(
                previous_status="blocked",
                status="ready",
                cause_event_id=ended.event_id,
                cause_task_id="t1",
            ),
        ),
        on(
            "t2",
            RunEnqueued(
                attempt=1,
                status="queued",
                task_status="ready",
                idempotency_key="task.auto_enqueue.t2.r1",
            ),
            "run-1",
        ),
    )
    assert ready.causation_id == queued_itself.causation_id == ended.event_id
    assert queued_itself.actor == Actor("agent_session", "s1")


def test_the_completion_by_an_operator_queues_too() -> None:
    spec = waiting().given(*running("t1", "r1")).when(CompleteRun(run_id="r1"))
    assert enqueues(spec) == [("t2", "task.auto_enqueue.t2.r1")]


def test_the_removal_of_an_edge_that_held_nothing_back_queues_nothing() -> None:
    spec = given(task("t1"), *running("t1", "r1"), CompleteRun(run_id="r1"))
    spec.given(task("t2", auto_enqueue_on_ready=True), waits("t2", "t1"))
    spec.when(RemoveDependency(task_id="t2", depends_on_task_id="t1"))
    assert [type(fact) for fact in spec.facts] == [TaskDependencyRemoved]


def test_the_removal_of_the_last_edge_queues() -> None:
    spec = waiting().when(RemoveDependency(task_id="t2", depends_on_task_id="t1"))
    removed = spec.recorded[0].event_id
    assert enqueues(spec) == [("t2", f"task.auto_enqueue.t2.{removed}")]
    assert spec.recorded[1].causation_id == removed


def test_the_deletion_of_the_last_blocker_queues() -> None:
    spec = waiting().when(DeleteTask(task_id="t1"))
    assert [type(fact) for fact in spec.facts] == [TaskDeleted, TaskDependencyRemoved, RunEnqueued]
    deleted, removed, queued_itself = spec.recorded
    assert (removed.causation_id, queued_itself.causation_id) == (
        deleted.event_id,
        removed.event_id,
    )


def test_the_approval_queues_once() -> None:
    spec = given(manual("t1", auto_enqueue_on_ready=True)).when(ApproveTask(task_id="t1"))
    assert [type(fact).__name__ for fact in spec.facts] == ["TaskApproved", "RunEnqueued"]


def test_resuming_queues_what_the_pause_held_back() -> None:
    spec = waiting().given(PauseTask(task_id="t2", reason="why"), *completed("t1", "r1"))
    spec.then_task("t2", status="ready")
    assert not enqueues(spec)
    spec.when(ResumeTask(task_id="t2"))
    assert enqueues(spec) == [("t2", f"task.auto_enqueue.t2.{spec.recorded[0].event_id}")]
    spec.when(ResumeTask(task_id="t2"))
    assert len(spec.facts) == 1


def test_resuming_what_is_not_paused_queues_nothing() -> None:
    spec = given(task("t1", auto_enqueue_on_ready=True)).when(ResumeTask(task_id="t1"))
    assert len(spec.facts) == 1


def test_resuming_queues_everything_below_that_is_not_paused_itself() -> None:
    spec = given(task("p"), PauseTask(task_id="p", reason="why"))
    for name in ("a", "b", "c"):
        spec.given(child("p", name, auto_enqueue_on_ready=name != "c"))
    spec.given(child("a", "a1", auto_enqueue_on_ready=True))
    spec.given(PauseTask(task_id="b", reason="why")).when(ResumeTask(task_id="p"))
    assert [task_id for task_id, _ in enqueues(spec)] == ["a", "a1"]
    assert {past.causation_id for past in spec.recorded[1:]} == {spec.recorded[0].event_id}


def test_resuming_below_a_paused_task_queues_nothing() -> None:
    spec = given(task("p"), child("p", "t", auto_enqueue_on_ready=True))
    spec.given(PauseTask(task_id="t", reason="why"), PauseTask(task_id="p", reason="why"))
    spec.when(ResumeTask(task_id="t"))
    assert not enqueues(spec)


def test_switching_the_flag_on_queues() -> None:
    spec = given(task("t1")).when(UpdateTask(task_id="t1", auto_enqueue_on_ready=True))
    assert enqueues(spec) == [("t1", f"task.auto_enqueue.t1.{spec.recorded[0].event_id}")]


def test_a_flag_that_is_on_already_triggers_nothing() -> None:
    spec = given(task("t1", auto_enqueue_on_ready=True))
    spec.when(UpdateTask(task_id="t1", auto_enqueue_on_ready=True, title="n"))
    assert len(spec.facts) == 1
    spec.when(UpdateTask(task_id="t1", auto_enqueue_on_ready=False))
    assert len(spec.facts) == 1


def test_creating_triggers_nothing() -> None:
    spec = given().when(task("t1", auto_enqueue_on_ready=True))
    assert len(spec.facts) == 1


FLAGGED = task("t1", auto_enqueue_on_ready=True)


@pytest.mark.parametrize(
    ("past", "command"),
    [
        (leased("t1", "r1"), fail("r1", "s1")),
        (leased("t1", "r1"), release("r1", "s1")),
        (leased("t1", "r1"), expire(NOW + 300 * SECOND)),
        (failed("t1", "r1"), UpdateTask(task_id="t1", max_attempts=9)),
        ((CancelTask(task_id="t1"),), CancelTask(task_id="t1")),
    ],
    ids=["failure", "release", "expiry", "attempts", "cancel"],
)
def test_other_changes_trigger_nothing(past: tuple[Any, ...], command: Any) -> None:
    spec = given(session("s1"), FLAGGED, *past).when(command)
    assert not enqueues(spec)


def test_a_failed_blocker_triggers_nothing() -> None:
    spec = waiting().given(*failed("t1", "r1"))
    assert not enqueues(spec)


def test_a_run_that_needs_attention_uncovers_an_old_completion_without_queueing() -> None:
    spec = given(session("s1"), task("t1"), *completed("t1", "r1"), queued("t1", "r2"))
    spec.given(task("t2", auto_enqueue_on_ready=True), waits("t2", "t1"))
    for round_ in range(3):
        spec.given(claim_next("s1", at=NOW + 1000 * round_ * SECOND))
        spec.when(expire(NOW + 1000 * (round_ + 1) * SECOND))
    spec.then_task("t1", status="completed").then_task("t2", status="ready")
    assert not enqueues(spec)


def test_without_the_flag_nothing_queues() -> None:
    spec = given(task("t1"), task("t2"), waits("t2", "t1"), *completed("t1", "r1"))
    assert not enqueues(spec)
    spec.then_task("t2", status="ready")


def test_another_blocker_holds_it_back() -> None:
    spec = waiting().given(task("t0"), waits("t2", "t0"), *completed("t1", "r1"))
    assert not enqueues(spec)


def test_two_blockers_give_one_run() -> None:
    spec = waiting().given(task("t0"), waits("t2", "t0"), *running("t0", "r0"))
    spec.given(*running("t1", "r1"))
    queues = []
    for run_id in ("r0", "r1"):
        spec.when(CompleteRun(run_id=run_id))
        queues += enqueues(spec)
    assert queues == [("t2", "task.auto_enqueue.t2.r1")]


@pytest.mark.parametrize(
    "held",
    [
        [PauseTask(task_id="t2", reason="why")],
        [PauseTask(task_id="p", reason="why")],
        [queued("t2", "r2")],
        [UpdateTask(task_id="t2", approval_policy="manual")],
        [CancelTask(task_id="t2")],
    ],
    ids=["paused", "inherited", "open run", "unapproved", "canceled"],
)
def test_what_holds_a_task_back(held: list[Any]) -> None:
    spec = given(task("p"), task("t1"), child("p", "t2", auto_enqueue_on_ready=True))
    spec.given(waits("t2", "t1"), *held, *completed("t1", "r1"))
    assert not enqueues(spec)


def test_a_draft_is_held_back() -> None:
    spec = given(task("t1"), draft("t2", auto_enqueue_on_ready=True), waits("t2", "t1"))
    spec.given(*completed("t1", "r1"))
    assert not enqueues(spec)


@pytest.mark.parametrize("end", [completed("t2", "r2"), failed("t2", "r2")])
def test_a_finished_dependent_is_not_run_again(end: tuple[Any, ...]) -> None:
    spec = given(task("t1"), task("t2", auto_enqueue_on_ready=True, max_attempts=1), *end)
    spec.given(waits("t2", "t1"), *completed("t1", "r1"))
    assert not enqueues(spec)


def test_a_failed_dependent_with_an_attempt_left_is_run_again() -> None:
    spec = given(task("t1"), task("t2", auto_enqueue_on_ready=True), *failed("t2", "r2"))
    spec.given(waits("t2", "t1"), *completed("t1", "r1"))
    assert enqueues(spec) == [("t2", "task.auto_enqueue.t2.r1")]


def test_a_dependent_of_another_owner_or_workspace_queues_as_well() -> None:
    spec = given(workspace("w1"), task("t1"))
    owner = OwnerInput(kind="human", ref="ann")
    spec.given(workspace_task("t2", auto_enqueue_on_ready=True, owner=owner), waits("t2", "t1"))
    spec.given(*completed("t1", "r1"))
    assert enqueues(spec) == [("t2", "task.auto_enqueue.t2.r1")]
    spec.then_run("run-1", coordination_channel_id="coord-run-1")


def test_a_channel_of_another_workspace_skips_the_run_but_not_the_completion() -> None:
    spec = given(workspace("w1"), workspace("w2"))
    spec.given(workspace_task("t0", "w1"), queued("t0", "r0", network_channel="dev"))
    spec.given(workspace_task("t2", "w2", network_channel="dev", auto_enqueue_on_ready=True))
    spec.given(task("t1"), waits("t2", "t1"), *completed("t1", "r1"))
    spec.then_task("t1", status="completed").then_task("t2", status="ready")
    assert not enqueues(spec)


def test_two_dependents_in_different_workspaces_do_not_share_a_new_channel() -> None:
    spec = given(workspace("w1"), workspace("w2"), task("t1"))
    for task_id, workspace_id in (("a", "w1"), ("b", "w2"), ("c", "w1")):
        spec.given(
            workspace_task(
                task_id, workspace_id, network_channel="dev", auto_enqueue_on_ready=True
            ),
            waits(task_id, "t1"),
        )
    spec.given(*completed("t1", "r1"))
    assert [task_id for task_id, _ in enqueues(spec)] == ["a", "c"]
