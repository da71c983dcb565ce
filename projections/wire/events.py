"""An event as clients see it, and the frame in which the ledger keeps it."""

from collections.abc import Callable
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import fields

from domain.events import FACTS, Fact
from domain.recorded import Recorded
from domain.task.state import TaskState
from domain.values import Actor, Json, Origin
from domain.world import Change
from projections.wire.json import OptionalJson, without_secrets
from projections.wire.runs import RunSummary, run_summary
from projections.wire.tasks import TaskReference, task_reference
from projections.wire.times import DateTime, date_time


class TaskEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a task."""

    id: str
    task_id: str
    run_id: str = ""
    event_type: str
    actor: Actor
    origin: Origin
    payload: OptionalJson = UNSET
    timestamp: DateTime


class TimelineItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a task with its place in the ledger, and task and run as of then."""

    sequence: int
    event_id: str
    task: TaskReference
    run: RunSummary | None = None
    event_type: str
    actor: Actor
    origin: Origin
    payload: OptionalJson = UNSET
    timestamp: DateTime


class TaskStreamEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one message of a stream carries."""

    sequence: int
    type: str
    timeline: TimelineItem


class LedgerItem(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A timeline item whose event may belong to no task; this is what a frame holds."""

    sequence: int
    event_id: str
    task: TaskReference | None = None
    run: RunSummary | None = None
    event_type: str
    actor: Actor
    origin: Origin
    payload: dict[str, Any] = {}
    timestamp: DateTime


_Render = Callable[[Any], Any]
_ENCODE: Final = msgspec.json.Encoder().encode


def _render_of(hint: Any) -> _Render | None:
    if hint is Json:
        return without_secrets
    metadata = getattr(hint, "__metadata__", ())
    if any("instant" in (meta.extra or {}) for meta in metadata):
        return date_time
    return None


def _plan(fact_class: type[Fact]) -> tuple[tuple[str, bool, _Render | None], ...]:
    hints = get_type_hints(fact_class, include_extras=True)
    return tuple(
        (field.name, field.required, _render_of(hints[field.name]))
        for field in fields(fact_class)
        if field.name not in fact_class.PRIVATE
    )


_PLANS: Final = {fact_class: _plan(fact_class) for fact_class in FACTS}


def payload(fact: Fact) -> dict[str, Any]:
    """Return the members of a fact that clients see (task API, event table)."""
    shown = {}
    for name, required, render in _PLANS[type(fact)]:
        value = getattr(fact, name)
        if not value and not required:
            continue
        if render is not None:
            value = render(value)
            if not value:
                continue
        shown[name] = value
    return shown


def frame(change: Change) -> bytes:
    """Return the one line of JSON that every reader of this event gets, now and later."""
    recorded = change.recorded
    state = change.about
    return _ENCODE(
        LedgerItem(
            sequence=recorded.sequence,
            event_id=recorded.event_id,
            task=task_reference(state.task, change.paused_by) if state else None,
            run=_run_of(recorded, state) if state and recorded.run_id else None,
            event_type=recorded.type,
            actor=recorded.actor,
            origin=recorded.origin,
            payload=payload(recorded.fact),
            timestamp=date_time(recorded.occurred_at),
        )
    )


def _run_of(recorded: Recorded, state: TaskState) -> RunSummary:
    return run_summary(state.runs[recorded.run_id], state.task.max_attempts)
