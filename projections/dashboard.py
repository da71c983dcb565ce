"""What the dashboard is answered from: counters by facet, and the active runs.

A facet is one combination of what the dashboard filters on. Counting is by facet, so that an answer
costs what facets there are, however many tasks and runs are behind them.
"""

from operator import add
from typing import Final, NamedTuple, TypeAlias

from domain.task.state import Run, Task, TaskState
from domain.world import Change
from projections.rows import Row, Rows, Table
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
        "last_activity_at": "INTEGER",
    },
)
"""`last_activity_at` is the latest one of the tasks that are or were in the facet; the row goes
with the last of them."""

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

_MILLISECOND: Final = 1_000
_Facet: TypeAlias = tuple[str, ...]
_Counts: TypeAlias = tuple[int, ...]
_TASK_COLUMN: Final = {status: place for place, status in enumerate(TASK_STATUSES)}
_RUN_COLUMN: Final = {status: place for place, status in enumerate(RUN_STATUSES)}


_NOTHING: Final[_Counts] = ()


class _Counted(NamedTuple):
    """What one run adds to its facet, and its row among the active ones."""

    facet: _Facet
    counts: _Counts
    latencies: tuple[tuple[str, int], ...]
    active: Row | None


class DashboardProjector:
    """Keeps the counters and the active runs."""

    name = "dashboard"
    version = 1
    tables = (DASHBOARD_TASKS, DASHBOARD_RUNS, DASHBOARD_ACTIVE, DASHBOARD_LATENCIES)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        new = change.task
        if new is None:
            return
        old = change.before if isinstance(change.before, TaskState) else None
        before = facet_of(old.task) if old is not None and not old.task.deleted else None
        after = facet_of(new.task) if not new.task.deleted else None
        _move_task(old, new, before, after, rows)
        known = old.runs if old is not None else {}
        if before == after and known is new.runs:
            return
        for run_id in known.keys() | new.runs.keys():
            was, now = known.get(run_id), new.runs.get(run_id)
            if before != after or not _same(was, now):
                _move_run(_counted(was, before), _counted(now, after), rows)


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


def _move_task(
    old: TaskState | None,
    new: TaskState,
    before: _Facet | None,
    after: _Facet | None,
    rows: Rows,
) -> None:
    """Take what the task added before away, and add what it adds now."""
    more = _NOTHING
    if old is not None and before is not None and (before != after or _differ(old.task, new.task)):
        more = tuple(-count for count in _task_counts(old.task))
        if before != after:
            _add_tasks(before, more, 0, rows)
    if after is None:
        return
    if before != after:
        more = _task_counts(new.task)
    elif more is not _NOTHING:
        more = tuple(map(add, more, _task_counts(new.task)))
    _add_tasks(after, more, new.task.last_activity_at, rows)


def _differ(before: Task, after: Task) -> bool:
    return (
        before.status != after.status
        or before.approval_state != after.approval_state
        or before.dependencies != after.dependencies
    )


def _task_counts(task: Task) -> _Counts:
    counts = [0] * (len(TASK_STATUSES) + 2)
    counts[_TASK_COLUMN[task.status]] = 1
    if task.status == "blocked":
        counts[-2] = int(task.approval_state == "pending")
        counts[-1] = int(bool(task.dependencies))
    return tuple(counts)


def _same(was: Run | None, now: Run | None) -> bool:
    """Whether nothing changed that is counted, as with a heartbeat."""
    return was is now or (
        was is not None
        and now is not None
        and was.status == now.status
        and was.claimed_at == now.claimed_at
        and was.started_at == now.started_at
        and was.session_id == now.session_id
    )


def _counted(run: Run | None, facet: _Facet | None) -> _Counted | None:
    if run is None or facet is None:
        return None
    whole = (*facet, run.network_channel, run.origin.kind)
    claim = max(run.claimed_at - run.queued_at, 0) if run.claimed_at else None
    began = run.claimed_at or run.queued_at
    start = max(run.started_at - began, 0) if run.started_at else None
    statuses = [0] * len(RUN_STATUSES)
    statuses[_RUN_COLUMN[run.status]] = 1
    samples = (int(claim is not None), claim or 0, int(start is not None), start or 0)
    latencies = tuple(
        (kind, value // _MILLISECOND)
        for kind, value in ((CLAIM, claim), (START, start))
        if value is not None
    )
    return _Counted(whole, (*statuses, *samples), latencies, _active(run, whole))


def _active(run: Run, facet: _Facet) -> Row | None:
    rank = RANKS.get(run.status)
    if rank is None:
        return None
    at = run.queued_at if run.status == "queued" else run.last_activity_at
    since = run.claimed_at or run.queued_at
    if run.status == "running":
        since = run.started_at or since
    return (*facet, rank, at, run.id, run.task_id, since, run.session_id)


def _move_run(was: _Counted | None, now: _Counted | None, rows: Rows) -> None:
    """Take what a run added before away, and add what it adds now."""
    for counted, sign in ((was, -1), (now, +1)):
        if counted is None:
            continue
        _add(DASHBOARD_RUNS, counted.facet, tuple(sign * c for c in counted.counts), rows)
        for latency in counted.latencies:
            _add(DASHBOARD_LATENCIES, (*counted.facet, *latency), (sign,), rows)
        if counted.active is None:
            continue
        if sign > 0:
            rows.put(DASHBOARD_ACTIVE, counted.active)
        else:
            rows.delete(DASHBOARD_ACTIVE, counted.active[: DASHBOARD_ACTIVE.key_columns])


def _add(table: Table, key: Row, more: _Counts, rows: Rows) -> None:
    """Add to the counters of a row; a row that counts nothing is removed."""
    found = rows.get(table, key)
    counts = tuple(map(add, found[len(key) :], more)) if found else more
    if any(counts):
        rows.put(table, (*key, *counts))
    else:
        rows.delete(table, key)


def _add_tasks(facet: _Facet, more: _Counts, activity: int, rows: Rows) -> None:
    found = rows.get(DASHBOARD_TASKS, facet)
    if found:
        activity = max(activity, found[-1])
        if more is not _NOTHING:
            more = tuple(map(add, found[len(facet) : -1], more))
        else:
            more = found[len(facet) : -1]
    if any(more):
        rows.put(DASHBOARD_TASKS, (*facet, *more, activity))
    else:
        rows.delete(DASHBOARD_TASKS, facet)
