"""What one task's change does to others: statuses of dependents, and runs queued by themselves."""

from msgspec.structs import replace

from domain.events import RunCompleted, RunEnqueued, TaskStatusChanged
from domain.recorded import Recorded
from domain.task.channels import coordination_channel_id, foreign_holder
from domain.task.state import Run, TaskState
from domain.task.status import derive_status
from domain.values import NO_JSON, Json, RunStatus, TaskStatus
from domain.world import Plan


def status_with(plan: Plan, state: TaskState, run: Run, status: RunStatus) -> TaskStatus:
    """Return the task status that follows when `run` moves to `status`."""
    moved = Run(
        id=run.id,
        task_id=run.task_id,
        status=status,
        attempt=run.attempt,
        origin=run.origin,
        queued_at=run.queued_at,
    )
    return derive_status(_with(state, moved), plan.task_status)


def _with(state: TaskState, run: Run) -> TaskState:
    """Return the state with a run put in place and the task left as it is."""
    return replace(state, runs={**state.runs, run.id: run})


def settle(plan: Plan, before: TaskState, cause: Recorded) -> None:
    """Re-derive the tasks that wait for this one, once it became or ceased to be completed.

    Dependents that became ready and ask for it get a run in the same commit. An old completion that
    merely shows again, because a later run left the queue, gives them none.
    """
    completed = plan.task_status(before.id) == "completed"
    if completed == (before.task.status == "completed"):
        return
    dependents = plan.world.dependents_of(before.id)
    for dependent_id in dependents:
        _rederive(plan, dependent_id, cause)
    if isinstance(cause.fact, RunCompleted):
        for dependent_id in dependents:
            auto_enqueue(plan, dependent_id, cause)


def _rederive(plan: Plan, task_id: str, cause: Recorded) -> None:
    state = plan.existing_task(task_id)
    status = derive_status(state, plan.task_status)
    if status == state.task.status:
        return
    changed = plan.emit_task(
        task_id,
        TaskStatusChanged(
            previous_status=state.task.status,
            status=status,
            cause_event_id=cause.event_id,
            cause_task_id=cause.task_id,
        ),
        cause=cause,
    )
    settle(plan, state, changed)


def auto_enqueue(plan: Plan, task_id: str, cause: Recorded) -> None:
    """Queue a run if the task asks for it, is ready and not paused, and may have another one.

    A ready task without an open run always has an attempt left. A task whose channel belongs to
    another workspace is passed over: that must not refuse the command that made it ready.
    """
    state = plan.existing_task(task_id)
    if (
        not state.task.auto_enqueue_on_ready
        or state.task.status != "ready"
        or state.open_run is not None
        or plan.paused_by(state)
        or foreign_holder(plan, state.task, state.task.network_channel)
    ):
        return
    key = f"task.auto_enqueue.{task_id}.{cause.run_id or cause.event_id}"
    queue_run(plan, state, key=key, cause=cause)


def queue_run(
    plan: Plan,
    state: TaskState,
    *,
    key: str = "",
    channel: str = "",
    metadata: Json = NO_JSON,
    request_hash: str = "",
    default_key: bool = False,
    cause: Recorded | None = None,
) -> str:
    """Note a new queued run and return its id; the caller has checked that there may be one."""
    run_id = plan.context.new_id("run")
    network_channel = channel or state.task.network_channel
    run = Run(
        id=run_id,
        task_id=state.id,
        status="queued",
        attempt=state.next_attempt,
        origin=plan.context.origin,
        queued_at=plan.now,
    )
    queued = plan.emit_task(
        state.id,
        RunEnqueued(
            attempt=run.attempt,
            status="queued",
            task_status=derive_status(_with(state, run), plan.task_status),
            network_channel=network_channel,
            coordination_channel_id=coordination_channel_id(
                plan, state.task, run_id, network_channel
            ),
            idempotency_key=key,
            metadata=metadata,
            request_hash=request_hash,
            default_key=default_key,
        ),
        run_id,
        cause,
    )
    settle(plan, state, queued)
    return run_id
