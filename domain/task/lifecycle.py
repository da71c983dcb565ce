"""Changing, deciding on, pausing, canceling and deleting tasks (task API, operations)."""

from collections.abc import Iterator

from domain import fields
from domain.commands import (
    CancelTask,
    DeleteTask,
    PauseTask,
    RejectTask,
    Reply,
    ResumeTask,
    UpdateTask,
)
from domain.errors import (
    DeletePreconditionError,
    InvalidTransitionError,
    ValidationError,
)
from domain.events import (
    RunCanceled,
    TaskCanceled,
    TaskChildDeleted,
    TaskDeleted,
    TaskPaused,
    TaskRejected,
    TaskResumed,
    TaskUpdated,
)
from domain.refusals import requires_reason, task_already_terminal
from domain.task.agents import check_agent, check_rate
from domain.task.cascade import auto_enqueue, settle, status_with
from domain.task.creation import owner_of
from domain.task.dependencies import remove_edge
from domain.task.execution import check_pending
from domain.task.outcomes import take_away
from domain.task.state import TaskState
from domain.task.status import derive_status
from domain.values import (
    MAX_ATTEMPTS,
    METADATA_BYTES,
    PAYLOAD_BYTES,
    TERMINAL_TASK,
    ApprovalPolicy,
    Json,
    Priority,
)
from domain.world import Plan

_PATCH_ORDER = (
    "title",
    "description",
    "priority",
    "max_attempts",
    "auto_enqueue_on_ready",
    "approval_policy",
    "metadata",
    "network_channel",
    "owner",
)


def update_task(command: UpdateTask, plan: Plan) -> Reply:
    """Change the fields that differ; nothing is written when none does."""
    wanted = _wanted(command)
    state = plan.require_task(command.task_id)
    changes = {
        name: wanted[name]
        for name in _PATCH_ORDER
        if name in wanted and _differs(getattr(state.task, name), wanted[name])
    }
    if not changes:
        return Reply(task_id=state.id)
    if "approval_policy" in changes:
        manual = changes["approval_policy"] == "manual"
        changes["approval_state"] = "pending" if manual else "not_required"
    status = derive_status(state.with_task(**changes), plan.task_status)
    names = tuple(name for name in _PATCH_ORDER if name in changes)
    updated = plan.emit_task(
        state.id,
        TaskUpdated(changed_fields=names, status=status, **changes),  # type: ignore[arg-type]
    )
    settle(plan, state, updated)
    if changes.get("auto_enqueue_on_ready"):
        auto_enqueue(plan, state.id, updated)
    return Reply(task_id=state.id)


def _differs(before: object, after: object) -> bool:
    if isinstance(before, Json) and isinstance(after, Json):
        return bytes(before) != bytes(after)
    return before != after


def _wanted(command: UpdateTask) -> dict[str, object]:
    """Return the checked values of the fields the patch names."""
    path = "task_patch"
    if command.owner is not None and command.clear_owner:
        message = f"{path}.owner must be empty when {path}.clear_owner is true"
        raise ValidationError(message)
    wanted: dict[str, object] = {}
    if command.title is not None:
        wanted["title"] = _when_provided(fields.text(command.title, f"{path}.title"), "title")
    if command.description is not None:
        wanted["description"] = fields.text(command.description, f"{path}.description")
    if command.priority is not None:
        wanted["priority"] = fields.choice(command.priority, f"{path}.priority", Priority)
    if command.max_attempts is not None:
        wanted["max_attempts"] = fields.at_least_one(
            command.max_attempts, f"{path}.max_attempts", MAX_ATTEMPTS
        )
    if command.auto_enqueue_on_ready is not None:
        wanted["auto_enqueue_on_ready"] = command.auto_enqueue_on_ready
    if command.approval_policy is not None:
        wanted["approval_policy"] = fields.choice(
            command.approval_policy, f"{path}.approval_policy", ApprovalPolicy
        )
    metadata = fields.json(command.metadata, f"{path}.metadata", METADATA_BYTES)
    if bytes(metadata):
        wanted["metadata"] = metadata
    if command.network_channel is not None:
        wanted["network_channel"] = fields.channel(
            command.network_channel, f"{path}.network_channel"
        )
    if command.owner is not None or command.clear_owner:
        wanted["owner"] = owner_of(command.owner, f"{path}.owner")
    if not wanted:
        message = "task update must include at least one mutable field"
        raise ValidationError(message)
    return wanted


def _when_provided(value: str, name: str) -> str:
    if not value:
        message = f"task_patch.{name} is required when provided"
        raise ValidationError(message)
    return value


def reject_task(command: RejectTask, plan: Plan) -> Reply:
    """Refuse the pending approval; queued runs stay but cannot be claimed."""
    state = plan.require_task(command.task_id)
    check_pending(state, "rejected")
    rejected = state.with_task(approval_state="rejected")
    recorded = plan.emit_task(
        state.id,
        TaskRejected(
            previous_approval_state=state.task.approval_state,
            approval_state="rejected",
            status=derive_status(rejected, plan.task_status),
        ),
    )
    settle(plan, state, recorded)
    return Reply(task_id=state.id)


def cancel_task(command: CancelTask, plan: Plan) -> Reply:
    """Cancel the task and, root first, everything below it, in one commit."""
    reason = fields.text(command.reason, "cancel_task.reason")
    metadata = fields.json(command.metadata, "cancel_task.metadata", PAYLOAD_BYTES)
    root = plan.require_task(command.task_id)
    if root.task.status in {"completed", "failed"} and root.open_run is None:
        message = f'task "{root.id}" cannot transition from "{root.task.status}" to "canceled"'
        raise InvalidTransitionError(message)
    if root.task.status != "canceled":
        cancel_one(plan, root, reason, metadata, "")
    for state in _descendants(plan, root):
        if state.task.status not in TERMINAL_TASK:
            cancel_one(plan, state, reason, metadata, root.id)
    return Reply(task_id=root.id)


def _descendants(plan: Plan, root: TaskState) -> Iterator[TaskState]:
    """Yield everything below a task, breadth first."""
    waiting = list(root.task.children)
    for task_id in waiting:
        state = plan.existing_task(task_id)
        yield state
        waiting.extend(state.task.children)


def cancel_one(
    plan: Plan, state: TaskState, reason: str, metadata: Json, propagated_from: str
) -> None:
    """Note that a task and its open run are given up, because of the task `propagated_from`."""
    run = state.open_run
    if run is not None:
        given_up = plan.emit_task(
            state.id,
            RunCanceled(
                status="canceled",
                task_status=status_with(plan, state, run, "canceled"),
                reason=reason,
                metadata=metadata,
                session_id=run.session_id,
                propagated_from_task_id=propagated_from,
            ),
            run.id,
        )
        take_away(plan, run, given_up, propagated_from)
    canceled = plan.emit_task(
        state.id,
        TaskCanceled(
            reason=reason,
            metadata=metadata,
            status="canceled",
            propagated_from_task_id=propagated_from,
            canceled_run_ids=(run.id,) if run else (),
        ),
    )
    settle(plan, state, canceled)


def pause_task(command: PauseTask, plan: Plan) -> Reply:
    """Stop claiming for the task and everything below; pausing again says so again."""
    check_agent(plan)
    reason = fields.text(command.reason, "pause_task.reason")
    if not reason:
        raise requires_reason("pause_task")
    metadata = fields.json(command.metadata, "pause_task.metadata", METADATA_BYTES)
    state = plan.require_task(command.task_id)
    check_rate(plan, state)
    if state.task.status in TERMINAL_TASK:
        raise task_already_terminal(state.id, state.task.status)
    plan.emit_task(
        state.id,
        TaskPaused(
            manual=True,
            actor_kind=plan.context.actor.kind,
            actor_id=plan.context.actor.ref,
            previous_paused=state.task.paused,
            paused=True,
            reason=reason,
            metadata=metadata,
        ),
    )
    return Reply(task_id=state.id)


def resume_task(command: ResumeTask, plan: Plan) -> Reply:
    """End the task's own pause; tasks that waited for it get their runs."""
    check_agent(plan)
    metadata = fields.json(command.metadata, "resume_task.metadata", METADATA_BYTES)
    state = plan.require_task(command.task_id)
    check_rate(plan, state)
    resumed = plan.emit_task(
        state.id,
        TaskResumed(
            manual=True,
            actor_kind=plan.context.actor.kind,
            actor_id=plan.context.actor.ref,
            previous_paused=state.task.paused,
            paused=False,
            metadata=metadata,
        ),
    )
    if state.task.paused:
        for below in (state, *_descendants(plan, state)):
            auto_enqueue(plan, below.id, resumed)
    return Reply(task_id=state.id)


def delete_task(command: DeleteTask, plan: Plan) -> Reply:
    """Bury the task; edges to it go, and dependents that become ready are queued."""
    state = plan.require_task(command.task_id)
    if state.task.children:
        count = len(state.task.children)
        message = f'task "{state.id}" has {count} child tasks; delete children first'
        raise DeletePreconditionError(message)
    if state.open_run is not None:
        message = f'task "{state.id}" has active or queued runs; cancel or finish them first'
        raise DeletePreconditionError(message)
    deleted = plan.emit_task(state.id, TaskDeleted(status=state.task.status))
    for dependent_id in plan.world.dependents_of(state.id):
        remove_edge(plan, dependent_id, state.id, deleted)
    if state.task.parent_task_id:
        plan.emit_task(
            state.task.parent_task_id, TaskChildDeleted(child_task_id=state.id), cause=deleted
        )
    return Reply(task_id=state.id)
