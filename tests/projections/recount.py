"""The dashboard counted afresh from folded states, straight from its definition."""

from typing import Any

from domain import events as e
from domain.instants import SECOND, rfc3339
from domain.registry import SessionState
from domain.task.state import Run, Task, TaskState
from projections.queries.dashboard import DashboardFilters, Thresholds
from tests.projections.support import Ledger

TASK_ORDER = (
    "completed",
    "pending",
    "in_progress",
    "ready",
    "blocked",
    "failed",
    "canceled",
    "draft",
)
RUN_ORDER = (
    "queued",
    "claimed",
    "starting",
    "running",
    "completed",
    "failed",
    "canceled",
    "needs_attention",
)
ACTIVE = RUN_ORDER[:4]
LIMITS = Thresholds(
    backlog=20 * SECOND,
    claimed=5 * SECOND,
    starting=3 * SECOND,
    running=0,
    stale=2 * SECOND,
)


def passes(task: Task, f: DashboardFilters) -> bool:
    owner = task.owner
    return (
        f.scope in {"", task.scope}
        and f.workspace_id in {"", task.workspace_id}
        and (not f.owner_kind or (owner is not None and owner.kind == f.owner_kind))
        and (not f.owner_ref or (owner is not None and owner.ref == f.owner_ref))
        and f.network_channel in {"", task.network_channel}
        and f.origin_kind in {"", task.origin.kind}
    )


class Recount:
    """Everything that passes the filters, one by one."""

    def __init__(self, ledger: Ledger, filters: DashboardFilters) -> None:
        self.now, self.history, self.filters = ledger.now, ledger.history, filters
        states = [s for s in ledger.states.values() if isinstance(s, TaskState)]
        self.states = states
        found = [s for s in states if not s.task.deleted and passes(s.task, filters)]
        self.tasks = {s.id: s.task for s in found}
        self.runs = [
            run
            for state in found
            for run in state.runs.values()
            if filters.network_channel in {"", run.network_channel}
            and filters.origin_kind in {"", run.origin.kind}
        ]
        sessions = [s for s in ledger.states.values() if isinstance(s, SessionState)]
        self.live = {session.id for session in sessions if session.state == "active"}
        self.active = [run for run in self.runs if run.status in ACTIVE]
        self.queued = [run for run in self.runs if run.status == "queued"]

    def totals(self) -> dict[str, int]:
        blocked = [task for task in self.tasks.values() if task.status == "blocked"]
        tasks = list(self.tasks.values())
        return {
            "tasks_total": len(tasks),
            "runs_total": len(self.runs),
            **{f"{s}_tasks": sum(task.status == s for task in tasks) for s in TASK_ORDER},
            **{f"{s}_runs": sum(run.status == s for run in self.runs) for s in RUN_ORDER},
            "awaiting_approval_tasks": sum(t.approval_state == "pending" for t in blocked),
            "dependency_blocked_tasks": sum(bool(task.dependencies) for task in blocked),
            "active_runs": len(self.active),
        }

    def latency(self) -> dict[str, dict[str, int]]:
        claims = [max(0, r.claimed_at - r.queued_at) for r in self.runs if r.claimed_at]
        starts = [
            max(0, r.started_at - (r.claimed_at or r.queued_at)) for r in self.runs if r.started_at
        ]
        return {"claim_latency_ms": _metric(claims), "start_latency_ms": _metric(starts)}

    def age(self, since: int) -> int:
        return max(0, self.now - since) // 1000

    def stuck(self, run: Run) -> bool:
        limit = {"claimed": LIMITS.claimed, "starting": LIMITS.starting, "running": LIMITS.running}
        base = run.claimed_at or run.queued_at
        if run.status == "running" and run.started_at:
            base = run.started_at
        bound = limit.get(run.status, 0)
        return bound > 0 and self.now - base >= bound

    def orphans(self) -> int:
        bound = [run for run in self.runs if run.status in {"starting", "running"}]
        return sum(run.session_id not in self.live for run in bound)

    def queue(self) -> dict[str, Any]:
        depth = []
        for channel in sorted({run.network_channel for run in self.queued}):
            waiting = [r.queued_at for r in self.queued if r.network_channel == channel]
            named = {"network_channel": channel} if channel else {}
            depth.append({**named, "count": len(waiting), **self._oldest(waiting)})
        oldest = self._oldest([run.queued_at for run in self.queued])
        warning = bool(self.queued) and oldest["oldest_queue_age_ms"] * 1000 >= LIMITS.backlog
        return {
            "total": len(self.queued),
            **({"depth": depth} if depth else {}),
            **oldest,
            "backlog_threshold_ms": LIMITS.backlog // 1000,
            "backlog_warning": warning,
            "backlog_status": "warn" if warning else "ok",
        }

    def _oldest(self, times: list[int]) -> dict[str, Any]:
        oldest = min(times, default=0)
        age = self.age(oldest) if oldest else 0
        return {"oldest_queued_at": rfc3339(oldest), "oldest_queue_age_ms": age}

    def health(self) -> dict[str, Any]:
        stuck, backlog = sum(map(self.stuck, self.runs)), self.queue()["backlog_warning"]
        warn = stuck or self.orphans() or backlog
        return {
            "status": "warn" if warn else "ok",
            "stuck_runs": stuck,
            "active_orphan_runs": self.orphans(),
            "queue_backlog": backlog,
        }

    def stops(self, since: int) -> int:
        """Return how many runs were taken from a session since then."""
        runs = {run.id: run for state in self.states for run in state.runs.values()}
        f = self.filters
        return sum(
            isinstance(past.fact, e.RunForceStopped)
            and past.task_id in self.tasks
            and past.occurred_at >= since
            and f.origin_kind in {"", past.origin.kind}
            and f.network_channel in {"", runs[past.run_id].network_channel}
            for past in self.history
        )

    def shown(self) -> list[tuple[Any, ...]]:
        """Return id, age and stuckness of the active runs that are shown."""

        def place(run: Run) -> tuple[int, int, str]:
            return ACTIVE.index(run.status), run.last_activity_at, run.id

        first = sorted(self.active, key=place, reverse=True)[:4]
        return [(run.id, self._run_age(run), self.stuck(run)) for run in first]

    def _run_age(self, run: Run) -> int:
        since = {"running": run.started_at, "queued": 0}.get(run.status, run.claimed_at)
        return self.age(since or run.queued_at)

    def breakdown(self) -> list[dict[str, Any]]:
        statuses = [task.status for task in self.tasks.values()]
        return [
            {
                "status": status,
                "count": statuses.count(status),
                "share_percent": int(statuses.count(status) * 100 / len(statuses) + 0.5),
            }
            for status in TASK_ORDER
            if status in statuses
        ]

    def latest(self) -> int:
        return max((task.last_activity_at for task in self.tasks.values()), default=0)


def _metric(samples: list[int]) -> dict[str, int]:
    return {
        "samples": len(samples),
        "average_ms": sum(samples) // max(len(samples), 1) // 1000,
        "maximum_ms": max(samples, default=0) // 1000,
    }
