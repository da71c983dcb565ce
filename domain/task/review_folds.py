"""The fold of what happens to reviews; the runs that follow from them are folded with the runs."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from domain import events as e
from domain.recorded import Recorded
from domain.task.state import Review, TaskState


def _requested(state: TaskState, recorded: Recorded, fact: e.RunReviewRequested) -> TaskState:
    review = Review(
        id=fact.review_id,
        task_id=state.id,
        run_id=fact.run_id,
        policy=fact.policy,
        review_round=fact.review_round,
        attempt=fact.attempt,
        status="requested",
        requested_by=recorded.actor,
        requested_at=recorded.occurred_at,
        updated_at=recorded.occurred_at,
        parent_review_id=fact.parent_review_id,
        reason=fact.reason,
        deadline_at=fact.deadline_at,
    )
    return state.with_review(review)


def _bound(state: TaskState, recorded: Recorded, fact: e.RunReviewBound) -> TaskState:
    before = state.reviews[fact.review_id]
    review = replace(
        before,
        status="in_review",
        reviewer_session_id=fact.session_id,
        reviewer_agent_name=fact.reviewer_agent_name,
        reviewer_peer_id=fact.reviewer_peer_id,
        reviewer_channel_id=fact.reviewer_channel_id,
        started_at=before.started_at or recorded.occurred_at,
        updated_at=recorded.occurred_at,
    )
    return state.with_review(review)


def _recorded(state: TaskState, recorded: Recorded, fact: e.RunReviewRecorded) -> TaskState:
    now = recorded.occurred_at
    review = replace(
        state.reviews[fact.review_id],
        status="recorded",
        outcome=fact.outcome,
        confidence=fact.confidence,
        delivery_id=fact.delivery_id,
        reason=fact.reason,
        missing_work=fact.missing_work,
        next_round_guidance=fact.next_round_guidance,
        review_text=fact.review_text,
        continuation_run_id=fact.continuation_run_id,
        reviewed_by=recorded.actor,
        reviewed_at=now,
        updated_at=now,
    )
    return state.with_review(review, updated_at=now)


def _exhausted(state: TaskState, _: Recorded, fact: e.RunReviewRoundsExhausted) -> TaskState:
    return state.with_review(replace(state.reviews[fact.review_id], status="circuit_opened"))


def _told(state: TaskState, _: Recorded, __: e.Fact) -> TaskState:
    """Return the state as it is: the verdict before this event said it all."""
    return state


REVIEW_FOLDS: dict[type[e.Fact], Callable[[TaskState, Recorded, Any], TaskState]] = {
    e.RunReviewRequested: _requested,
    e.RunReviewBound: _bound,
    e.RunReviewRecorded: _recorded,
    e.RunReviewApproved: _told,
    e.RunReviewRejected: _told,
    e.RunReviewBlocked: _told,
    e.RunReviewError: _told,
    e.RunReviewTimeout: _told,
    e.RunReviewInvalidOutput: _told,
    e.RunReviewRoundsExhausted: _exhausted,
}
