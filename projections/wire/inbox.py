"""The inbox as clients see it (task API, inbox and triage)."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from domain.task.state import Run as DomainRun
from domain.values import Actor, ApprovalPolicy, ApprovalState
from projections.wire.runs import RunSummary
from projections.wire.tasks import TaskReference
from projections.wire.times import DateTime, date_time, optional_time

InboxLane = Literal["my_work", "approvals", "failed_runs", "blocked", "archived"]


class TriageState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far somebody is with a task."""

    task_id: str
    actor: Actor
    read: bool
    archived: bool
    dismissed: bool
    last_seen_activity_at: DateTime | None = None
    updated_at: DateTime


class InboxItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task in a lane."""

    task: TaskReference
    lane: InboxLane
    approval_policy: ApprovalPolicy
    approval_state: ApprovalState
    blocking_reason: str = ""
    latest_activity_at: DateTime
    run: RunSummary | None = None
    triage: TriageState


class InboxGroup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lane: all that are in it are counted, the first are shown."""

    lane: InboxLane
    count: int
    unread_count: int
    items: tuple[InboxItem, ...] = ()


class AttentionItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task whose run is out of the queue until somebody looks at it (added)."""

    task: TaskReference
    latest_activity_at: DateTime
    run: RunSummary | None = None


class Attention(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tasks whose run needs attention, whatever lane they are in (added)."""

    count: int
    items: tuple[AttentionItem, ...] = ()


class Inbox(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What waits for the caller."""

    total: int
    unread_total: int
    archived_total: int
    groups: tuple[InboxGroup, ...] = ()
    needs_attention: Attention | None = None


def triage_state(task_id: str, actor: Actor, marks: Sequence[int]) -> TriageState:
    """Return a stored record of triage; whoever has one has read the task.

    `marks` are archived, dismissed, last seen and updated.
    """
    archived, dismissed, last_seen_at, updated_at = marks
    return TriageState(
        task_id=task_id,
        actor=actor,
        read=True,
        archived=bool(archived),
        dismissed=bool(dismissed),
        last_seen_activity_at=optional_time(last_seen_at),
        updated_at=date_time(updated_at),
    )


def reduced_run(run: DomainRun, max_attempts: int) -> RunSummary:
    """Return the run as an inbox shows it: without lease, lineage and kind of failure."""
    return RunSummary(
        id=run.id,
        task_id=run.task_id,
        status=run.status,
        attempt=run.attempt,
        max_attempts=max_attempts,
        session_id=run.session_id,
        claimed_by=run.claimed_by,
        queued_at=date_time(run.queued_at),
        claimed_at=optional_time(run.claimed_at),
        started_at=optional_time(run.started_at),
        ended_at=optional_time(run.ended_at),
        error=run.error,
    )
