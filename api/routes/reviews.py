"""Operations on the reviews of ended runs."""

from typing import Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.operations import Operation
from api.queries import ListReviewsQuery
from api.routes.common import operation
from domain import commands as c
from domain.errors import ReviewNotFoundError
from domain.task.state import Review
from projections.queries.batches import task_of
from projections.queries.reviews import ReviewFilters, list_reviews, review_of
from projections.queries.runs import run_of
from projections.wire import run_view, task_reference
from projections.wire.reviews import review_view
from replay.committer import Outcome

_REFUSED: Final = (400, 404, 409)


async def request_review(call: Call) -> Answer:
    """Ask for the review of an ended run; the same round and attempt again gives what there is."""
    body = await call.read(b.RequestTaskRunReviewRequest)
    command = c.RequestReview(
        run_id=call.id,
        stated_run_id=body.run_id or "",
        stated_task_id=body.task_id or "",
        policy=body.policy or "",
        review_round=body.review_round or 0,
        attempt=body.attempt or 0,
        parent_review_id=body.parent_review_id or "",
        reason=body.reason or "",
        deadline_at=body.deadline_at or "",
    )
    outcome = await call.submit(command)
    replayed = outcome.reply.replayed
    reply = replies.ReviewRequestResponse(review_view(_review(outcome)), created=not replayed)
    return call.reply(reply, replayed=replayed)


def _review(outcome: Outcome) -> Review:
    assert outcome.task is not None
    return outcome.task.reviews[outcome.reply.review_id]


async def list_run_reviews(call: Call) -> Answer:
    """List the reviews of a run, the latest change first."""
    run = run_of(call.services.ledger.reader, call.id)
    return _listed(call, run.task_id if run else "", run_id=call.id)


async def list_task_reviews(call: Call) -> Answer:
    """List the reviews of a task, the latest change first."""
    return _listed(call, call.id)


def _listed(call: Call, task_id: str, *, run_id: str = "") -> Answer:
    """Return the reviews of a task or one of its runs; of an unknown one there are none."""
    query = call.query(ListReviewsQuery)
    reader = call.services.ledger.reader
    task = task_of(reader, task_id)
    if task is not None:
        call.require_workspace(task.workspace_id, f'task "{task_id}"')
    filters = ReviewFilters(
        task_id="" if run_id else task_id,
        run_id=run_id,
        status=query.status or "",
        reviewer_session_id=query.reviewer_session_id,
        limit=query.limit,
    )
    return call.reply(replies.ReviewListResponse(tuple(list_reviews(reader, filters))))


async def get_review(call: Call) -> Answer:
    """Return a review."""
    found = review_of(call.services.ledger.reader, call.id)
    if found is None:
        raise ReviewNotFoundError(f'task run review "{call.id}"')
    review, workspace_id = found
    call.require_workspace(workspace_id, f'task run review "{call.id}"')
    return call.reply(replies.GetTaskRunReviewResponse(review))


async def submit_verdict(call: Call) -> Answer:
    """Record the verdict of a review; a rejection queues the run that continues."""
    body = await call.read(b.SubmitTaskRunReviewVerdictRequest)
    verdict = body.verdict or b.ReviewVerdictRequest()
    command = c.SubmitVerdict(
        review_id=call.id,
        run_id=body.run_id or "",
        outcome=verdict.outcome or "",
        confidence=verdict.confidence,
        reason=verdict.reason or "",
        delivery_id=verdict.delivery_id or "",
        missing_work=verdict.missing_work,
        next_round_guidance=verdict.next_round_guidance or "",
        review_text=verdict.review_text or "",
    )
    outcome = await call.submit(command)
    review = _review(outcome)
    reply = replies.SubmitTaskRunReviewVerdictResponse(
        review=review_view(review),
        continuation_run=run_view(outcome.run) if outcome.run else None,
        circuit_opened=review.status == "circuit_opened",
    )
    return call.reply(reply, replayed=outcome.reply.replayed)


async def claim_next_review(call: Call) -> Answer:
    """Take the oldest review that waits and that the session may do; 204 when there is none."""
    caller = call.caller
    command = c.ClaimNextReview(
        session_id=caller.session_id,
        agent_name=caller.agent_name,
        workspace_id=caller.workspace_id,
    )
    outcome = await call.submit(command)
    if outcome.task is None or outcome.run is None:
        return NO_CONTENT
    reply = replies.ClaimNextAgentReviewResponse(
        review=review_view(_review(outcome)),
        task=task_reference(outcome.task.task, outcome.paused_by),
        run=run_view(outcome.run),
    )
    return call.reply(reply)


OPERATIONS: Final[tuple[Operation, ...]] = (
    operation(
        "POST",
        "/api/task-runs/{id}/reviews",
        "requestTaskRunReview",
        request_review,
        tag="runs",
        action="tasks.request_review",
        body=b.RequestTaskRunReviewRequest,
        what="request review",
        success=201,
        repeated_success=200,
        reply=replies.ReviewRequestResponse,
        statuses=_REFUSED,
        labels=("task run id",),
    ),
    operation(
        "GET",
        "/api/task-runs/{id}/reviews",
        "listTaskRunReviews",
        list_run_reviews,
        tag="runs",
        action="tasks.list_reviews",
        query=ListReviewsQuery,
        reply=replies.ReviewListResponse,
        statuses=(400, 404),
        labels=("task run id",),
    ),
    operation(
        "GET",
        "/api/tasks/{id}/reviews",
        "listTaskReviews",
        list_task_reviews,
        tag="tasks",
        action="tasks.list_reviews",
        query=ListReviewsQuery,
        reply=replies.ReviewListResponse,
        statuses=(400, 404),
        labels=("task id",),
    ),
    operation(
        "GET",
        "/api/task-reviews/{id}",
        "getTaskRunReview",
        get_review,
        tag="reviews",
        action="tasks.get_review",
        reply=replies.GetTaskRunReviewResponse,
        statuses=(400, 404),
        labels=("task review id",),
    ),
    operation(
        "POST",
        "/api/task-reviews/{id}/verdict",
        "submitTaskRunReviewVerdict",
        submit_verdict,
        tag="reviews",
        action="tasks.submit_review",
        body=b.SubmitTaskRunReviewVerdictRequest,
        what="submit review verdict",
        body_required=True,
        reply=replies.SubmitTaskRunReviewVerdictResponse,
        statuses=_REFUSED,
        labels=("task review id",),
    ),
    operation(
        "POST",
        "/api/agent/reviews/claim-next",
        "claimNextAgentReview",
        claim_next_review,
        tag="agent",
        action="agent.review.next",
        reply=replies.ClaimNextAgentReviewResponse,
        empty_success=204,
        statuses=(403, 409),
        agent=True,
    ),
)
