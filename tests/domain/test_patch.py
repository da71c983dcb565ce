"""Changing the fields of a task."""

from typing import Any

import pytest

from domain import errors
from domain.commands import CancelTask, OwnerInput, UpdateTask
from domain.events import TaskStatusChanged, TaskUpdated
from domain.instants import SECOND
from domain.values import Owner
from tests.support.spec import NOW, given, on
from tests.support.steps import (
    canceled,
    completed,
    draft,
    failed,
    json,
    queued,
    running,
    task,
    waits,
)


def patch(**changes: Any) -> UpdateTask:
    return UpdateTask(task_id="t1", **changes)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"title": " New "}, {"title": "New"}),
        ({"description": "New"}, {"description": "New"}),
        ({"priority": "URGENT"}, {"priority": "urgent"}),
        ({"max_attempts": 10}, {"max_attempts": 10}),
        ({"auto_enqueue_on_ready": False}, {"auto_enqueue_on_ready": False}),
        ({"metadata": json('{"b": 2}')}, {"metadata": json('{"b":2}')}),
        ({"network_channel": "ops"}, {"network_channel": "ops"}),
        ({"network_channel": ""}, {"network_channel": ""}),
        ({"description": " "}, {"description": ""}),
        ({"owner": OwnerInput(kind="human", ref="ann")}, {"owner": Owner("human", "ann")}),
        ({"clear_owner": True}, {"owner": None}),
    ],
)
def test_one_field_is_changed_and_named(changes: dict[str, Any], fact: dict[str, Any]) -> None:
    before = task(
        "t1",
        description="why",
        auto_enqueue_on_ready=True,
        metadata=json('{"a":1}'),
        network_channel="dev",
        owner=OwnerInput(kind="pool", ref="coder"),
    )
    later = NOW + SECOND
    spec = given(before).when(patch(**changes), at=later).then_reply(task_id="t1")
    spec.then(on("t1", TaskUpdated(changed_fields=tuple(fact), status="ready", **fact)))
    spec.then_task("t1", **fact, updated_at=later, latest_event_seq=2)


def test_changed_fields_come_in_a_fixed_order() -> None:
    everything = patch(
        owner=OwnerInput(kind="human", ref="ann"),
        network_channel="dev",
        metadata=json("1"),
        approval_policy="manual",
        auto_enqueue_on_ready=True,
        max_attempts=1,
        priority="low",
        description="d",
        title="n",
    )
    given(task("t1")).when(everything).then(
        TaskUpdated(
            changed_fields=(
                "title",
                "description",
                "priority",
                "max_attempts",
                "auto_enqueue_on_ready",
                "approval_policy",
                "metadata",
                "network_channel",
                "owner",
            ),
            status="blocked",
            title="n",
            description="d",
            priority="low",
            max_attempts=1,
            auto_enqueue_on_ready=True,
            approval_policy="manual",
            approval_state="pending",
            metadata=json("1"),
            network_channel="dev",
            owner=Owner("human", "ann"),
        )
    )


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({}, errors.ValidationError, "task update must include at least one mutable field"),
        ({"clear_owner": False}, errors.ValidationError, "at least one mutable field"),
        ({"metadata": json("null")}, errors.ValidationError, "at least one mutable field"),
        ({"title": " "}, errors.ValidationError, "task_patch.title is required when provided"),
        ({"priority": ""}, errors.ValidationError, "task_patch.priority is required"),
        ({"approval_policy": ""}, errors.ValidationError, "task_patch.approval_policy is required"),
        ({"max_attempts": 0}, errors.ValidationError, "task_patch.max_attempts must be positive"),
        ({"max_attempts": 11}, errors.ValidationError, "task_patch.max_attempts must be <= 10"),
        ({"owner": OwnerInput()}, errors.ValidationError, "task_patch.owner.kind is required"),
        ({"network_channel": "!"}, errors.ValidationError, "task_patch.network_channel must"),
        (
            {"owner": OwnerInput(kind="human", ref="a"), "clear_owner": True},
            errors.ValidationError,
            "task_patch.owner must be empty when task_patch.clear_owner is true",
        ),
        (
            {"metadata": json('"' + "x" * 16_383 + '"')},
            errors.PayloadTooLargeError,
            "task_patch.metadata exceeds 16384 bytes",
        ),
    ],
)
def test_a_bad_patch_is_refused(
    changes: dict[str, Any], error: type[errors.DomainError], text: str
) -> None:
    given(task("t1")).when(patch(**changes)).then_refused(error, text)


def test_a_missing_task_is_not_found() -> None:
    given().when(patch(title="n")).then_refused(errors.TaskNotFoundError, 'task "t1"')


def test_nothing_is_recorded_when_no_value_differs() -> None:
    same = patch(title="Title", priority="medium", metadata=json('{"a": 1}'), clear_owner=True)
    spec = given(task("t1", metadata=json('{"a":1}'))).when(same, at=NOW + SECOND)
    spec.then_nothing().then_reply(task_id="t1").then_task("t1", updated_at=NOW)


def test_the_same_approval_policy_keeps_the_decision() -> None:
    spec = given(task("t1", approval_policy="manual"))
    spec.when(patch(approval_policy="manual")).then_nothing()


def test_another_approval_policy_resets_the_decision() -> None:
    spec = given(task("t1")).when(patch(approval_policy="manual"))
    spec.then_task("t1", approval_state="pending", status="blocked")
    spec.when(patch(approval_policy="none")).then_task(
        "t1", approval_state="not_required", status="ready"
    )


@pytest.mark.parametrize(
    ("past", "status"),
    [
        ([draft("t1")], "draft"),
        ([task("t0"), task("t1"), waits("t1", "t0")], "blocked"),
        ([task("t1"), queued("t1", "r1")], "ready"),
        ([task("t1"), *running("t1", "r1")], "in_progress"),
        ([task("t1"), *completed("t1", "r1")], "completed"),
        ([task("t1", max_attempts=1), *failed("t1", "r1")], "failed"),
        ([task("t1"), *canceled("t1", "r1")], "canceled"),
        ([task("t1"), CancelTask(task_id="t1")], "canceled"),
    ],
)
def test_every_status_may_be_patched(past: list[Any], status: str) -> None:
    spec = given(*past).when(patch(title="n"))
    spec.then(TaskUpdated(changed_fields=("title",), title="n", status=status))  # type: ignore[arg-type]


def test_more_attempts_revive_a_failed_task_and_clear_its_closing_time() -> None:
    spec = given(task("t1", max_attempts=1), *failed("t1", "r1"))
    spec.then_task("t1", status="failed", closed_at=NOW)
    spec.when(patch(max_attempts=2)).then_task("t1", status="ready", closed_at=0)


def test_fewer_attempts_exhaust_a_task() -> None:
    spec = given(task("t1"), *failed("t1", "r1")).then_task("t1", status="ready")
    spec.when(patch(max_attempts=1), at=NOW + SECOND)
    spec.then_task("t1", status="failed", closed_at=NOW + SECOND)


def test_a_patch_of_a_finished_task_keeps_its_closing_time() -> None:
    spec = given(task("t1"), *completed("t1", "r1")).when(patch(title="n"), at=NOW + SECOND)
    spec.then_task("t1", closed_at=NOW, updated_at=NOW + SECOND)


def test_a_patch_moves_no_dependent_that_it_does_not_unblock() -> None:
    spec = given(task("t1", max_attempts=1), task("t2"), waits("t2", "t1"), *failed("t1", "r1"))
    spec.when(patch(max_attempts=2))
    assert not any(isinstance(fact, TaskStatusChanged) for fact in spec.facts)
    spec.then_task("t2", status="blocked")
