"""What a look at one task or run tells (task API, inspect)."""

from typing import Literal

from msgspec import Struct

from domain.errors import Diagnostic
from domain.instants import SECOND
from domain.registry import SchedulerState, SessionState
from domain.task.state import Run as DomainRun
from domain.values import RunStatus
from projections.wire.tasks import TaskSummary
from projections.wire.times import DateTime, date_time, optional_time

InspectTarget = Literal["task", "run"]
NextAction = Literal[
    "recovery_required",
    "terminal",
    "waiting_for_session",
    "stranded",
    "claim_available",
    "running",
]

_HASH_SHOWN = 8
_ERROR_BYTES = 160


class InspectRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as it is looked at."""

    run_id: str
    task_id: str
    status: RunStatus
    claim_token_hash_truncated: str = ""
    lease_until: DateTime | None = None
    heartbeat_at: DateTime | None = None
    heartbeat_age_seconds: int | None = None
    retries: int = 0
    last_error_summary: str = ""
    failure_kind: str = ""
    bound_session_id: str = ""
    started_at: DateTime | None = None
    ended_at: DateTime | None = None
    previous_run_id: str = ""
    queued_at: DateTime
    attempt: int


class InspectSession(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The session a run is bound to; of an unknown one only that it is missing."""

    session_id: str
    state: str = ""
    agent_name: str = ""
    workspace_id: str = ""
    started_at: DateTime | None = None
    last_activity_at: DateTime | None = None


class InspectEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event in short."""

    id: str
    type: str
    session_id: str = ""
    task_id: str = ""
    run_id: str = ""
    outcome: str = ""
    summary: str = ""
    timestamp: DateTime


class InspectScheduler(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether claiming is stopped."""

    paused: bool
    paused_by: str = ""
    paused_at: DateTime | None = None
    reason: str = ""
    updated_at: DateTime | None = None


class Inspect(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task or run with what is wrong with it and what to do next."""

    target: InspectTarget
    task: TaskSummary
    current_run: InspectRun | None = None
    bound_session: InspectSession | None = None
    recent_runs: tuple[InspectRun, ...] = ()
    recent_events: tuple[InspectEvent, ...] = ()
    scheduler: InspectScheduler
    diagnostics: tuple[Diagnostic, ...] = ()
    next_action: NextAction
    as_of: DateTime


def shortened(text: str) -> str:
    """Return the beginning of an error text."""
    return text.strip().encode()[:_ERROR_BYTES].decode(errors="ignore").strip()


def shortened_hash(claim_token_hash: str) -> str:
    """Return enough of a hash to recognize it."""
    return claim_token_hash.removeprefix("sha256:")[:_HASH_SHOWN]


def failure_kind(run: DomainRun) -> str:
    """Return what kind of failure a run ended with, empty when it did not fail."""
    return run.failure_kind or ("error" if run.status == "failed" and run.error else "")


def heartbeat_age(run: DomainRun, as_of: int) -> int | None:
    """Return the whole seconds since a sign of life, or since the claim; None when unknown."""
    since = run.heartbeat_at or (run.claimed_at if run.status == "claimed" else 0)
    return (as_of - since) // SECOND if 0 < since <= as_of else None


def inspect_run(run: DomainRun, as_of: int) -> InspectRun:
    """Return a run as it is looked at."""
    return InspectRun(
        run_id=run.id,
        task_id=run.task_id,
        status=run.status,
        claim_token_hash_truncated=shortened_hash(run.claim_token_hash),
        lease_until=optional_time(run.lease_until),
        heartbeat_at=optional_time(run.heartbeat_at),
        heartbeat_age_seconds=heartbeat_age(run, as_of),
        retries=run.attempt - 1,
        last_error_summary=shortened(run.error),
        failure_kind=failure_kind(run),
        bound_session_id=run.session_id,
        started_at=optional_time(run.started_at),
        ended_at=optional_time(run.ended_at),
        previous_run_id=run.previous_run_id or run.reviewed_run_id,
        queued_at=date_time(run.queued_at),
        attempt=run.attempt,
    )


def inspect_session(session_id: str, session: SessionState | None) -> InspectSession:
    """Return the session of a run, None standing for an unknown one."""
    if session is None:
        return InspectSession(session_id=session_id, state="missing")
    return InspectSession(
        session_id=session_id,
        state=session.state,
        agent_name=session.agent_name,
        workspace_id=session.workspace_id,
        started_at=optional_time(session.created_at),
        last_activity_at=optional_time(session.updated_at),
    )


def inspect_scheduler(scheduler: SchedulerState) -> InspectScheduler:
    """Return whether claiming is stopped."""
    return InspectScheduler(
        paused=scheduler.paused,
        paused_by=scheduler.paused_by,
        paused_at=optional_time(scheduler.paused_at),
        reason=scheduler.paused_reason,
        updated_at=optional_time(scheduler.paused_at),
    )
