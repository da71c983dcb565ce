"""Operations on the caller's own inbox: read, archive and dismiss a task."""

from typing import Final

from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import Operation
from api.routes.common import operation
from domain.commands import TriageTask
from domain.values import TriageAction
from projections.queries.inbox import triage_of


async def read_task(call: Call) -> Answer:
    """Note that the caller has seen a task."""
    return await _triage(call, "read")


async def archive_task(call: Call) -> Answer:
    """Put a task into the caller's archive for good."""
    return await _triage(call, "archive")


async def dismiss_task(call: Call) -> Answer:
    """Hide a task from the caller until something happens to it."""
    return await _triage(call, "dismiss")


async def _triage(call: Call, action: TriageAction) -> Answer:
    task_id = call.id
    await call.submit(TriageTask(task_id=task_id, action=action))
    triage = triage_of(call.services.ledger.reader, task_id, call.caller.actor)
    assert triage is not None
    return call.reply(replies.TriageResponse(triage))


_ACTIONS: Final = (
    ("read", "markTaskRead", read_task),
    ("archive", "archiveTask", archive_task),
    ("dismiss", "dismissTask", dismiss_task),
)

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operation(
        "POST",
        f"/api/tasks/{{id}}/triage/{action}",
        operation_id,
        handle,
        tag="tasks",
        action=f"tasks.triage_{action}",
        reply=replies.TriageResponse,
        labels=("task id",),
    )
    for action, operation_id, handle in _ACTIONS
)
