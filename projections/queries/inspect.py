"""A look at one task or run: what it is, what is wrong with it and what to do next."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from domain.registry import SchedulerState
from domain.task.state import Run, Task
from projections.queries.batches import TaskRow, runs_of_tasks, summaries, task_rows
from projections.queries.diagnostics import Observed, diagnostics, next_action
from projections.queries.eligibility import eligible_sessions, rules_of_run
from projections.queries.runs import run_of
from projections.registry import session_of
from projections.rows import Reader
from projections.wire.inspect import (
    Inspect,
    InspectEvent,
    InspectSession,
    InspectTarget,
    inspect_run,
    inspect_scheduler,
    inspect_session,
    shortened,
)
from projections.wire.times import date_time

RECENT_RUNS: Final = 5
RECENT_EVENTS: Final = 10

_SUMMARIES: Final = ("error", "diagnostic", "reason")
_RANK: Final = {"running": 4, "starting": 3, "claimed": 2, "queued": 1}
_SUCCESS: Final = frozenset(
    {"task.approved", "task.run_started", "task.run_completed", "task.run_review_approved"}
)
_WARNING: Final = frozenset(
    f"task.{name}"
    for name in (
        "rejected",
        "canceled",
        "paused",
        "run_canceled",
        "run_force_stopped",
        "run_recovered",
        "run_rejected",
        "run_lease_expired",
        "run_starved",
        "run_needs_attention",
        "run_review_blocked",
        "run_review_timeout",
        "run_review_rounds_exhausted",
    )
)
_FAILURE: Final = frozenset(
    {
        "task.run_failed",
        "task.run_operator_forced_fail",
        "task.run_review_rejected",
        "task.run_review_error",
        "task.run_review_invalid_output",
    }
)
_OUTCOMES: Final = {
    **dict.fromkeys(_SUCCESS, "success"),
    **dict.fromkeys(_WARNING, "warning"),
    **dict.fromkeys(_FAILURE, "failure"),
}


class _Framed(Struct, frozen=True):
    """What of a frame is told in short."""

    event_id: str
    event_type: str
    timestamp: str
    payload: dict[str, Any] = {}


_FRAMED: Final = msgspec.json.Decoder(_Framed).decode


def inspect_task(
    reader: Reader, task_id: str, scheduler: SchedulerState, as_of: int
) -> Inspect | None:
    """Return a look at a task, None when there is no such task."""
    row = task_rows(reader, (task_id,)).get(task_id)
    if row is None:
        return None
    runs = runs_of_tasks(reader, (task_id,)).get(task_id, [])
    current = next((run for run in runs if run.id == row.task.current_run_id), None)
    current = current or max(runs, key=_furthest, default=None)
    return _look(reader, "task", row, (current, runs), scheduler, as_of)


def inspect_of_run(
    reader: Reader, run_id: str, scheduler: SchedulerState, as_of: int
) -> Inspect | None:
    """Return a look at a run, None when there is no such run."""
    run = run_of(reader, run_id)
    row = task_rows(reader, (run.task_id,)).get(run.task_id) if run else None
    if run is None or row is None:
        return None
    runs = runs_of_tasks(reader, (run.task_id,)).get(run.task_id, [])
    return _look(reader, "run", row, (run, runs), scheduler, as_of)


def _furthest(run: Run) -> tuple[int, int, int, str]:
    return (_RANK.get(run.status, 0), run.attempt, run.queued_at, run.id)


def _look(  # noqa: PLR0917
    reader: Reader,
    target: InspectTarget,
    row: TaskRow,
    runs: tuple[Run | None, Sequence[Run]],
    scheduler: SchedulerState,
    as_of: int,
) -> Inspect:
    current, known = runs
    newest = sorted(known, key=lambda run: (run.attempt, run.queued_at, run.id), reverse=True)
    recent = newest[:RECENT_RUNS]
    session = _session(reader, current)
    seen = None
    if current is not None:
        seen = Observed(
            run=current,
            recent=recent,
            session=session,
            scheduler_paused=scheduler.paused,
            claimable=_claimable(reader, row.task, current, scheduler),
            eligible_sessions=eligible_sessions(reader, row.task, current),
            as_of=as_of,
        )
    found = diagnostics(seen) if seen else ()
    of_run = current.id if current is not None and target == "run" else ""
    return Inspect(
        target=target,
        task=summaries(reader, (row,))[0],
        current_run=inspect_run(current, as_of) if current else None,
        bound_session=session,
        recent_runs=tuple(inspect_run(run, as_of) for run in recent),
        recent_events=tuple(_events(reader, row.task.id, of_run)),
        scheduler=inspect_scheduler(scheduler),
        diagnostics=found,
        next_action=next_action(row.task, seen, found),
        as_of=date_time(as_of),
    )


def _session(reader: Reader, run: Run | None) -> InspectSession | None:
    if run is None or not run.session_id:
        return None
    return inspect_session(run.session_id, session_of(reader, run.session_id))


def _claimable(reader: Reader, task: Task, run: Run, scheduler: SchedulerState) -> bool:
    return all(rule.passed for rule in rules_of_run(reader, task, run, scheduler))


def _events(reader: Reader, task_id: str, run_id: str) -> Iterator[InspectEvent]:
    """Yield the newest events of a task, of one run when it is named, the oldest first."""
    of_run = " AND run_id = ?" if run_id else ""
    values = (task_id, run_id) if run_id else (task_id,)
    found = reader.select(
        f"SELECT run_id, frame FROM timeline WHERE task_id = ?{of_run}"
        " ORDER BY sequence DESC LIMIT ?",
        (*values, RECENT_EVENTS),
    )
    for of, frame in reversed(found):
        event = _FRAMED(frame)
        told = event.payload
        yield InspectEvent(
            id=event.event_id,
            type=event.event_type,
            session_id=told.get("session_id", ""),
            task_id=task_id,
            run_id=of,
            outcome=_OUTCOMES.get(event.event_type, "info"),
            summary=shortened(
                told.get("error") or told.get("diagnostic") or told.get("reason", "")
            ),
            timestamp=event.timestamp,
        )
