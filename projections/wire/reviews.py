"""A review as clients see it."""

from msgspec import UNSET, Struct, UnsetType

from domain.task.state import Review as DomainReview
from domain.values import Actor, ReviewOutcome, ReviewPolicy, ReviewStatus
from projections.wire.times import DateTime, date_time


class Review(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole review."""

    review_id: str
    task_id: str
    run_id: str
    parent_review_id: str = ""
    policy: ReviewPolicy
    review_round: int
    attempt: int
    status: ReviewStatus
    outcome: ReviewOutcome | UnsetType = UNSET
    confidence: float | None = None
    reason: str = ""
    delivery_id: str = ""
    missing_work: tuple[str, ...]
    next_round_guidance: str = ""
    review_text: str = ""
    reviewer_session_id: str = ""
    reviewer_agent_name: str = ""
    reviewer_peer_id: str = ""
    reviewer_channel_id: str = ""
    reviewed_by: Actor | None = None
    requested_at: DateTime
    routed_at: DateTime
    started_at: DateTime
    reviewed_at: DateTime
    deadline_at: DateTime
    created_at: DateTime
    updated_at: DateTime


def review_view(review: DomainReview) -> Review:
    """Return the whole review; times that were never set show the zero time."""
    return Review(
        review_id=review.id,
        task_id=review.task_id,
        run_id=review.run_id,
        parent_review_id=review.parent_review_id,
        policy=review.policy,
        review_round=review.review_round,
        attempt=review.attempt,
        status=review.status,
        outcome=review.outcome or UNSET,
        confidence=review.confidence if review.outcome else None,
        reason=review.reason,
        delivery_id=review.delivery_id,
        missing_work=review.missing_work,
        next_round_guidance=review.next_round_guidance,
        review_text=review.review_text,
        reviewer_session_id=review.reviewer_session_id,
        reviewer_agent_name=review.reviewer_agent_name,
        reviewer_peer_id=review.reviewer_peer_id,
        reviewer_channel_id=review.reviewer_channel_id,
        reviewed_by=review.reviewed_by,
        requested_at=date_time(review.requested_at),
        routed_at=date_time(0),
        started_at=date_time(review.started_at),
        reviewed_at=date_time(review.reviewed_at),
        deadline_at=date_time(review.deadline_at),
        created_at=date_time(review.requested_at),
        updated_at=date_time(review.updated_at),
    )
