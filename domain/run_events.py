"""Facts about runs and their leases (task API, event table).

Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact
from domain.instants import Instant
from domain.values import NO_JSON, Actor, Json, RunStatus, Soul, TaskStatus


class RunEnqueued(Fact, frozen=True, kw_only=True):
    """A new run waits to be claimed."""

    TYPE = "task.run_enqueued"
    PRIVATE = frozenset({"metadata", "request_hash", "default_key"})
    attempt: int
    status: RunStatus
    task_status: TaskStatus
    network_channel: str = ""
    coordination_channel_id: str = ""
    idempotency_key: str = ""
    metadata: Json = NO_JSON
    request_hash: str = ""
    default_key: bool = False


class RunClaimed(Fact, frozen=True, kw_only=True):
    """Somebody took the run; with a token hash it is held under a lease."""

    TYPE = "task.run_claimed"
    PRIVATE = frozenset({"session_id", "soul"})
    status: RunStatus
    task_status: TaskStatus
    claimed_by: Actor
    claim_token_hash: str = ""
    lease_until: Instant
    session_id: str = ""
    soul: Soul | None = None


class RunStarting(Fact, frozen=True, kw_only=True):
    """The run is being started."""

    TYPE = "task.run_starting"
    status: RunStatus
    task_status: TaskStatus
    session_id: str = ""


class RunSessionBound(Fact, frozen=True, kw_only=True):
    """A session was bound to the run."""

    TYPE = "task.run_session_bound"
    status: RunStatus
    task_status: TaskStatus
    session_id: str = ""


class RunStarted(Fact, frozen=True, kw_only=True):
    """The run is running."""

    TYPE = "task.run_started"
    status: RunStatus
    task_status: TaskStatus
    session_id: str = ""


class RunCompleted(Fact, frozen=True, kw_only=True):
    """The run ended well."""

    TYPE = "task.run_completed"
    PRIVATE = frozenset({"request_hash"})
    status: RunStatus
    task_status: TaskStatus
    result: Json = NO_JSON
    claim_token_hash: str = ""
    request_hash: str = ""


class RunFailed(Fact, frozen=True, kw_only=True):
    """The run ended badly."""

    TYPE = "task.run_failed"
    PRIVATE = frozenset({"request_hash"})
    status: RunStatus
    task_status: TaskStatus
    error: str
    metadata: Json = NO_JSON
    claim_token_hash: str = ""
    request_hash: str = ""
    failure_kind: str = ""


class RunCanceled(Fact, frozen=True, kw_only=True):
    """The run was given up."""

    TYPE = "task.run_canceled"
    status: RunStatus
    task_status: TaskStatus
    reason: str = ""
    metadata: Json = NO_JSON
    session_id: str = ""
    propagated_from_task_id: str = ""


class RunRejected(Fact, frozen=True, kw_only=True):
    """The run could not start or take a session because its channel is no longer usable."""

    TYPE = "task.run_rejected"
    operation: str
    reason: str
    network_channel: str = ""


class RunLeaseExtended(Fact, frozen=True, kw_only=True):
    """The holder showed that it is alive."""

    TYPE = "task.run_lease_extended"
    status: RunStatus
    task_status: TaskStatus
    lease_until: Instant
    heartbeat_at: Instant
    claim_token_hash: str = ""


class RunLeaseExpired(Fact, frozen=True, kw_only=True):
    """The lease ran out and the run went back to the queue."""

    TYPE = "task.run_lease_expired"
    previous_status: RunStatus
    status: RunStatus
    task_status: TaskStatus
    reason: str = ""
    session_id: str = ""
    lease_until: Instant
    previous_claim_token_hash: str = ""
    coordination_channel_id: str = ""
    expiries: int = 0


class RunReleased(Fact, frozen=True, kw_only=True):
    """The run is back in the queue: its holder gave it back, or somebody took it by hand.

    The members from `manual` on belong to the second.
    """

    TYPE = "task.run_released"
    previous_status: RunStatus
    status: RunStatus
    task_status: TaskStatus
    reason: str = ""
    session_id: str = ""
    manual: bool = False
    actor_kind: str = ""
    actor_id: str = ""
    previous_session_id: str = ""
    previous_claim_token_hash_truncated: str = ""
    previous_lease_until: Instant = 0
    metadata: Json = NO_JSON


class RunForceStopped(Fact, frozen=True, kw_only=True):
    """A canceled run was taken from the session that worked on it, which was not asked before."""

    TYPE = "task.run_force_stopped"
    session_id: str
    grace_timeout_ms: int
    propagated_from_task_id: str = ""


class RunOperatorForcedFail(Fact, frozen=True, kw_only=True):
    """The run was failed by hand."""

    TYPE = "task.run_operator_forced_fail"
    manual: bool
    actor_kind: str
    actor_id: str
    previous_status: RunStatus
    status: RunStatus
    task_status: TaskStatus
    reason: str
    session_id: str = ""
    metadata: Json = NO_JSON


class RunOperatorRetry(Fact, frozen=True, kw_only=True):
    """A failed run got a successor, which this event is about and which waits to be claimed."""

    TYPE = "task.run_operator_retry"
    PRIVATE = frozenset({"attempt", "network_channel", "coordination_channel_id"})
    manual: bool
    actor_kind: str
    actor_id: str
    source_run_id: str
    new_run_id: str
    task_status: TaskStatus
    attempt: int
    network_channel: str = ""
    coordination_channel_id: str = ""
    metadata: Json = NO_JSON


class RunRecoveredFromAttention(Fact, frozen=True, kw_only=True):
    """A run that needed attention failed and got a successor, which this event is about."""

    TYPE = "task.run_recovered_from_attention"
    PRIVATE = frozenset({"attempt", "network_channel", "coordination_channel_id"})
    manual: bool
    actor_kind: str
    actor_id: str
    source_run_id: str
    new_run_id: str
    previous_status: RunStatus
    status: RunStatus
    task_status: TaskStatus
    attempt: int
    reason: str = ""
    network_channel: str = ""
    coordination_channel_id: str = ""
    metadata: Json = NO_JSON


class RunRequeued(Fact, frozen=True, kw_only=True):
    """A run that needed attention is back in the queue, as the attempt it was."""

    TYPE = "task.run_requeued"
    manual: bool
    actor_kind: str
    actor_id: str
    previous_status: RunStatus
    status: RunStatus
    task_status: TaskStatus
    reason: str = ""
    metadata: Json = NO_JSON


class RunStarved(Fact, frozen=True, kw_only=True):
    """The run has waited for a claim far too long."""

    TYPE = "task.run_starved"
    queued_at: Instant = 0
    queued_age_ms: int
    coordination_channel: str = ""


class RunNeedsAttention(Fact, frozen=True, kw_only=True):
    """The run is out of the queue until somebody looks at it."""

    TYPE = "task.run_needs_attention"
    PRIVATE = frozenset({"task_status"})
    previous_status: RunStatus
    status: RunStatus
    diagnostic: str = ""
    queued_at: Instant = 0
    coordination_channel: str = ""
    task_status: TaskStatus
