"""The dashboard, from counters and the active runs (task API, dashboard)."""

from collections.abc import Mapping
from heapq import nlargest
from typing import Final

from msgspec import Struct

from domain.instants import SECOND
from domain.task.state import Run, Task
from projections.dashboard import (
    CLAIM,
    DASHBOARD_RUNS,
    DASHBOARD_TASKS,
    RANKS,
    RUN_STATUSES,
    START,
    TASK_STATUSES,
)
from projections.queries.batches import runs_by_id, task_rows
from projections.rows import Reader, Row
from projections.wire import dashboard as w
from projections.wire.times import date_time

SHOWN: Final = 4
_MILLISECOND: Final = 1_000
_NEVER: Final = -1
_BREAKDOWN: Final = (
    "completed",
    "pending",
    "in_progress",
    "ready",
    "blocked",
    "failed",
    "canceled",
    "draft",
)
_FACET: Final = DASHBOARD_RUNS.columns[: DASHBOARD_RUNS.key_columns]
_LATEST: Final = (
    "MAX((SELECT MAX(other.at) FROM dashboard_activity AS other WHERE "
    + " AND ".join(
        f"other.{name} = facet.{name}"
        for name in DASHBOARD_TASKS.columns[: DASHBOARD_TASKS.key_columns]
    )
    + "))"
)
"""Every facet of tasks has one, at the end of its part of the table."""

_SAME_FACET: Final = " AND ".join(f"other.{name} = facet.{name}" for name in _FACET)
_TASK_COUNTS: Final = (*TASK_STATUSES, "awaiting_approval", "dependency_blocked")
_RUN_COUNTS: Final = (*RUN_STATUSES, "claims", "claim_time", "starts", "start_time")


class Thresholds(Struct, frozen=True, kw_only=True):
    """When something is worth a look, in microseconds; 0 or less means never."""

    backlog: int = 600 * SECOND
    claimed: int = 300 * SECOND
    starting: int = 300 * SECOND
    running: int = 1_800 * SECOND
    stale: int = 120 * SECOND


class DashboardFilters(Struct, frozen=True, kw_only=True):
    """What the dashboard is about; an empty text admits all."""

    scope: str = ""
    workspace_id: str = ""
    owner_kind: str = ""
    owner_ref: str = ""
    network_channel: str = ""
    origin_kind: str = ""


_SCOPE: Final = {
    "": "1 = 1",
    "global": "facet.workspace_id = ''",
    "workspace": "facet.workspace_id <> ''",
}
_EVERYTHING: Final = DashboardFilters()
_USUAL: Final = Thresholds()


class _Counters(dict[str, int]):
    """Counters by column name."""

    @property
    def active(self) -> int:
        """How many runs are active."""
        return sum(self[status] for status in RANKS)


class _Facets:
    """The part of the read model that passes a filter."""

    def __init__(self, reader: Reader, filters: DashboardFilters) -> None:
        self._reader = reader
        names = ("workspace_id", "owner_kind", "owner_ref", "network_channel", "origin_kind")
        of_tasks = {name: getattr(filters, name) for name in names}
        again = {"run_channel": filters.network_channel, "run_origin_kind": filters.origin_kind}
        self._of_tasks = {name: value for name, value in of_tasks.items() if value}
        self._of_runs = self._of_tasks | {name: value for name, value in again.items() if value}
        self._scope = _SCOPE[filters.scope]

    def tasks(self, columns: str) -> list[Row]:
        """Return what the facets of tasks give."""
        source = f"{columns} FROM dashboard_tasks AS facet"
        return self._select(source, (), self._of_tasks)

    def runs(self, columns: str, more: str = "", parameters: Row = (), rest: str = "") -> list[Row]:
        """Return what the facets of runs give; `parameters` are those of the columns.

        `more` is joined to the facets, `rest` comes behind the conditions of the filter.
        """
        source = f"{columns} FROM dashboard_runs AS facet{more}"
        return self._select(source, parameters, self._of_runs, rest)

    def stops(self, since: int) -> int:
        """Return how many runs were taken from a session since then."""
        lately = "(SELECT * FROM dashboard_stops WHERE at >= ?)"
        found = self._select(f"COUNT(*) FROM {lately} AS facet", (since,), self._of_runs)
        return int(found[0][0])

    def _select(
        self, source: str, parameters: Row, equal: Mapping[str, str], rest: str = ""
    ) -> list[Row]:
        wanted = "".join(f" AND facet.{name} = ?" for name in equal)
        return self._reader.select(
            f"SELECT {source} WHERE {self._scope}{wanted}{rest}", (*parameters, *equal.values())
        )


def dashboard(
    reader: Reader,
    now: int,
    filters: DashboardFilters = _EVERYTHING,
    thresholds: Thresholds = _USUAL,
    started_at: int = 0,
) -> w.Dashboard:
    """Return the dashboard as of `now`; what it costs depends on facets and claimed runs alone.

    Runs that were taken from their sessions count from `started_at` on.
    """
    facets = _Facets(reader, filters)
    *sums, latest = facets.tasks(f"{_sums(_TASK_COUNTS)}, {_LATEST}")[0]
    tasks = _counters(_TASK_COUNTS, sums)
    longest = f"MAX({_longest(CLAIM)}), MAX({_longest(START)})"
    *sums, claim, start = facets.runs(f"{_sums(_RUN_COUNTS)}, {longest}")[0]
    runs = _counters(_RUN_COUNTS, sums)
    queue = _queue(facets, now, thresholds.backlog)
    health = _health(facets, now, thresholds, backlog=queue.backlog_warning)
    return w.Dashboard(
        totals=_totals(tasks, runs),
        cards=_cards(
            tasks, runs, facets.stops(started_at), health.status, (claim or 0, start or 0)
        ),
        status_breakdown=_breakdown(tasks),
        queue=queue,
        health=health,
        active_runs=_active_runs(runs, _items(reader, facets, now, thresholds)),
        freshness=_freshness(latest or 0, now, thresholds.stale, live=runs.active > 0),
    )


def _active_runs(runs: _Counters, items: tuple[w.DashboardActiveRun, ...]) -> w.DashboardActiveRuns:
    counts = {status: runs[status] for status in RANKS}
    return w.DashboardActiveRuns(total=runs.active, items=items, **counts)


def _sums(columns: tuple[str, ...]) -> str:
    return ", ".join(f"SUM(facet.{column})" for column in columns)


def _counters(columns: tuple[str, ...], sums: list[int | None]) -> _Counters:
    return _Counters((name, value or 0) for name, value in zip(columns, sums, strict=True))


def _longest(kind: str) -> str:
    return (
        "(SELECT MAX(other.milliseconds) FROM dashboard_latencies AS other"
        f" WHERE {_SAME_FACET} AND other.kind = '{kind}')"
    )


def _totals(tasks: _Counters, runs: _Counters) -> w.DashboardTotals:
    return w.DashboardTotals(
        tasks_total=_tasks_total(tasks),
        runs_total=sum(runs[status] for status in RUN_STATUSES),
        awaiting_approval_tasks=tasks["awaiting_approval"],
        dependency_blocked_tasks=tasks["dependency_blocked"],
        active_runs=runs.active,
        **{f"{status}_tasks": tasks[status] for status in TASK_STATUSES},
        **{f"{status}_runs": runs[status] for status in RUN_STATUSES},
    )


def _tasks_total(tasks: _Counters) -> int:
    return sum(tasks[status] for status in TASK_STATUSES)


def _word(*, warn: bool) -> str:
    return "warn" if warn else "ok"


def _cards(
    tasks: _Counters, runs: _Counters, stops: int, health: str, longest: tuple[int, int]
) -> w.DashboardCards:
    failed = tasks["failed"] + runs["failed"] + stops
    return w.DashboardCards(
        in_progress=w.DashboardInProgressCard(
            tasks=tasks["in_progress"],
            active_runs=runs.active,
            health_status=health,
            **{f"{status}_runs": runs[status] for status in RANKS},
        ),
        blocked=w.DashboardBlockedCard(
            tasks=tasks["blocked"],
            awaiting_approval=tasks["awaiting_approval"],
            awaiting_dependencies=tasks["dependency_blocked"],
            needs_attention=runs["needs_attention"],
            health_status=_word(warn=tasks["blocked"] > 0),
        ),
        failed=w.DashboardFailedCard(
            tasks=tasks["failed"],
            failed_runs=runs["failed"],
            forced_stops=stops,
            health_status=_word(warn=failed > 0),
        ),
        latency=w.DashboardLatencyCard(
            claim_latency_ms=_latency(runs["claims"], runs["claim_time"], longest[0]),
            start_latency_ms=_latency(runs["starts"], runs["start_time"], longest[1]),
        ),
    )


def _latency(samples: int, total: int, longest: int) -> w.LatencyMetric:
    average = total // samples // _MILLISECOND if samples else 0
    return w.LatencyMetric(samples=samples, average_ms=average, maximum_ms=longest)


def _breakdown(tasks: _Counters) -> tuple[w.DashboardStatusBucket, ...]:
    total = _tasks_total(tasks)
    return tuple(
        # Halves are rounded up, in whole numbers.
        w.DashboardStatusBucket(
            status=status,
            count=tasks[status],
            share_percent=(200 * tasks[status] + total) // (2 * total),
        )
        for status in _BREAKDOWN
        if tasks[status]
    )


def _queue(facets: _Facets, now: int, threshold: int) -> w.DashboardQueue:
    oldest_of_facet = (
        "(SELECT MIN(other.at) FROM dashboard_active AS other"
        f" WHERE {_SAME_FACET} AND other.rank = {RANKS['queued']})"
    )
    rows = facets.runs(
        f"facet.run_channel, SUM(facet.queued), MIN({oldest_of_facet})",
        rest=" AND facet.queued > 0 GROUP BY facet.run_channel ORDER BY facet.run_channel",
    )
    oldest = min((row[2] for row in rows), default=0)
    age = _age(oldest, now)
    warning = bool(rows) and 0 < threshold <= now - oldest
    return w.DashboardQueue(
        total=sum(row[1] for row in rows),
        depth=tuple(_depth(row, now) for row in rows),
        oldest_queued_at=date_time(oldest),
        oldest_queue_age_ms=age,
        backlog_threshold_ms=threshold // _MILLISECOND,
        backlog_warning=warning,
        backlog_status=_word(warn=warning),
    )


def _depth(row: Row, now: int) -> w.DashboardQueueDepth:
    channel, count, oldest = row
    return w.DashboardQueueDepth(
        network_channel=channel,
        count=count,
        oldest_queued_at=date_time(oldest),
        oldest_queue_age_ms=_age(oldest, now),
    )


def _age(since: int, now: int) -> int:
    return max(now - since, 0) // _MILLISECOND if since else 0


def _latest_stuck(now: int, thresholds: Thresholds) -> tuple[int, int, int]:
    """Return since when a claimed, starting and running run must be so to count as stuck."""
    limits = (thresholds.claimed, thresholds.starting, thresholds.running)
    claimed, starting, running = (now - limit if limit > 0 else _NEVER for limit in limits)
    return claimed, starting, running


def _health(
    facets: _Facets, now: int, thresholds: Thresholds, *, backlog: bool
) -> w.DashboardHealth:
    stuck, orphans = facets.runs(
        "COUNT(CASE WHEN other.since <= CASE other.rank WHEN 2 THEN ? WHEN 3 THEN ? ELSE ? END"
        " THEN 1 END), COUNT(CASE WHEN other.rank > 2 AND NOT EXISTS (SELECT 1 FROM sessions"
        " WHERE sessions.session_id = other.session_id AND sessions.state = 'active')"
        " THEN 1 END)",
        parameters=_latest_stuck(now, thresholds),
        # A cross join: few facets have work, and only their claimed runs are looked at.
        more=f" CROSS JOIN dashboard_active AS other ON {_SAME_FACET} AND other.rank > 1",
        rest=" AND facet.claimed + facet.starting + facet.running > 0",
    )[0]
    return w.DashboardHealth(
        status=_word(warn=stuck > 0 or orphans > 0 or backlog),
        stuck_runs=stuck,
        active_orphan_runs=orphans,
        queue_backlog=backlog,
    )


def _items(
    reader: Reader, facets: _Facets, now: int, thresholds: Thresholds
) -> tuple[w.DashboardActiveRun, ...]:
    """Return the active runs that are furthest, then those with the latest activity."""
    busy = facets.runs(
        ", ".join(f"facet.{name}" for name in _FACET),
        rest=" AND facet.queued + facet.claimed + facet.starting + facet.running > 0",
    )
    wanted = " AND ".join(f"{name} = ?" for name in _FACET)
    statement = (
        f"SELECT rank, at, run_id, task_id, since FROM dashboard_active WHERE {wanted}"
        f" ORDER BY rank DESC, at DESC, run_id DESC LIMIT {SHOWN}"
    )
    first = nlargest(SHOWN, (row for facet in busy for row in reader.select(statement, facet)))
    runs = runs_by_id(reader, (row[2] for row in first))
    tasks = task_rows(reader, {row[3] for row in first})
    bounds = dict(zip((2, 3, 4), _latest_stuck(now, thresholds), strict=True))
    return tuple(
        _item(tasks[task_id].task, runs[run_id], now, stuck=since <= bounds.get(rank, _NEVER))
        for rank, _, run_id, task_id, since in first
        # A read model that was detached after a fault may be behind the others.
        if run_id in runs and task_id in tasks
    )


def _item(task: Task, run: Run, now: int, *, stuck: bool) -> w.DashboardActiveRun:
    began = {"running": run.started_at, "starting": run.claimed_at, "claimed": run.claimed_at}
    return w.DashboardActiveRun(
        task_id=task.id,
        task_identifier=task.identifier,
        task_title=task.title,
        task_status=task.status,
        task_priority=task.priority,
        task_owner=task.owner,
        scope=task.scope,
        workspace_id=task.workspace_id,
        latest_event_seq=task.latest_event_seq,
        run_id=run.id,
        run_status=run.status,
        attempt=run.attempt,
        max_attempts=task.max_attempts,
        session_id=run.session_id,
        network_channel=run.network_channel,
        last_activity_at=date_time(run.last_activity_at),
        age_ms=_age(began.get(run.status) or run.queued_at, now),
        health_status=_word(warn=stuck),
        stuck=stuck,
        error=run.error,
    )


def _freshness(latest: int, now: int, stale_after: int, *, live: bool) -> w.DashboardFreshness:
    stale = bool(latest) and live and 0 < stale_after < now - latest
    return w.DashboardFreshness(
        observed_at=date_time(now),
        latest_activity_at=date_time(latest),
        age_ms=_age(latest, now),
        stale_after_ms=stale_after // _MILLISECOND,
        has_live_work=live,
        status="stale" if stale else "current" if latest else "empty",
        stale=stale,
    )
