"""Verdicts of reviews, and what follows from them."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands import EndReviews, RequestReview, SubmitVerdict
from domain.errors import (
    ConflictError,
    InvalidTransitionError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ReviewNotFoundError,
    ValidationError,
)
from domain.events import (
    Fact,
    RunReviewApproved,
    RunReviewBlocked,
    RunReviewError,
    RunReviewInvalidOutput,
    RunReviewRecorded,
    RunReviewRejected,
    RunReviewRetryEnqueued,
    RunReviewRoundsExhausted,
    RunReviewTimeout,
    TaskStatusChanged,
)
from domain.instants import SECOND, rfc3339
from domain.task.reviews import round_of
from domain.task.state import Review, TaskState
from domain.values import SCHEDULER_ACTOR, Actor, Origin
from domain.world import Policy
from tests.domain.test_reviews import LATER, review_of, take
from tests.support.spec import NOW, Past, Spec, Step, given, on
from tests.support.steps import (
    agent,
    canceled,
    completed,
    failed,
    json,
    queued,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

ASK = RequestReview(run_id="r")
REVIEWED = (task("t"), *completed("t", "r"), ASK)
METADATA = (
    '{"source":"task_run_review","review_id":"review-1","outcome":"rejected","parent_run_id":"r"}'
)
OUTCOMES: dict[str, type[Fact]] = {
    "approved": RunReviewApproved,
    "rejected": RunReviewRejected,
    "blocked": RunReviewBlocked,
    "error": RunReviewError,
    "timeout": RunReviewTimeout,
    "invalid_output": RunReviewInvalidOutput,
}


def verdict(review_id: str = "review-1", **given: Any) -> SubmitVerdict:
    """Return an approval, or another verdict."""
    usual = {"outcome": "approved", "confidence": 0.5, "reason": "good", "delivery_id": "d"}
    return SubmitVerdict(review_id=review_id, **{**usual, **given})


def reject(review_id: str = "review-1", **given: Any) -> SubmitVerdict:
    usual = {"outcome": "rejected", "missing_work": json('["tests"]')}
    return verdict(review_id, **{**usual, **given})


def told(outcome: str, **given: Any) -> dict[str, Any]:
    """Return what both events of a verdict tell."""
    usual = {
        "review_id": "review-1",
        "run_id": "r",
        "outcome": outcome,
        "confidence": 0.5,
        "delivery_id": "d",
        "review_round": 1,
    }
    return {**usual, **given}


def recorded(outcome: str, **given: Any) -> RunReviewRecorded:
    private = {name: given.pop(name) for name in ("reason", "missing_work") if name in given}
    return RunReviewRecorded(**told(outcome, **given), **{"reason": "good", **private})


def rounds(spec: Spec, last: int) -> Spec:
    """Let the first rounds be rejected, each continuing the one before; `last` waits."""
    for number in range(1, last):
        spec.given(Step(command=reject(f"review-{number}"), run_id=f"r{number + 1}"))
        run_id = f"r{number + 1}"
        spec.given(*completed("t", run_id)[1:], RequestReview(run_id=run_id))
    return spec


@pytest.mark.parametrize("outcome", [each for each in OUTCOMES if each != "rejected"])
def test_a_verdict_changes_nothing_but_the_review(outcome: str) -> None:
    spec = given(*REVIEWED).when(verdict(outcome=f" {outcome.upper()} "), at=LATER)
    spec.then(on("t", recorded(outcome), "r"), on("t", OUTCOMES[outcome](**told(outcome)), "r"))
    spec.then_reply(task_id="t", review_id="review-1")
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    review = review_of(spec)
    assert (review.status, review.outcome, review.reason) == ("recorded", outcome, "good")
    assert (review.reviewed_at, review.updated_at) == (LATER, LATER)
    spec.then_task("t", status="completed", updated_at=LATER, closed_at=NOW)
    spec.then_run("r", status="completed")


def test_a_verdict_keeps_everything_it_says() -> None:
    command = verdict(
        run_id=" r ",
        outcome="blocked",
        confidence=0,
        reason=" why ",
        delivery_id=" d ",
        missing_work=json('[ " one ", "two" ]'),
        next_round_guidance=" go on ",
        review_text=" long ",
    )
    spec = given(*REVIEWED).when(command)
    review = review_of(spec)
    assert (review.reason, review.delivery_id, review.confidence) == ("why", "d", 0)
    assert (review.missing_work, review.next_round_guidance) == (("one", "two"), "go on")
    assert (review.review_text, review.reviewed_by) == ("long", Actor("human", "local-user"))


@pytest.mark.parametrize(
    ("members", "error", "text"),
    [
        ({"outcome": ""}, ValidationError, "run_review_verdict.outcome is required"),
        ({"outcome": "fine"}, ValidationError, 'run_review_verdict.outcome must be "approved"'),
        ({"confidence": None}, ValidationError, "run_review_verdict.confidence is required"),
        ({"confidence": 1.1}, ValidationError, "confidence must be from 0 to 1: 1.1"),
        ({"confidence": -0.1}, ValidationError, "confidence must be from 0 to 1: -0.1"),
        ({"reason": " "}, ValidationError, "run_review_verdict.reason is required"),
        ({"reason": "r" * 4097}, ValidationError, "run_review_verdict.reason exceeds 4096 bytes"),
        ({"delivery_id": ""}, ValidationError, "run_review_verdict.delivery_id is required"),
        ({"delivery_id": "d" * 257}, ValidationError, "delivery_id exceeds 256 bytes"),
        ({"missing_work": json('"x"')}, ValidationError, "must be an array of strings"),
        ({"missing_work": json("[1]")}, ValidationError, "must be an array of strings"),
        ({"missing_work": json('["a", " "]')}, ValidationError, "missing_work[1] is required"),
        ({"missing_work": json("[")}, ValidationError, "missing_work must contain valid JSON"),
        (
            {"missing_work": json(f'["{"x" * 65_536}"]')},
            PayloadTooLargeError,
            "run_review_verdict.missing_work exceeds 65536 bytes",
        ),
        ({"next_round_guidance": "g" * 8193}, ValidationError, "guidance exceeds 8192 bytes"),
        ({"review_text": "t" * 65_537}, ValidationError, "review_text exceeds 65536 bytes"),
        (
            {"missing_work": json('["a"]')},
            ValidationError,
            "missing_work must be empty for an approved run: 1 items",
        ),
        (
            {"outcome": "rejected"},
            ValidationError,
            "run_review_verdict.next_round_guidance is required for a rejected run",
        ),
        ({"run_id": "other"}, ValidationError, 'run_review_verdict.run_id must be "r": "other"'),
        ({"review_id": "none"}, ReviewNotFoundError, 'task run review "none"'),
    ],
)
def test_a_verdict_that_is_not_acceptable(members: dict[str, Any], error: Any, text: str) -> None:
    given(*REVIEWED).when(verdict(**members)).then_refused(error, text)


def test_a_bad_verdict_goes_before_an_unknown_review() -> None:
    given().when(verdict("none", outcome="")).then_refused(ValidationError)


def test_a_rejection_queues_the_run_that_continues() -> None:
    given_blocked = (task("d"), waits("d", "t"))
    spec = given(task("t", network_channel="c"), *completed("t", "r"), *given_blocked, ASK)
    spec.then_task("d", status="ready")
    origin = Origin("cli", "review")
    spec.when(reject(), run_id="r2", at=LATER, origin=origin)
    retry = RunReviewRetryEnqueued(
        review_id="review-1",
        run_id="r",
        continuation_run_id="r2",
        review_round=2,
        attempt=2,
        task_status="ready",
        network_channel="c",
        metadata=json(METADATA),
    )
    continued = told("rejected", continuation_run_id="r2")
    spec.then(
        on("t", recorded("rejected", missing_work=("tests",), continuation_run_id="r2"), "r"),
        on("t", RunReviewRejected(**continued), "r"),
        on("t", retry, "r2"),
        Past(
            "task:d",
            TaskStatusChanged(
                previous_status="ready",
                status="blocked",
                cause_event_id=spec.recorded[2].event_id,
                cause_task_id="t",
            ),
        ),
    )
    spec.then_reply(task_id="t", run_id="r2", review_id="review-1")
    spec.then_task("t", status="ready", closed_at=0, updated_at=LATER)
    spec.then_run("r", status="completed", result=spec.world.run("r").result)
    spec.then_run("r2", status="queued", attempt=2, origin=origin, network_channel="c")
    spec.then_run("r2", review_id="review-1", reviewed_run_id="r", review_round=2)
    assert bytes(spec.world.run("r2").metadata).decode() == METADATA
    assert review_of(spec).continuation_run_id == "r2"


def test_a_rejection_may_also_tell_only_what_to_do_next() -> None:
    command = reject(missing_work=json("[]"), next_round_guidance="write tests")
    spec = given(*REVIEWED).when(Step(command=command, run_id="r2"))
    spec.then_run("r2", status="queued")


def test_the_channel_of_the_rejected_run_goes_before_that_of_the_task() -> None:
    made = (workspace("w1"), workspace_task("t", network_channel="c"))
    own = queued("t", "r", network_channel="own")
    spec = given(*made, own, *completed("t", "r")[1:], ASK).when(reject(), run_id="r2")
    spec.then_run("r2", network_channel="own", coordination_channel_id="own")


def test_a_task_with_an_open_run_is_not_continued() -> None:
    spec = given(task("t"), *completed("t", "r"), ASK, queued("t", "r2"))
    spec.when(reject()).then_refused(InvalidTransitionError, 'task "t" has open run "r2"')
    assert review_of(spec).is_open


def test_a_task_without_attempts_left_is_not_continued() -> None:
    spec = given(task("t", max_attempts=1), *failed("t", "r"), ASK)
    spec.when(reject()).then_refused(InvalidTransitionError, 'task "t" exhausted max_attempts=1')
    spec.when(verdict()).then_reply(task_id="t", review_id="review-1")


def test_a_canceled_task_is_not_continued() -> None:
    spec = given(task("t"), *canceled("t", "r"), ASK)
    spec.when(reject()).then_refused(InvalidTransitionError, 'task "t" is canceled')


def test_the_same_verdict_again_is_silent() -> None:
    spec = given(*REVIEWED, Step(command=reject(), run_id="r2"))
    same = reject(missing_work=json('[ "tests" ]'), confidence=0.9, reason=" good ")
    spec.when(same).then_nothing()
    spec.then_reply(task_id="t", run_id="r2", review_id="review-1", replayed=True)
    spec.given(*completed("t", "r2")[1:]).when(same).then_nothing()


@pytest.mark.parametrize(
    "members",
    [
        {"outcome": "blocked"},
        {"reason": "other"},
        {"delivery_id": "other"},
        {"missing_work": json('["docs"]')},
        {"next_round_guidance": "other"},
        {"review_text": "other"},
    ],
)
def test_another_verdict_is_a_conflict(members: dict[str, Any]) -> None:
    spec = given(*REVIEWED, reject()).when(reject(**members))
    spec.then_refused(ConflictError, '"review-1" has verdict "rejected" of delivery "d" already')


def test_the_same_verdict_of_another_caller_is_a_conflict() -> None:
    spec = given(*REVIEWED, session("s1"), verdict())
    spec.when(agent("s1", verdict())).then_refused(ConflictError)


def test_a_delivery_means_something_inside_one_review_only() -> None:
    other = (task("t2"), *completed("t2", "r2"), RequestReview(run_id="r2"))
    spec = given(*REVIEWED, *other, verdict()).when(verdict("review-2"))
    spec.then_reply(task_id="t2", review_id="review-2")


def test_a_taken_review_is_judged_by_its_reviewer_or_by_a_person() -> None:
    spec = given(*REVIEWED, session("s1"), session("s2"), take("s1"))
    spec.when(agent("s2", verdict())).then_refused(
        PermissionDeniedError, 'task run review "review-1" is bound to session "s1"'
    )
    spec.when(agent("s2", verdict(run_id="x"))).then_refused(ValidationError)
    spec.when(agent("s1", verdict())).then_reply(task_id="t", review_id="review-1")
    given(*REVIEWED, session("s1"), take("s1")).when(verdict()).then_reply(
        task_id="t", review_id="review-1"
    )


def test_a_review_that_nobody_took_is_judged_by_anybody() -> None:
    spec = given(*REVIEWED, session("s1")).when(agent("s1", verdict()))
    assert review_of(spec).reviewed_by == Actor("agent_session", "s1")


def test_each_continuation_is_a_round_of_its_own() -> None:
    spec = rounds(given(*REVIEWED), 3)
    found: list[Review] = [review for _, review in spec.world.reviews()]
    assert [(each.run_id, each.review_round) for each in found] == [("r", 1), ("r2", 2), ("r3", 3)]


def test_a_rejection_in_the_last_round_opens_the_circuit() -> None:
    spec = rounds(given(*REVIEWED), 3)
    last = [review.id for _, review in spec.world.reviews()][-1]
    spec.when(reject(last))
    exhausted = RunReviewRoundsExhausted(review_id=last, run_id="r3", review_round=3, max_rounds=3)
    same = {"review_id": last, "run_id": "r3", "review_round": 3}
    spec.then(
        on("t", recorded("rejected", missing_work=("tests",), **same), "r3"),
        on("t", RunReviewRejected(**told("rejected", **same)), "r3"),
        on("t", exhausted, "r3"),
    )
    review = review_of(spec, last)
    assert (review.status, review.outcome) == ("circuit_opened", "rejected")
    spec.then_task("t", status="completed")
    spec.when(reject(last)).then_nothing().then_reply(task_id="t", review_id=last, replayed=True)
    spec.when(verdict(last)).then_refused(ConflictError)


def test_a_round_that_was_stated_too_low_does_not_keep_the_circuit_closed() -> None:
    spec = given(task("t"), *completed("t", "r"), ASK)
    spec.policy = Policy(max_review_rounds=2)
    spec.given(Step(command=reject(), run_id="r2"), *completed("t", "r2")[1:])
    spec.given(RequestReview(run_id="r2", review_round=1)).when(reject("review-2"))
    assert review_of(spec, "review-2").status == "circuit_opened"


def test_with_one_round_nothing_is_continued() -> None:
    spec = given(*REVIEWED)
    spec.policy = Policy(max_review_rounds=1)
    spec.when(reject()).then_task("t", status="completed")
    assert review_of(spec).status == "circuit_opened"


def test_reviews_past_their_deadline_end_by_themselves() -> None:
    due = RequestReview(run_id="r", deadline_at=rfc3339(LATER))
    spec = given(task("t"), *completed("t", "r"), due, session("s1"), take("s1"))
    sweep = EndReviews(limit=10)
    spec.when(sweep, at=LATER - 1).then_nothing()
    spec.when(sweep, at=LATER, actor=SCHEDULER_ACTOR)
    ended = told("timeout", confidence=1.0, delivery_id="review-deadline:review-1")
    reason = f"no verdict by {rfc3339(LATER)}"
    spec.then(
        on("t", RunReviewRecorded(**ended, reason=reason), "r"),
        on("t", RunReviewTimeout(**ended), "r"),
    )
    review = review_of(spec)
    assert (review.status, review.outcome, review.reviewed_by) == (
        "recorded",
        "timeout",
        SCHEDULER_ACTOR,
    )
    spec.when(sweep, at=LATER + SECOND).then_nothing()
    spec.when(verdict()).then_refused(ConflictError)


def test_a_review_without_a_deadline_waits_for_ever() -> None:
    given(*REVIEWED).when(EndReviews(limit=10), at=NOW * 2).then_nothing()


def test_a_sweep_ends_so_many_reviews_the_oldest_deadline_first() -> None:
    tasks = [(f"t{number}", f"r{number}") for number in range(3)]
    made = [step for t, r in tasks for step in (task(t), *completed(t, r))]
    asks = [
        RequestReview(run_id=r, deadline_at=rfc3339(LATER - number * SECOND))
        for number, (_, r) in enumerate(tasks)
    ]
    spec = given(*made, *asks).when(EndReviews(limit=2), at=LATER)
    assert [past.run_id for past in spec.recorded[::2]] == ["r2", "r1"]


def test_a_retried_run_stays_in_its_round() -> None:
    state = rounds(given(*REVIEWED), 2).world.state("task:t")
    assert isinstance(state, TaskState)
    retried = replace(state.runs["r2"], id="r3", previous_run_id="r2", review_round=0)
    assert round_of(state.with_run(retried), retried) == 2
