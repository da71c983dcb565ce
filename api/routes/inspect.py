"""Operations that look closely at one task or run."""

from typing import Final

from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import Operation
from api.routes.common import operation
from domain.errors import RunNotFoundError, TaskNotFoundError
from domain.recorded import SCHEDULER_STREAM
from domain.registry import SchedulerState
from projections.queries.inspect import inspect_of_run
from projections.queries.inspect import inspect_task as look_at_task
from projections.wire.inspect import Inspect


async def inspect_task(call: Call) -> Answer:
    """Return a task with what is wrong with it and what to do next."""
    with call.services.ledger.snapshot() as reader:
        found = look_at_task(reader, call.id, _scheduler(call), call.services.clock())
    if found is None:
        raise TaskNotFoundError(f'task "{call.id}"')
    return _reply(call, found, f'task "{call.id}"')


async def inspect_run(call: Call) -> Answer:
    """Return a run with what is wrong with it and what to do next."""
    with call.services.ledger.snapshot() as reader:
        found = inspect_of_run(reader, call.id, _scheduler(call), call.services.clock())
    if found is None:
        raise RunNotFoundError(f'task run "{call.id}"')
    return _reply(call, found, f'task run "{call.id}"')


def _scheduler(call: Call) -> SchedulerState:
    state = call.services.ledger.state(SCHEDULER_STREAM)
    return state if isinstance(state, SchedulerState) else SchedulerState()


def _reply(call: Call, found: Inspect, what: str) -> Answer:
    call.require_workspace(found.task.workspace_id, what)
    return call.reply(replies.InspectResponse(found))


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "GET",
        "/api/tasks/{id}/inspect",
        "inspectTask",
        inspect_task,
        tag="tasks",
        action="tasks.inspect",
        reply=replies.InspectResponse,
        labels=("task id",),
    ),
    operation(
        "GET",
        "/api/runs/{id}/inspect",
        "inspectRun",
        inspect_run,
        tag="force-operations",
        action="tasks.inspect_run",
        reply=replies.InspectResponse,
        labels=("task run id",),
    ),
)
