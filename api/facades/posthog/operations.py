"""How the operations of the PostHog Tasks API are described, and how their refusals are caught."""

from typing import Any, Final

from api.answers import Answer, Stream
from api.call import Call
from api.facades.posthog.errors import (
    DIALECT,
    PREFIX,
    PosthogError,
    PosthogPlainError,
    RefusalError,
)
from api.operations import Handler, Operation
from api.routes.common import operation

TASKS: Final = f"{PREFIX}{{project_id}}/tasks"
TASK: Final = f"{TASKS}/{{task_id}}"
RUNS: Final = f"{TASK}/runs"
RUN: Final = f"{RUNS}/{{run_id}}"

_LABELS: Final = ("project id", "task id", "run id")


def posthog(method: str, path: str, name: str, handle: Handler, **more: Any) -> Operation:
    """Return an operation; `name` is what comes behind `posthog.` in the origin of its events."""
    statuses = (400, 404, 415) if "body" in more else (400, 404)
    return operation(
        method,
        path,
        "posthog" + "".join(part.capitalize() for part in name.split("_")),
        _caught(handle),
        **{
            "tag": "posthog",
            "action": f"posthog.{name}",
            "dialect": DIALECT,
            "refusal": PosthogError,
            "statuses": statuses,
            "labels": _LABELS,
            "body_expected": False,
            **more,
        },
    )


def posthog_plain(method: str, path: str, name: str, handle: Handler, **more: Any) -> Operation:
    """Return an operation with a form of its own for what it refuses itself."""
    return posthog(method, path, name, handle, refusal=PosthogError | PosthogPlainError, **more)


def _caught(handle: Handler) -> Handler:
    async def answered(call: Call) -> Answer | Stream:
        try:
            return await handle(call)
        except RefusalError as refusal:
            return refusal.answer

    answered.__doc__ = handle.__doc__
    return answered
