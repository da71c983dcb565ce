"""State of a task and its runs, as folded from their events."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from domain.instants import Instant
from domain.profile import ExecutionProfile
from domain.values import (
    ACTIVE_CLAIM,
    NO_JSON,
    OPEN_REVIEW,
    TERMINAL_RUN,
    Actor,
    ApprovalPolicy,
    ApprovalState,
    DeliveryMode,
    DependencyKind,
    Facade,
    Json,
    Origin,
    Owner,
    Priority,
    ReviewOutcome,
    ReviewPolicy,
    ReviewStatus,
    RunStatus,
    Scope,
    TaskStatus,
)


class Dependency(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An edge: the task waits for `depends_on_task_id`."""

    depends_on_task_id: str
    kind: DependencyKind = "blocks"
    created_at: Instant = 0


class Run(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One attempt at a task. `requeued_at` tells when it last came back to the queue.

    A run that continues a rejected one names the review, the run and its own round.
    """

    id: str
    task_id: str
    status: RunStatus
    attempt: int
    origin: Origin
    queued_at: Instant
    requeued_at: Instant = 0
    previous_run_id: str = ""
    failure_kind: str = ""
    claimed_by: Actor | None = None
    session_id: str = ""
    idempotency_key: str = ""
    request_hash: str = ""
    default_key: bool = False
    network_channel: str = ""
    claim_token_hash: str = ""
    lease_until: Instant = 0
    heartbeat_at: Instant = 0
    coordination_channel_id: str = ""
    claimed_at: Instant = 0
    started_at: Instant = 0
    ended_at: Instant = 0
    expiries: int = 0
    outcome_hash: str = ""
    error: str = ""
    metadata: Json = NO_JSON
    result: Json = NO_JSON
    review_id: str = ""
    reviewed_run_id: str = ""
    review_round: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended; a run that needs attention has not."""
        return self.status not in TERMINAL_RUN

    @property
    def is_active(self) -> bool:
        """Whether somebody has claimed the run and not finished it."""
        return self.status in ACTIVE_CLAIM

    @property
    def last_activity_at(self) -> int:
        """The latest of the run's own times."""
        return max(self.queued_at, self.claimed_at, self.started_at, self.ended_at)

    def leased_at(self, now: int) -> bool:
        """Whether the run is held under a lease that has not run out; the deadline has."""
        return self.is_active and bool(self.claim_token_hash) and self.lease_until > now


class Task(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A task without its runs. `ancestors` runs from the parent to the root.

    `facade` names the API whose unit of work the task is, None for a task of the task API.
    """

    id: str
    scope: Scope
    title: str
    status: TaskStatus
    created_by: Actor
    origin: Origin
    created_at: Instant
    updated_at: Instant
    identifier: str = ""
    workspace_id: str = ""
    parent_task_id: str = ""
    ancestors: tuple[str, ...] = ()
    network_channel: str = ""
    description: str = ""
    priority: Priority = "medium"
    max_attempts: int = 3
    auto_enqueue_on_ready: bool = False
    approval_policy: ApprovalPolicy = "none"
    approval_state: ApprovalState = "not_required"
    owner: Owner | None = None
    current_run_id: str = ""
    latest_event_seq: int = 0
    last_activity_at: Instant = 0
    paused: bool = False
    paused_by: str = ""
    paused_at: Instant = 0
    paused_reason: str = ""
    closed_at: Instant = 0
    metadata: Json = NO_JSON
    dependencies: tuple[Dependency, ...] = ()
    children: tuple[str, ...] = ()
    profile: ExecutionProfile | None = None
    facade: Facade | None = None
    deleted: bool = False

    @property
    def awaits_approval(self) -> bool:
        """Whether manual approval is required and not given."""
        return self.approval_policy == "manual" and self.approval_state != "approved"

    @property
    def only_mirrors(self) -> bool:
        """Whether its run tells how the tasks below stand, and nobody ever works on it."""
        return self.facade == "ona" and not self.parent_task_id

    @property
    def lineage(self) -> tuple[str, ...]:
        """The task itself, then its ancestors up to the root."""
        return (self.id, *self.ancestors)


class Review(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The judgement of one ended run, or the wish for it. A `deadline_at` of 0 means none."""

    id: str
    task_id: str
    run_id: str
    policy: ReviewPolicy
    review_round: int
    attempt: int
    status: ReviewStatus
    requested_by: Actor
    requested_at: Instant
    updated_at: Instant
    parent_review_id: str = ""
    reason: str = ""
    deadline_at: Instant = 0
    reviewer_session_id: str = ""
    reviewer_agent_name: str = ""
    reviewer_peer_id: str = ""
    reviewer_channel_id: str = ""
    started_at: Instant = 0
    outcome: ReviewOutcome | None = None
    confidence: float = 0.0
    delivery_id: str = ""
    missing_work: tuple[str, ...] = ()
    next_round_guidance: str = ""
    review_text: str = ""
    reviewed_by: Actor | None = None
    reviewed_at: Instant = 0
    continuation_run_id: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a verdict is still to come."""
        return self.status in OPEN_REVIEW


ENDED_AS: Final[Mapping[str, TaskStatus]] = {
    "task.run_completed": "completed",
    "task.run_review_approved": "completed",
    "task.run_failed": "failed",
    "task.run_canceled": "canceled",
    "task.canceled": "canceled",
}
"""The events that tell how a task ended, with the status that each stands for."""


class Ending(Struct, frozen=True, kw_only=True, gc=False):
    """An event that may have ended the task; `status` is the task's right after it."""

    sequence: int
    event_type: str
    status: TaskStatus
    command_id: str
    run_id: str = ""


class Subscription(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom to tell, through which bridge, how the task ended."""

    id: str
    task_id: str
    bridge_id: str
    scope: Scope
    delivery_mode: DeliveryMode
    created_by: Actor
    created_at: Instant
    updated_at: Instant
    workspace_id: str = ""
    peer_id: str = ""
    thread_id: str = ""
    group_id: str = ""


class Forced(Struct, frozen=True, kw_only=True):
    """An agent did something by hand."""

    actor: Actor
    at: Instant


class TaskState(Struct, frozen=True, kw_only=True, gc=False):
    """The aggregate: folded from the events of one task stream up to `version`.

    `forced` holds what agents did by hand lately.
    """

    task: Task
    runs: dict[str, Run]
    version: int
    reviews: dict[str, Review] = {}
    endings: tuple[Ending, ...] = ()
    subscriptions: dict[str, Subscription] = {}
    forced: tuple[Forced, ...] = ()

    @property
    def id(self) -> str:
        """The task id."""
        return self.task.id

    @property
    def open_run(self) -> Run | None:
        """The one run that has not ended, if any."""
        for run in self.runs.values():
            if run.status not in TERMINAL_RUN:
                return run
        return None

    @property
    def next_attempt(self) -> int:
        """The attempt number a new run would get."""
        return 1 + max((run.attempt for run in self.runs.values()), default=0)

    def with_task(self, **changes: object) -> "TaskState":
        """Return the state with task fields changed."""
        return replace(self, task=replace(self.task, **changes))

    def with_run(self, run: Run, **task_changes: object) -> "TaskState":
        """Return the state with one run put in place and task fields changed."""
        return replace(
            self, runs={**self.runs, run.id: run}, task=replace(self.task, **task_changes)
        )

    def with_review(self, review: Review, **task_changes: object) -> "TaskState":
        """Return the state with one review put in place and task fields changed."""
        return replace(
            self,
            reviews={**self.reviews, review.id: review},
            task=replace(self.task, **task_changes),
        )


def latest_run(runs: Iterable[Run]) -> Run | None:
    """Return the run with the highest attempt, then latest queued_at, then largest id."""
    return max(runs, key=lambda run: (run.attempt, run.queued_at, run.id), default=None)
