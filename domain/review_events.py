"""Facts about the reviews of ended runs (task API, event table).

Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact, VerdictFact
from domain.instants import Instant
from domain.values import NO_JSON, Json, ReviewPolicy, TaskStatus


class RunReviewRequested(Fact, frozen=True, kw_only=True):
    """Somebody shall judge an ended run."""

    TYPE = "task.run_review_requested"
    PRIVATE = frozenset({"parent_review_id", "reason", "deadline_at"})
    review_id: str
    run_id: str
    policy: ReviewPolicy
    review_round: int
    attempt: int
    created: bool
    parent_review_id: str = ""
    reason: str = ""
    deadline_at: Instant = 0


class RunReviewBound(Fact, frozen=True, kw_only=True):
    """A session took the review."""

    TYPE = "task.run_review_bound"
    review_id: str
    run_id: str
    session_id: str
    reviewer_agent_name: str = ""
    reviewer_peer_id: str = ""
    reviewer_channel_id: str = ""


class RunReviewRecorded(VerdictFact, frozen=True, kw_only=True):
    """The review has its verdict; an event of the outcome follows."""

    TYPE = "task.run_review_recorded"
    PRIVATE = frozenset({"reason", "missing_work", "next_round_guidance", "review_text"})
    reason: str
    missing_work: tuple[str, ...] = ()
    next_round_guidance: str = ""
    review_text: str = ""


class RunReviewApproved(VerdictFact, frozen=True, kw_only=True):
    """The run is as it should be."""

    TYPE = "task.run_review_approved"


class RunReviewRejected(VerdictFact, frozen=True, kw_only=True):
    """The run is not as it should be."""

    TYPE = "task.run_review_rejected"


class RunReviewBlocked(VerdictFact, frozen=True, kw_only=True):
    """The run cannot be judged as things stand."""

    TYPE = "task.run_review_blocked"


class RunReviewError(VerdictFact, frozen=True, kw_only=True):
    """The review itself went wrong."""

    TYPE = "task.run_review_error"


class RunReviewTimeout(VerdictFact, frozen=True, kw_only=True):
    """There was no verdict in time."""

    TYPE = "task.run_review_timeout"


class RunReviewInvalidOutput(VerdictFact, frozen=True, kw_only=True):
    """The reviewer gave nothing that can be used."""

    TYPE = "task.run_review_invalid_output"


class RunReviewRetryEnqueued(Fact, frozen=True, kw_only=True):
    """A new run continues what a review rejected."""

    TYPE = "task.run_review_retry_enqueued"
    PRIVATE = frozenset(
        {"attempt", "task_status", "network_channel", "coordination_channel_id", "metadata"}
    )
    review_id: str
    run_id: str
    continuation_run_id: str
    review_round: int
    attempt: int
    task_status: TaskStatus
    network_channel: str = ""
    coordination_channel_id: str = ""
    metadata: Json = NO_JSON


class RunReviewRoundsExhausted(Fact, frozen=True, kw_only=True):
    """The last round was rejected too, so nothing continues by itself (added)."""

    TYPE = "task.run_review_rounds_exhausted"
    review_id: str
    run_id: str
    review_round: int
    max_rounds: int
