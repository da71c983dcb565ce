"""What the dashboard is answered from: counters by facet, and the active runs.

A facet is one combination of what the dashboard filters on. Counting is by facet, so that an answer
costs what facets there are, however many tasks and runs are behind them.
"""

from typing import Any, Final, TypeAlias

from domain.events import RunForceStopped, TaskDeleted, TaskUpdated
from domain.recorded import Recorded
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, Task, TaskState
from domain.world import Change
from projections.rows import Row, Rows
from projections.schema import define

TASK_STATUSES: Final = (
    "draft",
    "pending",
    "blocked",
    "ready",
    "in_progress",
    "completed",
    "failed",
    "canceled",
)
RUN_STATUSES: Final = (
    "queued",
    "claimed",
    "starting",
    "running",
    "needs_attention",
    "completed",
    "failed",
    "canceled",
)
RANKS: Final = {"queued": 1, "claimed": 2, "starting": 3, "running": 4}
"""The statuses of active runs; the largest is shown first."""

CLAIM: Final = "claim"
START: Final = "start"

_TASK_FACET: Final = {
    "workspace_id": "TEXT",
    "owner_kind": "TEXT",
    "owner_ref": "TEXT",
    "network_channel": "TEXT",
    "origin_kind": "TEXT",
}
_RUN_FACET: Final = {**_TASK_FACET, "run_channel": "TEXT", "run_origin_kind": "TEXT"}

DASHBOARD_TASKS: Final = define(
    "dashboard_tasks",
    key=_TASK_FACET,
    values={
        **dict.fromkeys(TASK_STATUSES, "INTEGER"),
        "awaiting_approval": "INTEGER",
        "dependency_blocked": "INTEGER",
    },
)
"""The row goes with the last task of the facet."""

DASHBOARD_ACTIVITY: Final = define(
    "dashboard_activity",
    key={**_TASK_FACET, "at": "INTEGER", "task_id": "TEXT"},
)
"""When something last happened to each task, so that the latest of a facet is found at its end."""

DASHBOARD_RUNS: Final = define(
    "dashboard_runs",
    key=_RUN_FACET,
    values={
        **dict.fromkeys(RUN_STATUSES, "INTEGER"),
        "claims": "INTEGER",
        "claim_time": "INTEGER",
        "starts": "INTEGER",
        "start_time": "INTEGER",
    },
)
"""The times are sums in microseconds."""

DASHBOARD_ACTIVE: Final = define(
    "dashboard_active",
    key={**_RUN_FACET, "rank": "INTEGER", "at": "INTEGER", "run_id": "TEXT"},
    values={"task_id": "TEXT", "since": "INTEGER", "session_id": "TEXT"},
)
"""The active runs. `at` is the latest of a run's times, of a queued one when it was queued; how
long it stands as it does is told from `since`."""

DASHBOARD_LATENCIES: Final = define(
    "dashboard_latencies",
    key={**_RUN_FACET, "kind": "TEXT", "milliseconds": "INTEGER"},
    values={"runs": "INTEGER"},
)
"""How many runs took that long, so that the longest is known also when its run is gone."""

DASHBOARD_STOPS: Final = define(
    "dashboard_stops",
    key={"task_id": "TEXT", "sequence": "INTEGER"},
    values={**_RUN_FACET, "at": "INTEGER"},
    indexes={"at": "(at)"},
)
"""The runs that were taken from a session when they were canceled; the origin is the event's."""

_MILLISECOND: Final = 1_000
_Facet: TypeAlias = tuple[str, ...]
_FACETS: Final = len(_TASK_FACET)
_TASK_COLUMN: Final = {status: _FACETS + place for place, status in enumerate(TASK_STATUSES)}
_AWAITING: Final = _FACETS + len(TASK_STATUSES)
_DEPENDENCY_BLOCKED: Final = _AWAITING + 1
_NO_TASKS: Final = (0,) * (len(TASK_STATUSES) + 2)
_RUN_COLUMN: Final = {status: len(_RUN_FACET) + place for place, status in enumerate(RUN_STATUSES)}
_NO_RUNS: Final = (0,) * (len(RUN_STATUSES) + 4)
_SAMPLES: Final = ((CLAIM, -4, -3), (START, -2, -1))
"""Kind of a sample, and where a row counts and sums them."""


class DashboardProjector:
    """Keeps the counters and the active runs."""

    name = "dashboard"
    version = 3
    facts = TASK_FACTS
    apart = frozenset({TaskUpdated, TaskDeleted, RunForceStopped})
    tables = (
        DASHBOARD_TASKS,
        DASHBOARD_ACTIVITY,
        DASHBOARD_RUNS,
        DASHBOARD_ACTIVE,
        DASHBOARD_LATENCIES,
        DASHBOARD_STOPS,
    )

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        new = change.task
        if new is None:
            return
        old = change.before if isinstance(change.before, TaskState) else None
        facet = facet_of(new.task)
        if isinstance(change.recorded.fact, RunForceStopped):
            _note_stop(change.recorded, new, facet, rows)
        if old is not None and not new.task.deleted and facet == facet_of(old.task):
            _move(old, new, facet, rows)
            return
        if old is not None:
            _leave(old, rows)
            _move_stops(new, facet, rows)
        if not new.task.deleted:
            _enter(new, facet, rows)


def _note_stop(recorded: Recorded, state: TaskState, facet: _Facet, rows: Rows) -> None:
    channel = state.runs[recorded.run_id].network_channel
    key = (state.id, recorded.sequence)
    rows.put(DASHBOARD_STOPS, (*key, *facet, channel, recorded.origin.kind, recorded.occurred_at))


def _move_stops(state: TaskState, facet: _Facet, rows: Rows) -> None:
    """Let the stops of a task follow it into another facet, or go with it."""
    for row in rows.select_keys(DASHBOARD_STOPS, (state.id,)):
        if state.task.deleted:
            rows.delete(DASHBOARD_STOPS, row[:2])
        else:
            rows.put(DASHBOARD_STOPS, (*row[:2], *facet, *row[2 + _FACETS :]))


def facet_of(task: Task) -> _Facet:
    """Return what the dashboard filters a task on."""
    owner = task.owner
    return (
        task.workspace_id,
        owner.kind if owner else "",
        owner.ref if owner else "",
        task.network_channel,
        task.origin.kind,
    )


def _move(old: TaskState, new: TaskState, facet: _Facet, rows: Rows) -> None:
    """Count a task differently in the facet it stays in."""
    if not _alike(old.task, new.task):
        _count_task(facet, _places(old.task), _places(new.task), rows)
    if old.task.last_activity_at != new.task.last_activity_at:
        rows.delete(DASHBOARD_ACTIVITY, _activity(old.task, facet))
        rows.put(DASHBOARD_ACTIVITY, _activity(new.task, facet))
    if old.runs is new.runs:
        return
    for run_id, run in new.runs.items():
        known = old.runs.get(run_id)
        if known is not run:
            _move_run(known, run, facet, rows)


def _leave(state: TaskState, rows: Rows) -> None:
    facet = facet_of(state.task)
    _count_task(facet, _places(state.task), (), rows)
    rows.delete(DASHBOARD_ACTIVITY, _activity(state.task, facet))
    for run in state.runs.values():
        _move_run(run, None, facet, rows)


def _enter(state: TaskState, facet: _Facet, rows: Rows) -> None:
    _count_task(facet, (), _places(state.task), rows)
    rows.put(DASHBOARD_ACTIVITY, _activity(state.task, facet))
    for run in state.runs.values():
        _move_run(None, run, facet, rows)


def _activity(task: Task, facet: _Facet) -> Row:
    return (*facet, task.last_activity_at, task.id)


def _alike(before: Task, after: Task) -> bool:
    return (
        before.status == after.status
        and before.approval_state == after.approval_state
        and before.dependencies is after.dependencies
    )


def _places(task: Task) -> tuple[int, ...]:
    """Return the columns in which a task is counted."""
    places: tuple[int, ...] = (_TASK_COLUMN[task.status],)
    if task.status == "blocked":
        if task.approval_state == "pending":
            places += (_AWAITING,)
        if task.dependencies:
            places += (_DEPENDENCY_BLOCKED,)
    return places


def _count_task(facet: _Facet, before: tuple[int, ...], after: tuple[int, ...], rows: Rows) -> None:
    rows.alter(DASHBOARD_TASKS, facet, _with_task, facet, before, after)


def _with_task(
    row: Row | None,
    facet: _Facet,
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> Row | None:
    counts = list(row or (*facet, *_NO_TASKS))
    for place in before:
        counts[place] -= 1
    for place in after:
        counts[place] += 1
    return tuple(counts) if any(counts[_FACETS:]) else None


def _move_run(was: Run | None, now: Run | None, facet: _Facet, rows: Rows) -> None:
    """Take what a run added to a facet away, and add what it adds now."""
    run = now or was
    assert run is not None
    whole = (*facet, run.network_channel, run.origin.kind)
    if was is None or now is None or was.status != now.status or _samples(was) != _samples(now):
        _count_run(was, now, whole, rows)
    before, after = _active(was, whole), _active(now, whole)
    if before == after:
        return
    if before is not None:
        rows.delete(DASHBOARD_ACTIVE, before[: DASHBOARD_ACTIVE.key_columns])
    if after is not None:
        rows.put(DASHBOARD_ACTIVE, after)


def _count_run(was: Run | None, now: Run | None, facet: _Facet, rows: Rows) -> None:
    rows.alter(DASHBOARD_RUNS, facet, _with_run, facet, was, now)
    known, found = _samples(was), _samples(now)
    if known != found:
        for sample, before, after in zip(_SAMPLES, known, found, strict=True):
            if before != after:
                _move_latency((*facet, sample[0]), before, after, rows)


def _with_run(row: Row | None, facet: _Facet, was: Run | None, now: Run | None) -> Row | None:
    counts = list(row or (*facet, *_NO_RUNS))
    if was is not None:
        counts[_RUN_COLUMN[was.status]] -= 1
    if now is not None:
        counts[_RUN_COLUMN[now.status]] += 1
    known, found = _samples(was), _samples(now)
    if known != found:
        for sample, before, after in zip(_SAMPLES, known, found, strict=True):
            if before != after:
                _move_sample(sample, before, after, counts)
    kept = now is not None or any(counts[len(facet) :])
    return tuple(counts) if kept else None


def _samples(run: Run | None) -> tuple[int | None, int | None]:
    """Return how long a run waited for its claim, and its claim for the start."""
    if run is None or not (run.claimed_at or run.started_at):
        return None, None
    claim = max(run.claimed_at - run.queued_at, 0) if run.claimed_at else None
    began = run.claimed_at or run.queued_at
    return claim, max(run.started_at - began, 0) if run.started_at else None


def _move_sample(
    sample: tuple[str, int, int], before: int | None, after: int | None, counts: list[Any]
) -> None:
    _, number, total = sample
    for value, sign in ((before, -1), (after, +1)):
        if value is not None:
            counts[number] += sign
            counts[total] += sign * value


def _move_latency(key: Row, before: int | None, after: int | None, rows: Rows) -> None:
    for value, sign in ((before, -1), (after, +1)):
        if value is not None:
            latency = (*key, value // _MILLISECOND)
            rows.alter(DASHBOARD_LATENCIES, latency, _with_latency, latency, sign)


def _with_latency(row: Row | None, key: Row, sign: int) -> Row | None:
    runs = (row[-1] if row else 0) + sign
    return (*key, runs) if runs else None


def _active(run: Run | None, facet: _Facet) -> Row | None:
    """Return the row of an active run, None for any other."""
    rank = RANKS.get(run.status) if run is not None else None
    if run is None or rank is None:
        return None
    at = run.queued_at if rank == 1 else run.last_activity_at
    since = run.claimed_at or run.queued_at
    if run.status == "running":
        since = run.started_at or since
    return (*facet, rank, at, run.id, run.task_id, since, run.session_id)
