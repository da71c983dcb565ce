"""What comes of reviews: verdicts, and the runs that continue what was rejected."""

from typing import Final

import msgspec
from msgspec import Struct

from domain import fields
from domain.commands import EndReviews, Reply, SubmitVerdict
from domain.errors import (
    ConflictError,
    PermissionDeniedError,
    ValidationError,
)
from domain.events import (
    RunReviewApproved,
    RunReviewBlocked,
    RunReviewError,
    RunReviewInvalidOutput,
    RunReviewRecorded,
    RunReviewRejected,
    RunReviewRetryEnqueued,
    RunReviewRoundsExhausted,
    RunReviewTimeout,
)
from domain.fact import VerdictFact
from domain.instants import rfc3339
from domain.recorded import Recorded
from domain.task.cascade import settle
from domain.task.channels import coordination_channel_id
from domain.task.execution import check_room
from domain.task.reviews import REASON_BYTES, round_of
from domain.task.state import Review, Run, TaskState
from domain.task.status import derive_status
from domain.values import NO_JSON, PAYLOAD_BYTES, Json, ReviewOutcome
from domain.world import Plan

_DELIVERY_BYTES: Final = 256
_GUIDANCE_BYTES: Final = 8_192
_COMPARED: Final = (
    "outcome",
    "reason",
    "delivery_id",
    "missing_work",
    "next_round_guidance",
    "review_text",
)
_TEXTS: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_FACT_OF: Final[dict[str, type[VerdictFact]]] = {
    "approved": RunReviewApproved,
    "rejected": RunReviewRejected,
    "blocked": RunReviewBlocked,
    "error": RunReviewError,
    "timeout": RunReviewTimeout,
    "invalid_output": RunReviewInvalidOutput,
}


class _Verdict(Struct, frozen=True, kw_only=True):
    """A checked verdict."""

    outcome: ReviewOutcome
    confidence: float
    reason: str
    delivery_id: str
    missing_work: tuple[str, ...] = ()
    next_round_guidance: str = ""
    review_text: str = ""


def submit_verdict(command: SubmitVerdict, plan: Plan) -> Reply:
    """Record the verdict of a review; a rejection queues the run that continues.

    The same verdict of the same caller again changes nothing, another one is a ConflictError.
    """
    verdict = _checked(command)
    state, review = plan.require_review(command.review_id)
    if command.run_id.strip() not in {"", review.run_id}:
        found = command.run_id.strip()
        message = f'run_review_verdict.run_id must be "{review.run_id}": "{found}"'
        raise ValidationError(message)
    if not review.is_open:
        return _repeated(plan, review, verdict)
    _check_reviewer(plan, review)
    return _record(plan, state, review, verdict)


def _checked(command: SubmitVerdict) -> _Verdict:
    path = "run_review_verdict"
    confidence = command.confidence
    if confidence is None:
        message = f"{path}.confidence is required"
        raise ValidationError(message)
    if not 0 <= confidence <= 1:
        message = f"{path}.confidence must be from 0 to 1: {confidence}"
        raise ValidationError(message)
    verdict = _Verdict(
        outcome=fields.choice(command.outcome, f"{path}.outcome", ReviewOutcome),
        confidence=confidence,
        reason=_required(command.reason, f"{path}.reason", REASON_BYTES),
        delivery_id=_required(command.delivery_id, f"{path}.delivery_id", _DELIVERY_BYTES),
        missing_work=_missing_work(command.missing_work, f"{path}.missing_work"),
        next_round_guidance=fields.short_text(
            command.next_round_guidance, f"{path}.next_round_guidance", _GUIDANCE_BYTES
        ),
        review_text=fields.short_text(command.review_text, f"{path}.review_text", PAYLOAD_BYTES),
    )
    if verdict.outcome == "approved" and verdict.missing_work:
        count = len(verdict.missing_work)
        message = f"{path}.missing_work must be empty for an approved run: {count} items"
        raise ValidationError(message)
    if verdict.outcome == "rejected" and not (verdict.missing_work or verdict.next_round_guidance):
        message = (
            f"{path}.missing_work or {path}.next_round_guidance is required for a rejected run"
        )
        raise ValidationError(message)
    return verdict


def _required(value: str, path: str, limit: int) -> str:
    return fields.required(fields.short_text(value, path, limit), path, limit=limit)


def _missing_work(value: Json, path: str) -> tuple[str, ...]:
    """Return the trimmed items of a JSON array of texts."""
    sent = fields.json(value, path, PAYLOAD_BYTES)
    if sent is NO_JSON:
        return ()
    try:
        items = _TEXTS(sent)
    except msgspec.DecodeError as error:
        message = f"{path} must be an array of strings: {error}"
        raise ValidationError(message) from None
    return tuple(
        fields.required(item, f"{path}[{position}]") for position, item in enumerate(items)
    )


def _repeated(plan: Plan, review: Review, verdict: _Verdict) -> Reply:
    """Return the reply to the verdict there is; its confidence is not compared."""
    same = all(getattr(review, name) == getattr(verdict, name) for name in _COMPARED)
    if not same or review.reviewed_by != plan.context.actor:
        message = (
            f'task run review "{review.id}" has verdict "{review.outcome}" '
            f'of delivery "{review.delivery_id}" already'
        )
        raise ConflictError(message)
    return Reply(
        task_id=review.task_id,
        run_id=review.continuation_run_id,
        review_id=review.id,
        replayed=True,
    )


def _check_reviewer(plan: Plan, review: Review) -> None:
    actor, bound = plan.context.actor, review.reviewer_session_id
    if actor.kind == "agent_session" and bound not in {"", actor.ref}:
        message = f'task run review "{review.id}" is bound to session "{bound}"'
        raise PermissionDeniedError(message)


def _record(plan: Plan, state: TaskState, review: Review, verdict: _Verdict) -> Reply:
    rejected = verdict.outcome == "rejected"
    review_round = max(review.review_round, round_of(state, state.runs[review.run_id]))
    exhausted = rejected and review_round >= plan.policy.max_review_rounds
    run_id = ""
    if rejected and not exhausted:
        check_room(state)
        run_id = plan.context.new_id("run")
    fact = RunReviewRecorded(
        review_id=review.id,
        run_id=review.run_id,
        outcome=verdict.outcome,
        confidence=verdict.confidence,
        delivery_id=verdict.delivery_id,
        review_round=review.review_round,
        continuation_run_id=run_id,
        reason=verdict.reason,
        missing_work=verdict.missing_work,
        next_round_guidance=verdict.next_round_guidance,
        review_text=verdict.review_text,
    )
    recorded = plan.emit_task(state.id, fact, review.run_id)
    outcome = {name: getattr(fact, name) for name in VerdictFact.__struct_fields__}
    told = _FACT_OF[verdict.outcome](**outcome)
    cause = plan.emit_task(state.id, told, review.run_id, recorded)
    if run_id:
        _continue(plan, review, run_id, review_round + 1, cause)
    if exhausted:
        opened = RunReviewRoundsExhausted(
            review_id=review.id,
            run_id=review.run_id,
            review_round=review_round,
            max_rounds=plan.policy.max_review_rounds,
        )
        plan.emit_task(state.id, opened, review.run_id, cause)
    return Reply(task_id=state.id, run_id=run_id, review_id=review.id)


def _continue(plan: Plan, review: Review, run_id: str, review_round: int, cause: Recorded) -> None:
    """Queue the run that continues the rejected one."""
    state = plan.existing_task(review.task_id)
    rejected = state.runs[review.run_id]
    channel = rejected.network_channel or state.task.network_channel
    run = Run(
        id=run_id,
        task_id=state.id,
        status="queued",
        attempt=state.next_attempt,
        origin=plan.context.origin,
        queued_at=plan.now,
    )
    fact = RunReviewRetryEnqueued(
        review_id=review.id,
        run_id=rejected.id,
        continuation_run_id=run_id,
        review_round=review_round,
        attempt=run.attempt,
        task_status=derive_status(state.with_run(run), plan.task_status),
        network_channel=channel,
        coordination_channel_id=coordination_channel_id(plan, state.task, run_id, channel),
        metadata=_metadata(review),
    )
    settle(plan, state, plan.emit_task(state.id, fact, run_id, cause))


def _metadata(review: Review) -> Json:
    """Return what the new run tells about where it comes from."""
    told = {
        "source": "task_run_review",
        "review_id": review.id,
        "outcome": "rejected",
        "parent_run_id": review.run_id,
    }
    return Json(msgspec.json.encode(told))


def end_reviews(command: EndReviews, plan: Plan) -> Reply:
    """Record that reviews past their deadline got no verdict in time."""
    for task_id, review_id in plan.world.overdue_reviews(plan.now, command.limit):
        state = plan.readable_task(task_id)
        if state is None:
            continue
        review = state.reviews[review_id]
        verdict = _Verdict(
            outcome="timeout",
            confidence=1.0,
            reason=f"no verdict by {rfc3339(review.deadline_at)}",
            delivery_id=f"review-deadline:{review.id}",
        )
        _record(plan, state, review, verdict)
    return Reply()
