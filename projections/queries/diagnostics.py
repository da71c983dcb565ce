"""What is wrong with a run, and what to do next (task API, inspect)."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from domain.errors import Diagnostic
from domain.instants import SECOND
from domain.task.state import Run, Task
from domain.values import ACTIVE_CLAIM, TERMINAL_RUN, TERMINAL_TASK
from projections.wire.inspect import (
    InspectSession,
    NextAction,
    failure_kind,
    heartbeat_age,
    shortened,
    shortened_hash,
)
from projections.wire.times import date_time

STUCK_SECONDS: Final = 120
STRANDED_SECONDS: Final = 300

_DOCS: Final = "/runtime/core/autonomy/task-runs-and-leases#task-inspect-diagnostics"
_NEEDS_RECOVERY: Final = frozenset(
    {"task_run_stuck", "task_run_stale_lease", "task_run_orphan", "task_run_crashed"}
)
_Evidence = dict[str, str | int | bool]


class Observed(Struct, frozen=True, kw_only=True):
    """What diagnostics of one run depend on. `recent` are the newest runs of its task.

    It is `claimable` when nothing but the want of a session keeps it from being handed out.
    """

    run: Run
    recent: Sequence[Run]
    session: InspectSession | None
    scheduler_paused: bool
    claimable: bool
    eligible_sessions: int
    as_of: int

    @property
    def queued_age(self) -> int:
        """The whole seconds since the run last came into the queue."""
        return (self.as_of - max(self.run.queued_at, self.run.requeued_at)) // SECOND


def diagnostics(seen: Observed) -> tuple[Diagnostic, ...]:
    """Return everything that is wrong with a run."""
    checks = (_stuck, _stale_lease, _orphan, _crashed, _stranded)
    return tuple(found for check in checks for found in check(seen))


def next_action(task: Task, seen: Observed | None, found: Sequence[Diagnostic]) -> NextAction:
    """Return what a task or run waits for."""
    codes = {diagnostic.code for diagnostic in found}
    if codes & _NEEDS_RECOVERY:
        return "recovery_required"
    if seen is None:
        return "terminal" if task.status in TERMINAL_TASK else "waiting_for_session"
    if seen.run.status in TERMINAL_RUN:
        return "terminal"
    if seen.run.status in ACTIVE_CLAIM:
        return "running"
    if "task_run_stranded" in codes:
        return "stranded"
    available = seen.claimable and seen.eligible_sessions > 0
    return "claim_available" if available else "waiting_for_session"


def _stuck(seen: Observed) -> Iterator[Diagnostic]:
    age = heartbeat_age(seen.run, seen.as_of)
    if seen.run.status == "claimed" and age is not None and age > STUCK_SECONDS:
        yield _diagnostic(
            seen,
            ("task_run_stuck", "warn", "Task run stuck"),
            f"the claimed run gave no sign of life for {age} seconds",
            _release(seen.run, "stuck"),
            {"heartbeat_age_seconds": age, "threshold_seconds": STUCK_SECONDS},
        )


def _stale_lease(seen: Observed) -> Iterator[Diagnostic]:
    if seen.run.status == "claimed" and 0 < seen.run.lease_until < seen.as_of:
        yield _diagnostic(
            seen,
            ("task_run_stale_lease", "error", "Task run lease is stale"),
            f"the lease ran out at {date_time(seen.run.lease_until)}",
            _release(seen.run, "stale lease"),
        )


def _orphan(seen: Observed) -> Iterator[Diagnostic]:
    session = seen.session
    if seen.run.claim_token_hash and session is not None and session.state != "active":
        yield _diagnostic(
            seen,
            ("task_run_orphan", "error", "Task run orphaned"),
            f'the session "{session.session_id}" that held the run is {session.state}',
            _release(seen.run, "orphaned"),
            {
                "session_id": session.session_id,
                "session_state": session.state,
                "session_failure": "",
            },
        )


def _crashed(seen: Observed) -> Iterator[Diagnostic]:
    run = seen.run
    followed = any(
        other.attempt > run.attempt and other.status != "canceled" for other in seen.recent
    )
    if run.status == "failed" and not followed:
        yield _diagnostic(
            seen,
            ("task_run_crashed", "error", "Task run failed"),
            "the run failed and no later attempt follows",
            f"agh task run enqueue {run.task_id}",
            {"last_error_summary": shortened(run.error), "failure_kind": failure_kind(run)},
        )


def _stranded(seen: Observed) -> Iterator[Diagnostic]:
    waits = seen.run.status == "queued" and not seen.scheduler_paused
    if waits and not seen.eligible_sessions and seen.queued_age >= STRANDED_SECONDS:
        yield _diagnostic(
            seen,
            ("task_run_stranded", "warn", "Task run stranded"),
            f"the run waits for {seen.queued_age} seconds and no session could take it",
            "agh task next --wait",
            {
                "queued_age_seconds": seen.queued_age,
                "threshold_seconds": STRANDED_SECONDS,
                "eligible_session_count": seen.eligible_sessions,
                "scheduler_paused": seen.scheduler_paused,
            },
        )


def _release(run: Run, reason: str) -> str:
    return f'agh task release {run.id} --reason "{reason}"'


def _diagnostic(
    seen: Observed,
    kind: tuple[str, str, str],
    message: str,
    command: str,
    more: _Evidence | None = None,
) -> Diagnostic:
    code, severity, title = kind
    run = seen.run
    evidence: _Evidence = {
        "task_id": run.task_id,
        "run_id": run.id,
        "status": run.status,
        "attempt": run.attempt,
        "claim_token_hash_truncated": shortened_hash(run.claim_token_hash),
        "lease_until": date_time(run.lease_until),
        "heartbeat_at": date_time(run.heartbeat_at),
        "as_of": date_time(seen.as_of),
        **(more or {}),
    }
    return Diagnostic(
        id=f"task.inspect.{code}.{run.id}",
        code=code,
        severity=severity,
        category="task",
        title=title,
        message=message,
        suggested_command=command,
        doc_url=_DOCS,
        data_freshness="live",
        evidence=evidence,
    )
