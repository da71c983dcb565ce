"""Asking for the review of an ended run, and taking one (task API, reviews)."""

from typing import Final

from domain import fields
from domain.commands import ClaimNextReview, Reply, RequestReview
from domain.errors import InvalidTransitionError, SessionAlreadyBoundError, ValidationError
from domain.events import RunReviewBound, RunReviewRequested
from domain.registry import SessionState
from domain.session import verify_session
from domain.task.state import Review, Run, TaskState
from domain.values import ReviewPolicy
from domain.world import Plan

REASON_BYTES: Final = 4_096

_PARENT_BYTES: Final = 256
_JUDGED: Final = frozenset({"approved", "rejected"})
_POLICY_FITS: Final[dict[str, frozenset[str]]] = {
    "always": frozenset({"completed", "failed", "canceled"}),
    "on_success": frozenset({"completed"}),
    "on_failure": frozenset({"failed", "canceled"}),
}


def request_review(command: RequestReview, plan: Plan) -> Reply:
    """Ask for a review of an ended run; the same round and attempt again changes nothing.

    A run has one review, and another one only when the earlier ones came to no judgement.
    """
    state, run = plan.require_run(command.run_id)
    wanted = _wanted(command, plan, state, run)
    if run.is_open:
        message = f'task run "{run.id}" is {run.status}; only an ended run can be reviewed'
        raise InvalidTransitionError(message)
    if run.status not in _POLICY_FITS[wanted.policy]:
        message = f'review policy "{wanted.policy}" does not fit task run "{run.id}", {run.status}'
        raise InvalidTransitionError(message)
    earlier = [review for review in state.reviews.values() if review.run_id == run.id]
    for review in earlier:
        if (review.review_round, review.attempt) == (wanted.review_round, wanted.attempt):
            return Reply(task_id=state.id, review_id=review.id, replayed=True)
    for review in earlier:
        if review.is_open or review.outcome in _JUDGED:
            message = f'task run "{run.id}" has review "{review.id}" already'
            raise InvalidTransitionError(message)
    plan.emit_task(state.id, wanted, run.id)
    return Reply(task_id=state.id, review_id=wanted.review_id)


def _wanted(command: RequestReview, plan: Plan, state: TaskState, run: Run) -> RunReviewRequested:
    """Return the checked request."""
    path = "run_review"
    policy: ReviewPolicy = fields.choice(command.policy, f"{path}.policy", ReviewPolicy, "always")
    if policy == "none":
        message = f'{path}.policy must be "always", "on_success" or "on_failure": "none"'
        raise ValidationError(message)
    for name, stated, expected in (
        ("run_id", command.stated_run_id, run.id),
        ("task_id", command.stated_task_id, state.id),
    ):
        if stated.strip() not in {"", expected}:
            message = f'{path}.{name} must be "{expected}": "{stated.strip()}"'
            raise ValidationError(message)
    return RunReviewRequested(
        review_id=plan.context.new_id("review"),
        run_id=run.id,
        policy=policy,
        review_round=_counted(command.review_round, f"{path}.review_round", round_of(state, run)),
        attempt=_counted(command.attempt, f"{path}.attempt", 1),
        created=True,
        parent_review_id=fields.short_text(
            command.parent_review_id, f"{path}.parent_review_id", _PARENT_BYTES
        ),
        reason=fields.short_text(command.reason, f"{path}.reason", REASON_BYTES),
        deadline_at=fields.instant(command.deadline_at, f"{path}.deadline_at"),
    )


def _counted(value: int, path: str, default: int) -> int:
    if value < 0:
        message = f"{path} must not be negative: {value}"
        raise ValidationError(message)
    return value or default


def round_of(state: TaskState, run: Run) -> int:
    """Return in which round of reviews a run is: later ones continue what was rejected.

    A run that was retried stays in the round of the one it retries.
    """
    while not run.review_round and run.previous_run_id in state.runs:
        run = state.runs[run.previous_run_id]
    return run.review_round or 1


def claim_next_review(command: ClaimNextReview, plan: Plan) -> Reply:
    """Bind the oldest review the session may do; a reply without a review when there is none.

    Raises SessionAlreadyBoundError while the session has another one, IdentityError for a session
    that is not what it says.
    """
    session = verify_session(
        plan.session(command.session_id),
        command.session_id,
        command.agent_name,
        command.workspace_id,
    )
    plan.check_reach(session.workspace_id, f'session "{session.id}"')
    taken = plan.world.review_of_session(session.id)
    if taken is not None:
        raise SessionAlreadyBoundError(f'session "{session.id}" has open review "{taken}"')
    for task_id, review_id in plan.world.open_reviews(session.workspace_id):
        state = plan.readable_task(task_id)
        if state is not None and _may_review(plan, session, state, state.reviews[review_id]):
            return _bind(plan, session, state.reviews[review_id])
    return Reply(session_id=session.id)


def _may_review(plan: Plan, session: SessionState, state: TaskState, review: Review) -> bool:
    """Whether nobody else does the review, and the session is one that may.

    That is one the task's profile lets review, which neither did the run nor asked for its review.
    """
    if review.deadline_at and review.deadline_at <= plan.now:
        return False
    if review.reviewer_session_id:
        reviewer = plan.session(review.reviewer_session_id)
        if reviewer is not None and reviewer.state == "active":
            return False
    if not _is_admitted(session, state):
        return False
    run = state.runs[review.run_id]
    concerned = [actor.ref for actor in (review.requested_by, run.claimed_by) if actor]
    return session.id not in {run.session_id, *concerned}


def _is_admitted(session: SessionState, state: TaskState) -> bool:
    """Whether the profile lets the session review. Of a session no peer is known."""
    profile = state.task.profile
    if profile is None:
        return True
    if profile.review.agent_name not in {"", session.agent_name}:
        return False
    return all(
        (not policy.allowed_agent_names or session.agent_name in policy.allowed_agent_names)
        and (not policy.allowed_channel_ids or session.channel in policy.allowed_channel_ids)
        and set(policy.required_capabilities) <= set(session.capabilities)
        for policy in (profile.participants, profile.review)
    )


def _bind(plan: Plan, session: SessionState, review: Review) -> Reply:
    bound = RunReviewBound(
        review_id=review.id,
        run_id=review.run_id,
        session_id=session.id,
        reviewer_agent_name=session.agent_name,
        reviewer_channel_id=session.channel,
    )
    plan.emit_task(review.task_id, bound, review.run_id)
    return Reply(
        task_id=review.task_id, run_id=review.run_id, session_id=session.id, review_id=review.id
    )
