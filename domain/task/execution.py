"""Queueing a run: enqueue, publish, start and approve, with their idempotency keys."""

import hashlib

from domain import fields
from domain.commands import ApproveTask, EnqueueRun, Execution, PublishTask, Reply, StartTask
from domain.errors import ConflictError, InvalidTransitionError, ValidationError
from domain.events import TaskApproved, TaskPublished
from domain.task.cascade import queue_run, settle
from domain.task.state import Run, TaskState
from domain.task.status import attempts_exhausted, derive_runnable_status, derive_status
from domain.values import METADATA_BYTES, Json
from domain.world import KeySlot, Plan


class _Request:
    """A checked execution request and the run its key may name already."""

    def __init__(self, command: Execution, plan: Plan, path: str, default_key: str = "") -> None:
        self.plan = plan
        self.task_id = command.task_id
        given = fields.identifier(command.idempotency_key, f"{path}.idempotency_key")
        self.key = given or default_key
        self.default_key = not given and bool(default_key)
        self.channel = fields.channel(command.network_channel, f"{path}.network_channel")
        self.metadata = fields.json(
            command.metadata, f"{path}.metadata", METADATA_BYTES, secret_free=True
        )
        self.request_hash = _hash(self.channel, self.metadata)

    def earlier_run(self, state: TaskState) -> Run | None:
        """Return the run of an identical earlier request.

        A default key stands for the request only while its run is open. Raises ValidationError for
        a key of another task, ConflictError for a key of another request.
        """
        if not self.key:
            return None
        context = self.plan.context
        slot = KeySlot(key=self.key, origin=context.origin, actor=context.actor)
        bound = self.plan.world.run_of_key(slot)
        if bound is None:
            return None
        task_id, run_id = bound
        if task_id != state.id:
            message = f'idempotency key "{self.key}" is already bound to task "{task_id}"'
            raise ValidationError(message)
        run = state.runs[run_id]
        if self.default_key and not run.is_open:
            return None
        if run.request_hash != self.request_hash:
            message = f'idempotency key "{self.key}" stands for another request (run "{run_id}")'
            raise ConflictError(message)
        return run

    def enqueue(self, state: TaskState) -> Reply:
        """Queue the run; raises InvalidTransitionError when there may be none."""
        check_room(state)
        run_id = queue_run(
            self.plan,
            state,
            key=self.key,
            channel=self.channel,
            metadata=self.metadata,
            request_hash=self.request_hash,
            default_key=self.default_key,
        )
        return Reply(task_id=state.id, run_id=run_id)


def check_room(state: TaskState) -> None:
    """Refuse a further run of a task that may not have one now."""
    _check_status(state, "draft", "canceled")
    if state.open_run is not None:
        message = (
            f'task "{state.id}" has open run "{state.open_run.id}"; '
            "finish or cancel it before enqueueing another run"
        )
        raise InvalidTransitionError(message)
    if attempts_exhausted(state):
        message = f'task "{state.id}" exhausted max_attempts={state.task.max_attempts}'
        raise InvalidTransitionError(message)


def _hash(channel: str, metadata: Json) -> str:
    return hashlib.sha256(b"\0".join((channel.encode(), bytes(metadata)))).hexdigest()[:32]


def _check_status(state: TaskState, *refused: str) -> None:
    if state.task.status in refused:
        message = f'task "{state.id}" is {state.task.status}'
        raise InvalidTransitionError(message)


def _replay(state: TaskState, run: Run) -> Reply:
    return Reply(task_id=state.id, run_id=run.id, replayed=True)


def require_key(plan: Plan, key: str, operation: str) -> None:
    """Refuse a caller that is no human and sends no idempotency key."""
    path = f"{operation}.idempotency_key"
    if plan.context.actor.kind != "human" and not fields.identifier(key, path):
        message = f"{path} is required for non-human actors"
        raise ValidationError(message)


def enqueue_run(command: EnqueueRun, plan: Plan) -> Reply:
    """Queue a run; also of a blocked, completed or failed task."""
    request = _Request(command, plan, "enqueue_run")
    require_key(plan, command.idempotency_key, "enqueue_run")
    state = plan.require_task(command.task_id)
    _check_status(state, "draft", "canceled")
    earlier = request.earlier_run(state)
    return _replay(state, earlier) if earlier else request.enqueue(state)


def start_task(command: StartTask, plan: Plan) -> Reply:
    """Queue a run of a task that is not held back."""
    request = _Request(command, plan, "task_execution", f"task.start.{command.task_id}")
    state = plan.require_task(command.task_id)
    earlier = request.earlier_run(state)
    if earlier:
        return _replay(state, earlier)
    _check_status(state, "blocked", "draft", "canceled")
    return request.enqueue(state)


def publish_task(command: PublishTask, plan: Plan) -> Reply:
    """Make a draft runnable and queue its run, or leave the draft untouched."""
    request = _Request(command, plan, "task_execution", f"task.publish.{command.task_id}")
    state = plan.require_task(command.task_id)
    earlier = request.earlier_run(state)
    if earlier:
        return _replay(state, earlier)
    if state.task.status != "draft":
        message = f'task "{state.id}" cannot publish from "{state.task.status}"'
        raise InvalidTransitionError(message)
    status = derive_runnable_status(state, plan.task_status)
    if status == "blocked":
        message = f'task "{state.id}" is blocked'
        raise InvalidTransitionError(message)
    plan.emit_task(
        state.id,
        TaskPublished(
            previous_status="draft", status=status, approval_state=state.task.approval_state
        ),
    )
    return request.enqueue(plan.require_task(state.id))


def approve_task(command: ApproveTask, plan: Plan) -> Reply:
    """Give the pending approval and queue a run, both or neither; a run that waits is kept."""
    request = _Request(command, plan, "task_execution", f"task.approval.{command.task_id}")
    state = plan.require_task(command.task_id)
    earlier = request.earlier_run(state)
    if earlier:
        return _replay(state, earlier)
    check_pending(state, "approved")
    approved = state.with_task(approval_state="approved")
    recorded = plan.emit_task(
        state.id,
        TaskApproved(
            previous_approval_state=state.task.approval_state,
            approval_state="approved",
            status=derive_status(approved, plan.task_status),
        ),
    )
    settle(plan, state, recorded)
    if state.open_run is not None:
        return Reply(task_id=state.id, run_id=state.open_run.id)
    return request.enqueue(plan.require_task(state.id))


def check_pending(state: TaskState, decision: str) -> None:
    """Refuse a decision on an approval that is not pending."""
    task = state.task
    if task.approval_policy != "manual" or task.approval_state != "pending":
        message = (
            f'task "{state.id}" cannot transition approval '
            f'from "{task.approval_state}" to "{decision}"'
        )
        raise InvalidTransitionError(message)
