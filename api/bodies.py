"""Request bodies of the task API."""

from typing import Annotated, TypeAlias

import msgspec

from api.parsing import (
    INT32_MAX,
    INT64_MAX,
    NOT_BLANK,
    Body,
    Capability,
    ChannelName,
    SignedInt32,
    SignedInt64,
    between,
    items_of,
    like,
    no_json,
    one_of,
    sized,
)
from domain.values import (
    MAX_ATTEMPTS,
    MAX_BULK,
    MAX_CLAIMS,
    MAX_DRAIN_SECONDS,
    MAX_LEASE_SECONDS,
    ApprovalPolicy,
    DeliveryMode,
    DependencyKind,
    Json,
    LeaseAction,
    OwnerKind,
    Priority,
    ReviewOutcome,
    ReviewPolicy,
    Scope,
)
from projections.wire.times import DateTime

Text: TypeAlias = str | None
Raw: TypeAlias = Json
PriorityText: TypeAlias = Annotated[str, one_of(Priority)] | None
PolicyText: TypeAlias = Annotated[str, one_of(ApprovalPolicy)] | None


class OwnerRequest(Body, frozen=True, kw_only=True):
    """Whom a task shall belong to."""

    REQUIRED = ("kind", "ref")
    kind: Annotated[str, one_of(OwnerKind)] | None = None
    ref: str | None = None


class TaskCreateRequest(Body, frozen=True, kw_only=True):
    """A task to create."""

    REQUIRED = ("scope", "title")
    NULLABLE = ("max_attempts", "owner")
    id: Text = None
    identifier: Text = None
    scope: Annotated[str, one_of(Scope)] | None = None
    workspace: Text = None
    title: Text = None
    description: Text = None
    network_channel: ChannelName | None = None
    priority: PriorityText = None
    max_attempts: Annotated[SignedInt64, between(1, MAX_ATTEMPTS)] | None = None
    auto_enqueue_on_ready: bool | None = None
    draft: bool | None = None
    approval_policy: PolicyText = None
    owner: OwnerRequest | None = None
    metadata: Raw = msgspec.field(default_factory=no_json)


class UpdateTaskRequest(Body, frozen=True, kw_only=True):
    """Fields of a task to change; what is absent stays."""

    NULLABLE = (
        "title",
        "description",
        "max_attempts",
        "auto_enqueue_on_ready",
        "network_channel",
        "owner",
    )
    title: Annotated[str, like(NOT_BLANK)] | None = None
    description: Text = None
    priority: PriorityText = None
    max_attempts: Annotated[SignedInt64, between(1, MAX_ATTEMPTS)] | None = None
    auto_enqueue_on_ready: bool | None = None
    approval_policy: PolicyText = None
    metadata: Raw = msgspec.field(default_factory=no_json)
    network_channel: ChannelName | None = None
    owner: OwnerRequest | None = None
    clear_owner: bool | None = None


class TaskExecutionRequest(Body, frozen=True, kw_only=True):
    """How to queue a run."""

    idempotency_key: Text = None
    network_channel: ChannelName | None = None
    metadata: Raw = msgspec.field(default_factory=no_json)


class ReasonMetadataRequest(Body, frozen=True, kw_only=True):
    """Why, and anything else to keep with the event."""

    reason: Text = None
    metadata: Raw = msgspec.field(default_factory=no_json)


class RequiredReasonRequest(ReasonMetadataRequest, frozen=True, kw_only=True):
    """Why; the operation needs to know."""

    REQUIRED = ("reason",)


class RecoverRunRequest(ReasonMetadataRequest, frozen=True, kw_only=True):
    """Why, and whether the run itself is queued again (added member)."""

    in_place: bool | None = None


class BulkForceRunRequest(ReasonMetadataRequest, frozen=True, kw_only=True):
    """Which runs, and why."""

    REQUIRED = ("run_ids",)
    run_ids: Annotated[tuple[Annotated[str, like(NOT_BLANK)], ...], sized(1, MAX_BULK)] | None = (
        None
    )


class ReasonRequest(Body, frozen=True, kw_only=True):
    """Why."""

    reason: Text = None


class MetadataRequest(Body, frozen=True, kw_only=True):
    """Anything to keep with the event."""

    metadata: Raw = msgspec.field(default_factory=no_json)


class AddTaskDependencyRequest(Body, frozen=True, kw_only=True):
    """Which task to wait for."""

    REQUIRED = ("depends_on_task_id",)
    depends_on_task_id: Text = None
    kind: Annotated[str, one_of(DependencyKind)] | None = None


class IdempotencyRequest(Body, frozen=True, kw_only=True):
    """The caller's key for a retried call."""

    idempotency_key: Text = None


class StartRunRequest(IdempotencyRequest, frozen=True, kw_only=True):
    """Which session works on the run (added member); the bound or a new one when absent."""

    session_id: Text = None


class AttachTaskRunSessionRequest(Body, frozen=True, kw_only=True):
    """Which session to bind."""

    REQUIRED = ("session_id",)
    session_id: Text = None


class CompleteRunRequest(Body, frozen=True, kw_only=True):
    """What came out."""

    result: Raw = msgspec.field(default_factory=no_json)


class FailRunRequest(Body, frozen=True, kw_only=True):
    """What went wrong."""

    REQUIRED = ("error",)
    error: Text = None
    metadata: Raw = msgspec.field(default_factory=no_json)


class RequestTaskRunReviewRequest(Body, frozen=True, kw_only=True):
    """What kind of review; everything has a default, the ids are those of the path."""

    run_id: Text = None
    task_id: Text = None
    policy: Annotated[str, one_of(ReviewPolicy)] | None = None
    review_round: Annotated[SignedInt32, between(0, INT32_MAX)] | None = None
    attempt: Annotated[SignedInt32, between(0, INT32_MAX)] | None = None
    parent_review_id: Text = None
    reason: Text = None
    deadline_at: DateTime | None = None


class ReviewVerdictRequest(Body, frozen=True, kw_only=True):
    """What the reviewer found; `missing_work` is an array of texts."""

    REQUIRED = ("confidence", "delivery_id", "outcome", "reason")
    outcome: Annotated[str, one_of(ReviewOutcome)] | None = None
    confidence: Annotated[float, between(0, 1)] | None = None
    reason: Text = None
    delivery_id: Text = None
    missing_work: Raw = msgspec.field(default_factory=no_json)
    next_round_guidance: Text = None
    review_text: Text = None


class SubmitTaskRunReviewVerdictRequest(Body, frozen=True, kw_only=True):
    """The verdict of a review; the run is that of the review."""

    REQUIRED = ("verdict",)
    run_id: Text = None
    verdict: ReviewVerdictRequest | None = None


class ClaimNextAgentTaskRequest(Body, frozen=True, kw_only=True):
    """What the session can take, and whether it waits for work."""

    workspace_id: Text = None
    required_capabilities: tuple[Capability, ...] | None = None
    priority_min: Annotated[SignedInt64, between(0, INT64_MAX)] | None = None
    lease_seconds: Annotated[SignedInt64, between(0, MAX_LEASE_SECONDS)] | None = None
    wait: bool | None = None
    idempotency_key: Text = None


class ClaimAgentTasksRequest(ClaimNextAgentTaskRequest, frozen=True, kw_only=True):
    """What the session can take, and how many runs at most; one when absent."""

    max_claims: Annotated[SignedInt64, between(1, MAX_CLAIMS)] | None = None


class ReportItem(Body, frozen=True, kw_only=True):
    """What the holder of a lease says about its run; which members count depends on the action."""

    REQUIRED = ("run_id", "action")
    run_id: Text = None
    action: Annotated[str, one_of(LeaseAction)] | None = None
    lease_seconds: Annotated[SignedInt64, between(0, MAX_LEASE_SECONDS)] | None = None
    result: Raw = msgspec.field(default_factory=no_json)
    error: Text = None
    metadata: Raw = msgspec.field(default_factory=no_json)
    reason: Text = None


class ReportAgentTaskRunsRequest(Body, frozen=True, kw_only=True):
    """Reports on leases; each is read and decided by itself."""

    REQUIRED = ("items",)
    items: Annotated[tuple[Json, ...], items_of(ReportItem, 1, MAX_CLAIMS)] | None = None


class HeartbeatAgentTaskRunRequest(Body, frozen=True, kw_only=True):
    """For how long to extend the lease."""

    lease_seconds: Annotated[SignedInt64, between(0, MAX_LEASE_SECONDS)] | None = None


class DrainSchedulerRequest(Body, frozen=True, kw_only=True):
    """Why, and how long to wait for the active claims to end; 60 seconds when absent."""

    NULLABLE = ("timeout_seconds",)
    reason: Text = None
    timeout_seconds: Annotated[SignedInt64, between(0, MAX_DRAIN_SECONDS)] | None = None


class RegisterSessionRequest(Body, frozen=True, kw_only=True):
    """An agent session; `workspace` is an id, a name or a path, `concurrency` 1 when absent."""

    REQUIRED = ("agent_name",)
    agent_name: Text = None
    workspace: Text = None
    channel: ChannelName | None = None
    name: Text = None
    capabilities: tuple[Capability, ...] | None = None
    concurrency: Annotated[SignedInt64, between(1, MAX_CLAIMS)] | None = None
    soul_digest: Text = None
    soul_snapshot_id: Text = None


class RegisterWorkspaceRequest(Body, frozen=True, kw_only=True):
    """A workspace; it answers to its id, name or path."""

    name: Text = None
    path: Text = None


class PutBridgeRequest(Body, frozen=True, kw_only=True):
    """A bridge to make or change; of a known one, what is absent stays.

    A new one needs the `url`. Without a `secret` (`whsec_…`) it gets one. `workspace` is an id, a
    name or a path.
    """

    url: Text = None
    secret: Text = None
    rotate_secret: bool | None = None
    scope: Annotated[str, one_of(Scope)] | None = None
    workspace: Text = None
    name: Text = None
    enabled: bool | None = None


class CreateTaskBridgeNotificationSubscriptionRequest(Body, frozen=True, kw_only=True):
    """Whom to tell, through which bridge, how the task ends."""

    REQUIRED = ("bridge_instance_id", "delivery_mode", "scope")
    subscription_id: Text = None
    bridge_instance_id: Text = None
    scope: Annotated[str, one_of(Scope)] | None = None
    workspace_id: Text = None
    peer_id: Text = None
    thread_id: Text = None
    group_id: Text = None
    delivery_mode: Annotated[str, one_of(DeliveryMode)] | None = None
