"""A run as clients see it: whole, in short, as a lease, and its coordination channel."""

from typing import Final, Literal, TypeAlias

from msgspec import UNSET, Struct
from msgspec.structs import replace

from domain.registry import SessionState
from domain.task.state import Run as DomainRun
from domain.task.state import Task as DomainTask
from domain.values import Actor, Origin, RunStatus
from projections.wire.json import OptionalJson, optional_json, without_secrets
from projections.wire.times import DateTime, date_time, optional_time

CoordinationMessageKind = Literal[
    "status", "request", "reply", "blocker", "handoff", "result", "review_request"
]

_MESSAGE_KINDS: Final[tuple[CoordinationMessageKind, ...]] = (
    "status",
    "request",
    "reply",
    "blocker",
    "handoff",
    "result",
    "review_request",
)
_CHANNEL_PURPOSE: Final = "task_run_coordination"


class CoordinationChannel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where those who work on a run talk to each other."""

    id: str
    channel: str = ""
    display_name: str
    purpose: str = ""
    workspace_id: str = ""
    task_id: str = ""
    run_id: str = ""
    workflow_id: str = ""
    allowed_message_kinds: tuple[CoordinationMessageKind, ...]
    last_activity_at: DateTime | None = None


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole run."""

    id: str
    task_id: str
    status: RunStatus
    attempt: int
    previous_run_id: str = ""
    failure_kind: str = ""
    claimed_by: Actor | None = None
    session_id: str = ""
    origin: Origin
    idempotency_key: str = ""
    network_channel: str = ""
    claim_token_hash: str = ""
    lease_until: DateTime | None = None
    heartbeat_at: DateTime | None = None
    coordination_channel_id: str = ""
    coordination_channel: CoordinationChannel | None = None
    queued_at: DateTime
    claimed_at: DateTime | None = None
    started_at: DateTime | None = None
    ended_at: DateTime | None = None
    error: str = ""
    metadata: OptionalJson = UNSET
    result: OptionalJson = UNSET


class RunSummary(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A run in short, with the limit of its task."""

    id: str
    task_id: str
    status: RunStatus
    attempt: int
    previous_run_id: str = ""
    failure_kind: str = ""
    max_attempts: int
    session_id: str = ""
    claimed_by: Actor | None = None
    claim_token_hash: str = ""
    lease_until: DateTime | None = None
    heartbeat_at: DateTime | None = None
    coordination_channel_id: str = ""
    coordination_channel: CoordinationChannel | None = None
    queued_at: DateTime
    claimed_at: DateTime | None = None
    started_at: DateTime | None = None
    ended_at: DateTime | None = None
    error: str = ""


class RunLease(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the holder of a run is told about its lease."""

    task_id: str
    run_id: str
    status: RunStatus
    session_id: str = ""
    claimed_by: Actor | None = None
    claim_token_hash: str = ""
    lease_until: DateTime | None = None
    heartbeat_at: DateTime | None = None
    coordination_channel_id: str = ""
    coordination_channel: CoordinationChannel | None = None


class RunSession(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The agent session a run is bound to; of an unknown one only the id is told."""

    session_id: str
    workspace_id: str = ""
    agent_name: str = ""
    name: str = ""
    channel: str = ""
    state: str = ""
    created_at: DateTime
    updated_at: DateTime


class RunOperationalSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about the work of a run; figures nobody reported are left out."""

    last_activity_at: DateTime
    last_event_type: str = ""
    tool_call_count: int | None = None
    turn_count: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    total_cost: float | None = None
    cost_currency: str | None = None


RunView: TypeAlias = Run


def coordination_channel(run: DomainRun, task: DomainTask) -> CoordinationChannel | None:
    """Return the channel of a run, None when it has none."""
    channel = run.coordination_channel_id
    if not channel:
        return None
    return CoordinationChannel(
        id=channel,
        channel=channel,
        display_name=channel,
        purpose=_CHANNEL_PURPOSE,
        workspace_id=task.workspace_id,
        task_id=task.id,
        run_id=run.id,
        allowed_message_kinds=_MESSAGE_KINDS,
    )


def run_view(run: DomainRun, channel: CoordinationChannel | None = None) -> Run:
    """Return the whole run; only a claim tells the channel itself."""
    return Run(
        id=run.id,
        task_id=run.task_id,
        status=run.status,
        attempt=run.attempt,
        previous_run_id=run.previous_run_id,
        failure_kind=run.failure_kind,
        claimed_by=run.claimed_by,
        session_id=run.session_id,
        origin=run.origin,
        idempotency_key=run.idempotency_key,
        network_channel=run.network_channel,
        claim_token_hash=run.claim_token_hash,
        lease_until=optional_time(run.lease_until),
        heartbeat_at=optional_time(run.heartbeat_at),
        coordination_channel_id=run.coordination_channel_id,
        coordination_channel=channel,
        queued_at=date_time(run.queued_at),
        claimed_at=optional_time(run.claimed_at),
        started_at=optional_time(run.started_at),
        ended_at=optional_time(run.ended_at),
        error=run.error,
        metadata=optional_json(without_secrets(run.metadata)),
        result=optional_json(without_secrets(run.result)),
    )


def run_summary(run: DomainRun, max_attempts: int) -> RunSummary:
    """Return the run in short."""
    # Every event has one, and a call with more than 15 keywords takes Python far longer.
    summary = RunSummary(
        id=run.id,
        task_id=run.task_id,
        status=run.status,
        attempt=run.attempt,
        max_attempts=max_attempts,
        session_id=run.session_id,
        claimed_by=run.claimed_by,
        claim_token_hash=run.claim_token_hash,
        lease_until=date_time(run.lease_until) if run.lease_until else None,
        heartbeat_at=date_time(run.heartbeat_at) if run.heartbeat_at else None,
        coordination_channel_id=run.coordination_channel_id,
        queued_at=date_time(run.queued_at),
        claimed_at=date_time(run.claimed_at) if run.claimed_at else None,
        started_at=date_time(run.started_at) if run.started_at else None,
        ended_at=date_time(run.ended_at) if run.ended_at else None,
    )
    if run.error or run.failure_kind or run.previous_run_id:
        return replace(
            summary,
            previous_run_id=run.previous_run_id,
            failure_kind=run.failure_kind,
            error=run.error,
        )
    return summary


def run_lease(run: DomainRun, channel: CoordinationChannel | None = None) -> RunLease:
    """Return what the holder is told; only a claim tells the channel itself."""
    return RunLease(
        task_id=run.task_id,
        run_id=run.id,
        status=run.status,
        session_id=run.session_id,
        claimed_by=run.claimed_by,
        claim_token_hash=run.claim_token_hash,
        lease_until=optional_time(run.lease_until),
        heartbeat_at=optional_time(run.heartbeat_at),
        coordination_channel_id=run.coordination_channel_id,
        coordination_channel=channel,
    )


def run_session(session_id: str, session: SessionState | None) -> RunSession:
    """Return the session of a run, None standing for an unknown one."""
    if session is None:
        return RunSession(session_id=session_id, created_at=date_time(0), updated_at=date_time(0))
    return RunSession(
        session_id=session_id,
        workspace_id=session.workspace_id,
        agent_name=session.agent_name,
        name=session.name,
        channel=session.channel,
        state=session.state,
        created_at=date_time(session.created_at),
        updated_at=date_time(session.updated_at),
    )
