"""How far steps and executions are, in the words of Ona (gitpod.v1 TaskExecutionPhase)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from domain.task.state import TaskState, latest_run
from domain.values import Json

Phase = Literal["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"]

_ENDED: Final[Mapping[str, Phase]] = {
    "completed": "SUCCEEDED",
    "failed": "FAILED",
    "canceled": "STOPPED",
}
_RUNNING: Final = frozenset({"running", "needs_attention"})
_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 4_096
_WHOLE: Final = "result"


def step_phase(state: TaskState) -> Phase:
    """Return the phase of a step; one whose run needs attention still runs."""
    run = latest_run(state.runs.values())
    if run is not None and run.status in _RUNNING:
        return "RUNNING"
    return _ENDED.get(state.task.status, "PENDING")


def execution_phase(root_status: str, steps: Collection[str]) -> Phase:
    """Return the phase of an execution by its root task and the phases of its steps."""
    if "FAILED" in steps or root_status == "failed":
        return "FAILED"
    if "STOPPED" in steps or root_status == "canceled":
        return "STOPPED"
    if root_status == "completed":
        return "SUCCEEDED"
    return "RUNNING" if "RUNNING" in steps or "SUCCEEDED" in steps else "PENDING"


def output_of(result: Json) -> dict[str, str]:
    """Return the result of a run as texts by name.

    Members of inner objects are named `outer.inner`, other values are shown as JSON, null and the
    empty text are left out. A result that is no object is one text, `result`; one that is nested
    too deeply to look through gives none. Names are cut to 128 characters and texts to 4096.
    """
    if not bytes(result):
        return {}
    try:
        members = list(_members(msgspec.json.decode(result)))
        named = [(name[:_LONGEST_KEY], _text(value)[:_LONGEST_VALUE]) for name, value in members]
    except RecursionError:
        return {}
    return {name: text for name, text in named if name and text}


def _members(decoded: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values with their names, in their order."""
    waiting = [("", decoded)] if isinstance(decoded, dict) else [(_WHOLE, decoded)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            inner = [(f"{name}.{each}" if name else each, value[each]) for each in value]
            waiting.extend(reversed(inner))
        else:
            yield name, value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
