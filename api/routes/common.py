"""What the operations of several modules share."""

from typing import Any

from api import replies
from api.answers import Answer
from api.call import Call
from api.operations import Handler, Operation, TokenScope
from projections.wire import run_view, task_view
from replay.committer import Outcome


def operation(
    method: str, path: str, operation_id: str, handle: Handler, *, tag: str, **more: Any
) -> Operation:
    """Return an operation; its summary is the first line of the handler's docstring."""
    usual: TokenScope = "task:read" if method == "GET" else "task:write"
    return Operation(
        method=method,
        path=path,
        operation_id=operation_id,
        summary=(handle.__doc__ or "").partition("\n")[0].rstrip("."),
        tag=tag,
        handle=handle,
        scope=more.pop("scope", usual),
        **more,
    )


def task_reply(call: Call, outcome: Outcome) -> Answer:
    """Return the answer with the task of an outcome."""
    assert outcome.task is not None
    task = task_view(outcome.task.task, outcome.paused_by)
    return call.reply(replies.TaskResponse(task), replayed=outcome.reply.replayed)


def run_reply(call: Call, outcome: Outcome) -> Answer:
    """Return the answer with the run of an outcome."""
    assert outcome.run is not None
    run = run_view(outcome.run)
    return call.reply(replies.RunResponse(run), replayed=outcome.reply.replayed)


def execution_reply(call: Call, outcome: Outcome) -> Answer:
    """Return the answer with task and run of an outcome."""
    assert outcome.task is not None
    assert outcome.run is not None
    task = task_view(outcome.task.task, outcome.paused_by)
    reply = replies.TaskExecutionResponse(task, run_view(outcome.run))
    return call.reply(reply, replayed=outcome.reply.replayed)
