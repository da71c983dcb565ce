"""Operations on the execution profile of a task."""

from typing import Any, Final

from msgspec.structs import asdict

from api import replies
from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.operations import Operation
from api.parsing import Body
from api.profile_bodies import ExecutionProfileRequest
from api.routes.common import operation
from api.routes.task_reads import require_task
from domain.commands import DeleteProfile, ProfileSection, SetProfile
from projections.wire.profile import profile_view


async def get_profile(call: Call) -> Answer:
    """Return how a task wants to be executed; the default when it says nothing."""
    task = require_task(call, call.id)
    return call.reply(replies.ExecutionProfileResponse(profile_view(task)))


async def set_profile(call: Call) -> Answer:
    """Replace the execution profile of a task as a whole."""
    body = await call.read(ExecutionProfileRequest)
    command = SetProfile(
        task_id=call.id,
        sent_task_id=body.task_id or "",
        coordinator=_section(body.coordinator),
        worker=_section(body.worker),
        review=_section(body.review),
        participants=_section(body.participants),
        sandbox=_section(body.sandbox),
        runtime=_section(body.runtime),
    )
    outcome = await call.submit(command)
    assert outcome.task is not None
    return call.reply(replies.ExecutionProfileResponse(profile_view(outcome.task.task)))


def _section(sent: Body | None) -> ProfileSection | None:
    if sent is None:
        return None
    given = {name: value for name, value in asdict(sent).items() if value is not None}
    return ProfileSection(**given)


async def delete_profile(call: Call) -> Answer:
    """Let the default execution profile be in force again."""
    await call.submit(DeleteProfile(task_id=call.id))
    return NO_CONTENT


def _on_profile(method: str, operation_id: str, handle: Any, verb: str, **more: Any) -> Operation:
    return operation(
        method,
        "/api/tasks/{id}/execution-profile",
        operation_id,
        handle,
        tag="tasks",
        action=f"tasks.{verb}_profile",
        labels=("task id",),
        **more,
    )


OPERATIONS: Final[tuple[Operation, ...]] = (
    _on_profile(
        "GET",
        "getTaskExecutionProfile",
        get_profile,
        "get",
        reply=replies.ExecutionProfileResponse,
    ),
    _on_profile(
        "PUT",
        "setTaskExecutionProfile",
        set_profile,
        "set",
        body=ExecutionProfileRequest,
        what="set execution profile",
        body_required=True,
        reply=replies.ExecutionProfileResponse,
        statuses=(400, 404, 409),
    ),
    _on_profile(
        "DELETE",
        "deleteTaskExecutionProfile",
        delete_profile,
        "delete",
        success=204,
        statuses=(400, 404, 409),
    ),
)
