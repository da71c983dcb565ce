"""Which event of a task its subscribers are told next (task API, bridge delivery)."""

from msgspec import Struct

from domain.bridge_state import CursorState
from domain.task.state import ENDED_AS, Ending, TaskState
from domain.values import TERMINAL_TASK, TaskStatus


class Notify(Struct, frozen=True, kw_only=True):
    """Tell of this event: the task ended by it with this status."""

    delivery_id: str
    sequence: int
    event_type: str
    status: TaskStatus
    run_id: str = ""
    error: str = ""


class PassOver(Struct, frozen=True, kw_only=True):
    """Tell nothing up to this sequence: no event fits the task's status."""

    sequence: int
    error: str


def next_step(state: TaskState, cursor: CursorState) -> Notify | PassOver | None:
    """Return what a subscription's cursor has to do next, None when it has to wait.

    One request may end a task by several events (a cancel also cancels the run); they are told
    once, by the last of them.
    """
    status = state.task.status
    if state.task.deleted or status not in TERMINAL_TASK:
        return None
    coming = [ending for ending in state.endings if ending.sequence > cursor.last_sequence]
    if not coming:
        return None
    fitting = [ending for ending in coming if _fits(state, ending)]
    if not fitting:
        last = coming[-1]
        error = f"the task is {status}, but not by {last.event_type}"
        return PassOver(sequence=last.sequence, error=error)
    told = [ending for ending in fitting if ending.command_id == fitting[0].command_id][-1]
    run = state.runs.get(told.run_id)
    return Notify(
        delivery_id=f"notif:{cursor.subscription_id}:{told.sequence}",
        sequence=told.sequence,
        event_type=told.event_type,
        status=status,
        run_id=told.run_id,
        error=run.error if run else "",
    )


def _fits(state: TaskState, ending: Ending) -> bool:
    """Whether the task ended by this event, and event, task and run tell the same outcome."""
    implied = ENDED_AS[ending.event_type]
    run = state.runs.get(ending.run_id)
    return ending.status == state.task.status == implied and (run is None or run.status == implied)
