"""Operations that look closely at one task or run."""

from typing import Final

from msgspec.structs import replace

from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import Operation
from api.queries import ExplainRunQuery
from api.routes.common import operation
from domain.errors import RunNotFoundError, TaskNotFoundError
from domain.recorded import SCHEDULER_STREAM, STARVATION_STREAM
from domain.registry import SchedulerState
from domain.starving import StarvationState
from projections.queries.eligibility import Asked
from projections.queries.eligibility import explain_run as look_why
from projections.queries.inspect import inspect_of_run
from projections.queries.inspect import inspect_task as look_at_task
from projections.wire.explain import RunWaiting
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


async def explain_run(call: Call) -> Answer:
    """Return each rule of a claim for a run: pass or fail, and the values that decided it."""
    query = call.query(ExplainRunQuery)
    asked = Asked(
        workspace_id=call.caller.workspace_limit or None,
        session_id=query.session_id,
        priority_min=query.priority_min,
    )
    with call.services.ledger.snapshot() as reader:
        found = look_why(reader, call.id, _scheduler(call), call.services.clock(), asked)
    if found is None:
        raise RunNotFoundError(f'task run "{call.id}"')
    call.require_workspace(found.task.workspace_id, f'task run "{call.id}"')
    waiting = _waiting(call) if found.run.status == "queued" else None
    return call.reply(replies.ExplainRunResponse(replace(found, waiting=waiting)))


def _waiting(call: Call) -> RunWaiting:
    state = call.services.ledger.state(STARVATION_STREAM)
    settings = call.services.settings
    return RunWaiting(
        cycles=state.cycles.get(call.id, 0) if isinstance(state, StarvationState) else 0,
        starved_after=settings.starved_after_cycles,
        needs_attention_after=settings.attention_after_cycles,
    )


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
    operation(
        "GET",
        "/api/runs/{id}/explain",
        "explainRun",
        explain_run,
        tag="force-operations",
        action="tasks.explain_run",
        query=ExplainRunQuery,
        reply=replies.ExplainRunResponse,
        labels=("task run id",),
    ),
)
