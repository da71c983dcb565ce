"""Operations that change tasks."""

from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.operations import WRITE, Operation
from api.parsing import Body
from api.routes.common import execution_reply, operation, run_reply, task_reply
from api.routes.task_reads import detail_reply
from domain import commands as c
from domain.commands import OwnerInput
from replay.committer import Outcome


async def create_task(call: Call) -> Answer:
    """Create a task."""
    return await _create(call, None)


async def create_child_task(call: Call) -> Answer:
    """Create a task below another one."""
    return await _create(call, call.id)


async def _create(call: Call, parent_task_id: str | None) -> Answer:
    body = await call.read(b.TaskCreateRequest)
    command = c.CreateTask(
        parent_task_id=parent_task_id,
        id=body.id or "",
        identifier=body.identifier or "",
        scope=body.scope or "",
        workspace=body.workspace or "",
        title=body.title or "",
        description=body.description or "",
        network_channel=body.network_channel or "",
        priority=body.priority or "",
        max_attempts=body.max_attempts,
        auto_enqueue_on_ready=bool(body.auto_enqueue_on_ready),
        draft=bool(body.draft),
        approval_policy=body.approval_policy or "",
        owner=_owner(body.owner),
        metadata=body.metadata,
    )
    return task_reply(call, await call.submit(command))


def _owner(owner: b.OwnerRequest | None) -> OwnerInput | None:
    return OwnerInput(kind=owner.kind or "", ref=owner.ref or "") if owner else None


async def update_task(call: Call) -> Answer:
    """Change fields of a task."""
    body = await call.read(b.UpdateTaskRequest)
    command = c.UpdateTask(
        task_id=call.id,
        title=body.title,
        description=body.description,
        priority=body.priority,
        max_attempts=body.max_attempts,
        auto_enqueue_on_ready=body.auto_enqueue_on_ready,
        approval_policy=body.approval_policy,
        metadata=body.metadata,
        network_channel=body.network_channel,
        owner=_owner(body.owner),
        clear_owner=bool(body.clear_owner),
    )
    return task_reply(call, await call.submit(command))


async def _execute(call: Call, command: type[c.Execution]) -> Outcome:
    body = await call.read(b.TaskExecutionRequest)
    return await call.submit(
        command(
            task_id=call.id,
            idempotency_key=body.idempotency_key or "",
            network_channel=body.network_channel or "",
            metadata=body.metadata,
        )
    )


async def publish_task(call: Call) -> Answer:
    """Make a draft runnable and queue a run."""
    return execution_reply(call, await _execute(call, c.PublishTask))


async def start_task(call: Call) -> Answer:
    """Queue a run of a task that is not held back."""
    return execution_reply(call, await _execute(call, c.StartTask))


async def approve_task(call: Call) -> Answer:
    """Give the pending approval and queue a run."""
    return execution_reply(call, await _execute(call, c.ApproveTask))


async def enqueue_run(call: Call) -> Answer:
    """Queue a run, also of a blocked task."""
    return run_reply(call, await _execute(call, c.EnqueueRun))


async def reject_task(call: Call) -> Answer:
    """Refuse the pending approval."""
    return task_reply(call, await call.submit(c.RejectTask(task_id=call.id)))


async def cancel_task(call: Call) -> Answer:
    """Give up a task and everything below it."""
    body = await call.read(b.ReasonMetadataRequest)
    command = c.CancelTask(task_id=call.id, reason=body.reason or "", metadata=body.metadata)
    return task_reply(call, await call.submit(command))


async def pause_task(call: Call) -> Answer:
    """Stop claiming for a task and everything below it."""
    body = await call.read(b.RequiredReasonRequest)
    command = c.PauseTask(task_id=call.id, reason=body.reason or "", metadata=body.metadata)
    return task_reply(call, await call.submit(command))


async def resume_task(call: Call) -> Answer:
    """End a task's own pause."""
    body = await call.read(b.MetadataRequest)
    command = c.ResumeTask(task_id=call.id, metadata=body.metadata)
    return task_reply(call, await call.submit(command))


async def delete_task(call: Call) -> Answer:
    """Remove a task without children and open runs; its history stays in the ledger."""
    await call.submit(c.DeleteTask(task_id=call.id))
    return NO_CONTENT


async def add_dependency(call: Call) -> Answer:
    """Let a task wait for another one."""
    body = await call.read(b.AddTaskDependencyRequest)
    command = c.AddDependency(
        task_id=call.id,
        depends_on_task_id=body.depends_on_task_id or "",
        kind=body.kind or "",
    )
    await call.submit(command)
    return detail_reply(call, call.id)


async def remove_dependency(call: Call) -> Answer:
    """Let a task no longer wait for another one."""
    await call.submit(c.RemoveDependency(task_id=call.id, depends_on_task_id=call.value(1)))
    return detail_reply(call, call.id)


def _on_task(
    method: str, end: str, operation_id: str, handle: Any, action: str, **more: Any
) -> Operation:
    return operation(
        method,
        f"/api/tasks/{{id}}{end}",
        operation_id,
        handle,
        tag="tasks",
        action=f"tasks.{action}",
        labels=("task id", "depends_on_id"),
        **{"statuses": WRITE, **more},
    )


def _body(body: type[Body], what: str, *, required: bool = False) -> dict[str, Any]:
    return {"body": body, "what": what, "body_required": required}


_EXECUTION: Final = {
    **_body(b.TaskExecutionRequest, "task execution"),
    "reply": replies.TaskExecutionResponse,
}
_TASK: Final = {"reply": replies.TaskResponse}
_CREATED: Final = {
    **_body(b.TaskCreateRequest, "create task", required=True),
    **_TASK,
    "success": 201,
}
_PAUSED: Final = {**_TASK, "statuses": (403, *WRITE, 429)}

OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "POST",
        "/api/tasks",
        "createTask",
        create_task,
        tag="tasks",
        action="tasks.create",
        statuses=WRITE,
        **_CREATED,
    ),
    _on_task(
        "PATCH",
        "",
        "updateTask",
        update_task,
        "update",
        **_TASK,
        **_body(b.UpdateTaskRequest, "update task", required=True),
    ),
    _on_task("DELETE", "", "deleteTask", delete_task, "delete", success=204, statuses=(400, 404)),
    _on_task("POST", "/publish", "publishTask", publish_task, "publish", **_EXECUTION),
    _on_task("POST", "/start", "startTask", start_task, "start", success=201, **_EXECUTION),
    _on_task(
        "POST",
        "/approve",
        "approveTask",
        approve_task,
        "approve",
        success=201,
        body_expected=False,
        **_EXECUTION,
    ),
    _on_task("POST", "/reject", "rejectTask", reject_task, "reject", **_TASK),
    _on_task(
        "POST",
        "/cancel",
        "cancelTask",
        cancel_task,
        "cancel",
        **_TASK,
        **_body(b.ReasonMetadataRequest, "cancel task"),
    ),
    _on_task(
        "POST",
        "/pause",
        "pauseTask",
        pause_task,
        "pause_task",
        **_PAUSED,
        **_body(b.RequiredReasonRequest, "pause task", required=True),
    ),
    _on_task(
        "POST",
        "/resume",
        "resumeTask",
        resume_task,
        "resume_task",
        **_PAUSED,
        body_expected=False,
        **_body(b.MetadataRequest, "resume task"),
    ),
    _on_task("POST", "/children", "createChildTask", create_child_task, "create_child", **_CREATED),
    _on_task(
        "POST",
        "/dependencies",
        "addTaskDependency",
        add_dependency,
        "add_dependency",
        reply=replies.TaskDetailResponse,
        **_body(b.AddTaskDependencyRequest, "add dependency", required=True),
    ),
    _on_task(
        "DELETE",
        "/dependencies/{depends_on_id}",
        "removeTaskDependency",
        remove_dependency,
        "remove_dependency",
        reply=replies.TaskDetailResponse,
        statuses=(404, 422),
    ),
    _on_task(
        "POST",
        "/runs",
        "enqueueTaskRun",
        enqueue_run,
        "enqueue_run",
        success=201,
        reply=replies.RunResponse,
        **_body(b.TaskExecutionRequest, "enqueue run"),
    ),
)
