"""The scheduler's status and the backlog as operators see it (task API, scheduler)."""

from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Final

from domain.instants import SECOND
from domain.registry import SchedulerState
from projections.backlog import (
    ACTIVE,
    NEEDS_ATTENTION,
    PAUSED,
    QUEUED,
    QUEUED_PAUSED,
    RANKS,
)
from projections.queries.batches import runs_by_id, summaries, task_rows
from projections.rows import Reader, Row
from projections.wire.runs import run_view
from projections.wire.scheduler import (
    SchedulerBacklog,
    SchedulerBacklogEntry,
    SchedulerStatus,
)
from projections.wire.times import date_time, optional_time

STARVED_AFTER: Final = 120 * SECOND
DEFAULT_BACKLOG_LIMIT: Final = 50
MAX_BACKLOG_LIMIT: Final = 500

_QUEUED: Final = "backlog WHERE paused = ?"
_IN_NEED: Final = "backlog_attention WHERE rank <= 0"
_OF_SCOPE: Final = {
    "": "",
    "global": " AND workspace_id = ''",
    "workspace": " AND workspace_id <> ''",
}


def scheduler_status(
    reader: Reader, scheduler: SchedulerState, as_of: int, starved_after: int = STARVED_AFTER
) -> SchedulerStatus:
    """Return whether claiming is stopped and how much waits and works.

    A run is starved when it was queued at least `starved_after` microseconds before `as_of`.
    """
    counters = _counters(reader, "")
    starved = reader.select(
        "SELECT COUNT(*) FROM backlog WHERE paused = 0 AND rank IN (?, ?, ?, ?) AND queued_at <= ?",
        (*RANKS, as_of - starved_after),
    )
    return SchedulerStatus(
        paused=scheduler.paused,
        paused_by=scheduler.paused_by,
        paused_at=optional_time(scheduler.paused_at),
        paused_reason=scheduler.paused_reason,
        active_claim_count=counters.get(ACTIVE, 0),
        queued_run_count=counters.get(QUEUED, 0) + counters.get(QUEUED_PAUSED, 0),
        paused_task_count=counters.get(PAUSED, 0),
        starved_run_count=starved[0][0],
        needs_attention_run_count=counters.get(NEEDS_ATTENTION, 0),
        as_of=date_time(as_of),
    )


def active_claims(reader: Reader) -> int:
    """Return how many runs are claimed and not finished."""
    return _counters(reader, "").get(ACTIVE, 0)


def backlog_page(
    reader: Reader,
    *,
    limit: int = 0,
    scope: str = "",
    workspace_id: str = "",
    include_paused: bool = False,
) -> SchedulerBacklog:
    """Return the first queued runs in claim order, and how many there are in all.

    Beside them the runs that need attention, in the same order, also those of paused tasks.

    A limit of 0 or less means 50; 500 is the most. An empty scope or workspace id admits all.
    """
    size = min(limit, MAX_BACKLOG_LIMIT) if limit > 0 else DEFAULT_BACKLOG_LIMIT
    among = {"scope": scope, "workspace_id": workspace_id}
    kinds = (0, 1) if include_paused else (0,)
    parts = (_first(reader, _QUEUED, (paused,), size, **among) for paused in kinds)
    rows = list(islice(merge(*parts), size))
    counters = _queued(reader, scope, workspace_id)
    total = counters.get(QUEUED, 0)
    if include_paused:
        total += counters.get(QUEUED_PAUSED, 0)
    return SchedulerBacklog(
        runs=_entries(reader, rows),
        total=total,
        needs_attention=_entries(reader, _first(reader, _IN_NEED, (), size, **among)),
        needs_attention_total=counters.get(NEEDS_ATTENTION, 0),
    )


def _entries(reader: Reader, rows: Sequence[Row]) -> tuple[SchedulerBacklogEntry, ...]:
    """Return the runs of rows, each with its task."""
    if not rows:
        return ()
    runs = runs_by_id(reader, (row[2] for row in rows))
    tasks = summaries(reader, task_rows(reader, {row[3] for row in rows}).values())
    by_id = {task.id: task for task in tasks}
    return tuple(
        SchedulerBacklogEntry(run=run_view(runs[run_id]), task=by_id[task_id])
        for _, _, run_id, task_id in rows
        # A read model that was detached after a fault may be behind the others.
        if run_id in runs and task_id in by_id
    )


def _first(
    reader: Reader, source: str, given: Row, size: int, *, scope: str, workspace_id: str
) -> list[Row]:
    """Return the first rows of a source that are of the scope and workspace, in claim order."""
    admitted = _OF_SCOPE[scope]
    if workspace_id:
        admitted += " AND workspace_id <> '' AND workspace_id = ?"
        given = (*given, workspace_id)
    return reader.select(
        f"SELECT rank, queued_at, run_id, task_id FROM {source}{admitted}"
        " ORDER BY rank, queued_at, run_id LIMIT ?",
        (*given, size),
    )


def _queued(reader: Reader, scope: str, workspace_id: str) -> dict[str, int]:
    """Return how many runs of a scope and workspace wait or need attention, by counter."""
    if not scope or workspace_id:
        return _counters(reader, workspace_id) if scope != "global" else {}
    counted = reader.select(
        "SELECT name, SUM(value) FROM backlog_counters WHERE name IN (?, ?, ?)"
        " AND workspace_id <> '' GROUP BY name",
        (QUEUED, QUEUED_PAUSED, NEEDS_ATTENTION),
    )
    in_workspaces = {row[0]: row[1] for row in counted}
    if scope == "workspace":
        return in_workspaces
    everywhere = _counters(reader, "")
    return {
        name: everywhere.get(name, 0) - in_workspaces.get(name, 0)
        for name in (QUEUED, QUEUED_PAUSED, NEEDS_ATTENTION)
    }


def _counters(reader: Reader, workspace_id: str) -> dict[str, int]:
    found = reader.select(
        "SELECT name, value FROM backlog_counters WHERE name IN (?, ?, ?, ?, ?)"
        " AND workspace_id = ?",
        (QUEUED, QUEUED_PAUSED, ACTIVE, NEEDS_ATTENTION, PAUSED, workspace_id),
    )
    return {row[0]: row[1] for row in found}
