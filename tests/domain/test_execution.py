"""Publish, start, approve, reject and enqueue: what they need and what they record."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain import errors
from domain.commands import (
    ApproveTask,
    CancelTask,
    Command,
    EnqueueRun,
    PublishTask,
    RejectTask,
    StartTask,
    UpdateTask,
)
from domain.events import TaskApproved, TaskPublished, TaskRejected
from domain.instants import SECOND
from domain.values import Actor, Origin
from tests.support.spec import HTTP, NOW, given, on
from tests.support.steps import (
    canceled,
    completed,
    draft,
    enqueued,
    failed,
    json,
    leased,
    manual,
    queued,
    running,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

TRANSITION = errors.InvalidTransitionError


def test_enqueue_queues_a_run() -> None:
    spec = given(task("t1", network_channel="dev")).when(queued("t1", "r1"))
    spec.then(on("t1", enqueued(network_channel="dev"), "r1"))
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1", status="queued", attempt=1, origin=HTTP, queued_at=NOW, network_channel="dev"
    )


def test_the_channel_of_the_request_goes_before_the_tasks() -> None:
    spec = given(task("t1", network_channel="dev"))
    spec.when(queued("t1", "r1", network_channel=" ops ")).then_run("r1", network_channel="ops")
    spec.given(UpdateTask(task_id="t1", network_channel="new")).then_run(
        "r1", network_channel="ops"
    )


@pytest.mark.parametrize(
    ("past", "attempt", "task_status"),
    [
        ([task("t0"), task("t1"), waits("t1", "t0")], 1, "blocked"),
        ([manual("t1")], 1, "blocked"),
        ([task("t1"), *completed("t1", "r0")], 2, "ready"),
        ([task("t1"), *failed("t1", "r0")], 2, "ready"),
    ],
)
def test_enqueue_passes_in_other_statuses(past: list[Any], attempt: int, task_status: str) -> None:
    spec = given(*past).when(queued("t1", "r1"))
    spec.then(enqueued(attempt=attempt, task_status=task_status))


@pytest.mark.parametrize(
    ("past", "text"),
    [
        ([draft("t1")], 'task: invalid status transition: task "t1" is draft'),
        ([task("t1"), CancelTask(task_id="t1")], 'task "t1" is canceled'),
        (
            [task("t1"), queued("t1", "r0")],
            'task "t1" has open run "r0"; finish or cancel it before enqueueing another run',
        ),
        ([task("t1"), *running("t1", "r0")], 'task "t1" has open run "r0"'),
        ([task("t1", max_attempts=1), *failed("t1", "r0")], "exhausted max_attempts=1"),
        ([task("t1", max_attempts=1), *completed("t1", "r0")], "exhausted max_attempts=1"),
    ],
)
def test_enqueue_is_refused(past: list[Any], text: str) -> None:
    given(*past).when(queued("t1", "r1")).then_refused(TRANSITION, text)


def test_every_run_uses_up_an_attempt() -> None:
    spec = given(task("t1", max_attempts=3), *completed("t1", "r1"), *failed("t1", "r2"))
    spec.given(*completed("t1", "r3")).when(queued("t1", "r4"))
    spec.then_refused(TRANSITION, 'task "t1" exhausted max_attempts=3')


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (EnqueueRun(task_id="t1"), "enqueue_run"),
        (StartTask(task_id="t1"), "task_execution"),
        (PublishTask(task_id="t1"), "task_execution"),
        (ApproveTask(task_id="t1"), "task_execution"),
    ],
)
@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"network_channel": "!"}, errors.ValidationError, "network_channel must match"),
        (
            {"metadata": json('"' + "x" * 16_383 + '"')},
            errors.PayloadTooLargeError,
            "metadata exceeds 16384 bytes",
        ),
        ({"metadata": json("{")}, errors.ValidationError, "metadata must contain valid JSON"),
        (
            {"metadata": json('{"claim_token":1}')},
            errors.ValidationError,
            "metadata must not contain raw lease credentials",
        ),
        (
            {"idempotency_key": "k" * 1025},
            errors.PayloadTooLargeError,
            "idempotency_key exceeds 1024 bytes",
        ),
    ],
)
def test_a_bad_request_is_refused(
    command: Command, path: str, members: dict[str, Any], error: type[Any], text: str
) -> None:
    given(task("t1")).when(replace(command, **members)).then_refused(error, f"{path}.{text}")


@pytest.mark.parametrize("command", [EnqueueRun, StartTask, PublishTask, ApproveTask, RejectTask])
def test_a_missing_task_is_not_found(command: Any) -> None:
    given().when(command(task_id="t9")).then_refused(errors.TaskNotFoundError, 'task "t9"')


def test_publish_makes_a_draft_runnable_and_queues_its_run() -> None:
    spec = given(draft("t1")).when(PublishTask(task_id="t1"), run_id="r1")
    spec.then(
        on(
            "t1",
            TaskPublished(previous_status="draft", status="ready", approval_state="not_required"),
        ),
        on("t1", enqueued(idempotency_key="task.publish.t1", default_key=True), "r1"),
    )
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_task("t1", status="ready", latest_event_seq=spec.recorded[1].sequence)


@pytest.mark.parametrize(
    ("past", "text"),
    [
        ([task("t1")], 'task "t1" cannot publish from "ready"'),
        ([manual("t1")], 'task "t1" cannot publish from "blocked"'),
        ([draft("t1"), CancelTask(task_id="t1")], 'task "t1" cannot publish from "canceled"'),
        ([draft("t1", approval_policy="manual")], 'task "t1" is blocked'),
        ([task("t0"), draft("t1"), waits("t1", "t0")], 'task "t1" is blocked'),
    ],
)
def test_publish_is_refused(past: list[Any], text: str) -> None:
    given(*past).when(PublishTask(task_id="t1")).then_refused(TRANSITION, text)


def test_a_refused_enqueue_leaves_the_draft_untouched() -> None:
    spec = given(workspace("w1"), workspace("w2"), workspace_task("t0", "w1"))
    spec.given(queued("t0", "r0", network_channel="dev"), workspace_task("t1", "w2", draft=True))
    spec.when(PublishTask(task_id="t1", network_channel="dev"))
    spec.then_refused(errors.ValidationError, 'channel "dev" belongs to workspace "w1"')
    spec.then_task("t1", status="draft")


def test_start_queues_a_run() -> None:
    spec = given(task("t1")).when(StartTask(task_id="t1"), run_id="r1")
    spec.then(on("t1", enqueued(idempotency_key="task.start.t1", default_key=True), "r1"))
    spec.then_reply(task_id="t1", run_id="r1")


@pytest.mark.parametrize("end", [completed("t1", "r0"), failed("t1", "r0")])
def test_start_passes_for_a_finished_task(end: tuple[Any, ...]) -> None:
    given(task("t1"), *end).when(StartTask(task_id="t1"), run_id="r1").then_run("r1", attempt=2)


@pytest.mark.parametrize(
    ("past", "text"),
    [
        ([draft("t1")], 'task "t1" is draft'),
        ([manual("t1")], 'task "t1" is blocked'),
        ([task("t1"), *canceled("t1", "r0")], 'task "t1" is canceled'),
        ([task("t1"), queued("t1", "r0")], 'task "t1" has open run "r0"'),
        ([task("t1", max_attempts=1), *failed("t1", "r0")], "exhausted max_attempts=1"),
    ],
)
def test_start_is_refused(past: list[Any], text: str) -> None:
    given(*past).when(StartTask(task_id="t1")).then_refused(TRANSITION, text)


def test_approve_gives_the_approval_and_queues_a_run() -> None:
    spec = given(manual("t1")).when(ApproveTask(task_id="t1"), run_id="r1", at=NOW + SECOND)
    spec.then(
        on(
            "t1",
            TaskApproved(
                previous_approval_state="pending", approval_state="approved", status="ready"
            ),
        ),
        on("t1", enqueued(idempotency_key="task.approval.t1", default_key=True), "r1"),
    )
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_task("t1", approval_state="approved", status="ready", updated_at=NOW + SECOND)


def test_approve_queues_a_run_that_waits_for_dependencies() -> None:
    spec = given(task("t0"), manual("t1"), waits("t1", "t0"))
    spec.when(ApproveTask(task_id="t1"), run_id="r1").then_task("t1", status="blocked")
    spec.then_run("r1", status="queued")


def test_approve_frees_a_run_that_waited_for_the_approval() -> None:
    spec = given(manual("t1"), queued("t1", "r1")).when(ApproveTask(task_id="t1"))
    spec.then(
        on(
            "t1",
            TaskApproved(
                previous_approval_state="pending", approval_state="approved", status="ready"
            ),
        )
    )
    spec.then_reply(task_id="t1", run_id="r1")


@pytest.mark.parametrize(
    ("past", "text"),
    [
        ([task("t1")], 'task "t1" cannot transition approval from "not_required" to'),
        ([manual("t1"), ApproveTask(task_id="t1")], 'transition approval from "approved" to'),
        ([manual("t1"), RejectTask(task_id="t1")], 'transition approval from "rejected" to'),
    ],
)
def test_only_a_pending_approval_is_decided(past: list[Any], text: str) -> None:
    approve = ApproveTask(task_id="t1", idempotency_key="another")
    given(*past).when(approve).then_refused(TRANSITION, f'{text} "approved"')
    given(*past).when(RejectTask(task_id="t1")).then_refused(TRANSITION, f'{text} "rejected"')


def test_approving_a_draft_changes_nothing() -> None:
    spec = given(draft("t1", approval_policy="manual")).when(ApproveTask(task_id="t1"))
    spec.then_refused(TRANSITION, 'task "t1" is draft').then_task("t1", approval_state="pending")


def test_reject_refuses_the_approval() -> None:
    spec = given(manual("t1"), queued("t1", "r1")).when(RejectTask(task_id="t1"), at=NOW + SECOND)
    spec.then(
        on(
            "t1",
            TaskRejected(
                previous_approval_state="pending", approval_state="rejected", status="blocked"
            ),
        )
    )
    spec.then_reply(task_id="t1")
    spec.then_task("t1", approval_state="rejected", updated_at=NOW + SECOND)
    spec.then_run("r1", status="queued")


def test_reject_does_not_stop_a_running_task() -> None:
    spec = given(task("t1"), *running("t1", "r1"))
    spec.given(UpdateTask(task_id="t1", approval_policy="manual"))
    spec.when(RejectTask(task_id="t1")).then_task("t1", status="in_progress")


def test_a_rejection_is_final_until_the_policy_is_set_again() -> None:
    spec = given(manual("t1"), RejectTask(task_id="t1"))
    for policy in ("none", "manual"):
        spec.given(UpdateTask(task_id="t1", approval_policy=policy))
    spec.when(ApproveTask(task_id="t1"), run_id="r1").then_run("r1", status="queued")


def test_a_global_run_has_no_coordination_channel() -> None:
    spec = given(task("t1", network_channel="dev")).when(queued("t1", "r1"))
    spec.then_run("r1", coordination_channel_id="")


@pytest.mark.parametrize(
    ("run_id", "channel"),
    [
        ("run-01ab", "coord-run-01ab"),
        ("Run 1/é2", "coord-run-1-2"),
        ("x" * 70, "coord-" + "x" * 58),
        ("/// ", "coord-run-9f466afbb500"),
    ],
)
def test_the_coordination_channel_is_made_from_the_run_id(run_id: str, channel: str) -> None:
    spec = given(workspace("w1"), workspace_task("t1")).when(queued("t1", run_id))
    spec.then_run(run_id, coordination_channel_id=channel, network_channel="")


def test_the_coordination_channel_is_the_network_channel_if_there_is_one() -> None:
    spec = given(workspace("w1"), workspace_task("t1", network_channel="dev"))
    spec.when(queued("t1", "r1")).then_run("r1", coordination_channel_id="dev")
    spec.given(workspace_task("t2")).when(queued("t2", "r2", network_channel="dev"))
    spec.then_run("r2", coordination_channel_id="dev")


def test_a_channel_of_another_workspace_is_refused() -> None:
    spec = given(workspace("w1"), workspace("w2"))
    spec.given(workspace_task("t1", "w1", network_channel="dev"), queued("t1", "r1"))
    spec.given(workspace_task("t2", "w2", network_channel="dev")).when(queued("t2", "r2"))
    spec.then_refused(
        errors.ValidationError, 'coordination channel "dev" belongs to workspace "w1"'
    )


@pytest.mark.parametrize("command", [PublishTask, StartTask, ApproveTask])
def test_a_caller_that_is_no_human_needs_no_key_to_publish_start_or_approve(
    command: type[Any],
) -> None:
    past = {PublishTask: draft("t1"), StartTask: task("t1"), ApproveTask: manual("t1")}[command]
    robot = Actor("automation", "cron")
    spec = given(past).when(
        command(task_id="t1"), actor=robot, origin=Origin("automation", "cron"), run_id="r1"
    )
    spec.then_run("r1", status="queued")


def test_a_leased_run_is_open() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1")).when(queued("t1", "r2"))
    spec.then_refused(TRANSITION, 'has open run "r1"')
