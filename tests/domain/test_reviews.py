"""Asking for reviews and taking them."""

from typing import Any

import pytest

from domain.commands import (
    CancelRun,
    ClaimNextReview,
    ClaimRun,
    CompleteRun,
    DeleteTask,
    ProfileSection,
    RequestReview,
    SetProfile,
    StartRun,
    StopSession,
    SubmitVerdict,
)
from domain.errors import (
    IdentityError,
    InvalidTransitionError,
    PermissionDeniedError,
    ReviewNotFoundError,
    RunNotFoundError,
    SessionAlreadyBoundError,
    ValidationError,
)
from domain.events import RunReviewBound, RunReviewRequested
from domain.instants import SECOND, rfc3339
from domain.task.state import Review
from tests.support.spec import NOW, Spec, Step, given, on
from tests.support.steps import (
    AGENT,
    agent,
    canceled,
    completed,
    failed,
    leased,
    queued,
    session,
    task,
    workspace,
    workspace_task,
)

LATER = NOW + 60 * SECOND
DONE = (task("t"), *completed("t", "r"))


def ask(run_id: str = "r", **given: Any) -> RequestReview:
    return RequestReview(run_id=run_id, **given)


def take(session_id: str, at: int = NOW, **given: Any) -> Step:
    """Let a session ask for a review to do."""
    wanted = {"agent_name": AGENT, **given}
    return agent(session_id, ClaimNextReview(session_id=session_id, **wanted), at)


def requested(review_id: str = "review-1", **given: Any) -> RunReviewRequested:
    usual = {"run_id": "r", "policy": "always", "review_round": 1, "attempt": 1, "created": True}
    return RunReviewRequested(review_id=review_id, **{**usual, **given})


def verdict(review_id: str = "review-1", **given: Any) -> SubmitVerdict:
    usual = {"outcome": "error", "confidence": 1.0, "reason": "why", "delivery_id": "d"}
    return SubmitVerdict(review_id=review_id, **{**usual, **given})


def review_of(spec: Spec, review_id: str = "review-1") -> Review:
    return next(review for _, review in spec.world.reviews() if review.id == review_id)


def test_a_review_of_an_ended_run_is_asked_for() -> None:
    spec = given(*DONE).when(ask(), at=LATER).then(on("t", requested(), "r"))
    spec.then_reply(task_id="t", review_id="review-1")
    review = review_of(spec)
    assert (review.status, review.requested_by.ref) == ("requested", "local-user")
    assert (review.requested_at, review.updated_at) == (LATER, LATER)
    spec.then_task("t", updated_at=NOW, last_activity_at=LATER, status="completed")


def test_everything_about_a_review_may_be_chosen() -> None:
    command = ask(
        stated_run_id=" r ",
        stated_task_id="t",
        policy=" ON_SUCCESS ",
        review_round=4,
        attempt=2,
        parent_review_id=" p ",
        reason=" r ",
        deadline_at=rfc3339(LATER),
    )
    given(*DONE).when(command).then(
        requested(
            policy="on_success",
            review_round=4,
            attempt=2,
            parent_review_id="p",
            reason="r",
            deadline_at=LATER,
        )
    )


@pytest.mark.parametrize("zero", ["", "  ", "0001-01-01T00:00:00Z", "0001-01-01T02:00:00+02:00"])
def test_no_time_and_the_zero_time_are_no_deadline(zero: str) -> None:
    given(*DONE).when(ask(deadline_at=zero)).then(requested())


@pytest.mark.parametrize(
    ("ended", "policy", "fits"),
    [
        (completed, "always", True),
        (completed, "on_success", True),
        (completed, "on_failure", False),
        (failed, "always", True),
        (failed, "on_success", False),
        (failed, "on_failure", True),
        (canceled, "always", True),
        (canceled, "on_success", False),
        (canceled, "on_failure", True),
    ],
)
def test_the_policy_has_to_fit_how_the_run_ended(ended: Any, policy: str, fits: bool) -> None:
    spec = given(task("t"), *ended("t", "r")).when(ask(policy=policy))
    if fits:
        spec.then(requested(policy=policy))
    else:
        spec.then_refused(InvalidTransitionError, f'"{policy}" does not fit task run "r"')


@pytest.mark.parametrize(
    "steps",
    [
        (queued("t", "r"),),
        (queued("t", "r"), ClaimRun(run_id="r")),
        (queued("t", "r"), ClaimRun(run_id="r"), StartRun(run_id="r")),
    ],
)
def test_a_run_that_goes_on_is_not_reviewed(steps: Any) -> None:
    given(task("t"), *steps).when(ask()).then_refused(
        InvalidTransitionError, "only an ended run can be reviewed"
    )


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"policy": "none"}, 'policy must be "always", "on_success" or "on_failure": "none"'),
        ({"policy": "often"}, 'run_review.policy must be "none", "always"'),
        ({"review_round": -1}, "run_review.review_round must not be negative: -1"),
        ({"attempt": -2}, "run_review.attempt must not be negative: -2"),
        ({"parent_review_id": "p" * 257}, "run_review.parent_review_id exceeds 256 bytes"),
        ({"reason": "r" * 4097}, "run_review.reason exceeds 4096 bytes"),
        ({"reason": "\x00"}, "run_review.reason must not contain the NUL character"),
        ({"deadline_at": "soon"}, 'run_review.deadline_at must be an RFC 3339 time: "soon"'),
        ({"deadline_at": "0001-01-01T00:00:00+14:00"}, "must be an RFC 3339 time"),
        ({"deadline_at": "2026-02-30T00:00:00Z"}, "must be an RFC 3339 time"),
        ({"stated_run_id": "other"}, 'run_review.run_id must be "r": "other"'),
        ({"stated_task_id": "other"}, 'run_review.task_id must be "t": "other"'),
    ],
)
def test_a_request_that_is_not_acceptable(members: dict[str, Any], text: str) -> None:
    given(*DONE).when(ask(**members)).then_refused(ValidationError, text)


def test_an_unknown_run_comes_before_a_bad_member_and_that_before_a_run_that_goes_on() -> None:
    spec = given(task("t"), queued("t", "r"))
    spec.when(ask("none", policy="none")).then_refused(RunNotFoundError, 'task run "none"')
    spec.when(ask(policy="none")).then_refused(ValidationError)


def test_the_same_round_and_attempt_again_change_nothing() -> None:
    spec = given(*DONE, ask(reason="first"))
    spec.when(ask(reason="second", policy="on_success", deadline_at=rfc3339(LATER))).then_nothing()
    spec.then_reply(task_id="t", review_id="review-1", replayed=True)
    assert review_of(spec).reason == "first"
    spec.given(verdict()).when(ask()).then_nothing()


@pytest.mark.parametrize("members", [{"review_round": 2}, {"attempt": 2}])
def test_a_run_has_one_review(members: dict[str, Any]) -> None:
    text = 'task run "r" has review "review-1" already'
    spec = given(*DONE, ask())
    spec.when(ask(**members)).then_refused(InvalidTransitionError, text)
    spec.given(verdict(outcome="approved")).when(ask(**members))
    spec.then_refused(InvalidTransitionError, text)


@pytest.mark.parametrize("outcome", ["blocked", "error", "timeout", "invalid_output"])
def test_a_run_that_was_not_judged_may_get_another_review(outcome: str) -> None:
    spec = given(*DONE, ask(), verdict(outcome=outcome)).when(ask(attempt=2))
    spec.then(requested("review-2", attempt=2))
    spec.when(ask(attempt=3)).then_refused(InvalidTransitionError, 'review "review-2" already')


def test_the_token_of_another_workspace_asks_for_nothing() -> None:
    done = (workspace("w1"), workspace_task("t"), *completed("t", "r"))
    given(*done).when(ask(), workspace_limit="w2").then_refused(PermissionDeniedError)
    spec = given(*done, ask()).when(verdict(), workspace_limit="w2")
    spec.then_refused(PermissionDeniedError, 'the token is bound to workspace "w2"')
    spec.given(session("s1", workspace="w1")).when(take("s1"), workspace_limit="w2")
    spec.then_refused(PermissionDeniedError)


def test_a_session_takes_the_oldest_review() -> None:
    spec = given(task("t2"), *completed("t2", "r2"), *DONE, session("s1", channel="c"))
    spec.given(Step(command=ask(), at=LATER), Step(command=ask("r2"), at=LATER + 1))
    bound = RunReviewBound(
        review_id="review-1",
        run_id="r",
        session_id="s1",
        reviewer_agent_name=AGENT,
        reviewer_channel_id="c",
    )
    spec.when(take("s1", LATER + 2)).then(on("t", bound, "r"))
    spec.then_reply(task_id="t", run_id="r", session_id="s1", review_id="review-1")
    review = review_of(spec)
    assert (review.status, review.reviewer_session_id) == ("in_review", "s1")
    assert (review.started_at, review.updated_at) == (LATER + 2, LATER + 2)
    spec.when(take("s1")).then_refused(
        SessionAlreadyBoundError, 'session "s1" has open review "review-1"'
    )
    spec.given(session("s2"), take("s2"))
    assert review_of(spec, "review-2").reviewer_session_id == "s2"


def test_without_a_review_that_waits_a_session_gets_none() -> None:
    spec = given(*DONE, session("s1"), session("s2"), session("s3"))
    spec.when(take("s1")).then_nothing().then_reply(session_id="s1")
    spec.given(ask(), take("s1")).when(take("s2")).then_nothing()
    spec.given(verdict()).when(take("s3")).then_nothing()


def test_a_session_reviews_neither_its_own_work_nor_what_it_asked_for() -> None:
    done = agent("s1", CompleteRun(run_id="r"))
    by_hand = (queued("t", "r"), agent("s1", ClaimRun(run_id="r", idempotency_key="k")))
    started = StartRun(run_id="r", session_id="s2")
    spec = given(task("t"), session("s1"), session("s2"), session("s3"), *by_hand, started, done)
    spec.given(agent("s3", ask()))
    for session_id in ("s1", "s2", "s3"):
        spec.when(take(session_id)).then_nothing()
    spec.given(session("s4")).when(take("s4"))
    assert review_of(spec).reviewer_session_id == "s4"


def test_a_session_reviews_in_its_own_workspace() -> None:
    spec = given(workspace("w1"), workspace_task("t"), *completed("t", "r"), ask())
    spec.given(session("s1"), session("s2", workspace="w1"))
    spec.when(take("s1")).then_nothing()
    spec.when(take("s2"))
    assert review_of(spec).reviewer_session_id == "s2"


def test_a_review_past_its_deadline_is_not_handed_out() -> None:
    spec = given(*DONE, ask(deadline_at=rfc3339(LATER)), session("s1"))
    spec.when(take("s1", LATER)).then_nothing()
    spec.when(take("s1", LATER - 1))
    assert review_of(spec).status == "in_review"


def test_the_review_of_a_session_that_stopped_is_handed_on() -> None:
    spec = given(*DONE, ask(), session("s1"), session("s2"), take("s1"))
    spec.when(take("s2")).then_nothing()
    spec.given(StopSession(session_id="s1")).when(take("s2", LATER))
    review = review_of(spec)
    assert (review.reviewer_session_id, review.started_at) == ("s2", NOW)


@pytest.mark.parametrize(
    ("section", "members", "admitted"),
    [
        ("review", {"agent_name": "critic"}, False),
        ("review", {"agent_name": AGENT}, True),
        ("review", {"allowed_agent_names": ("critic",)}, False),
        ("review", {"allowed_agent_names": ("critic", AGENT)}, True),
        ("review", {"allowed_channel_ids": ("elsewhere",)}, False),
        ("review", {"allowed_channel_ids": ("c",)}, True),
        ("review", {"required_capabilities": ("go", "sql")}, False),
        ("review", {"required_capabilities": ("go",)}, True),
        ("participants", {"allowed_agent_names": ("critic",)}, False),
        ("participants", {"required_capabilities": ("sql",)}, False),
        ("worker", {"mode": "select", "required_capabilities": ("sql",)}, True),
    ],
)
def test_the_profile_says_who_may_review(
    section: str, members: dict[str, Any], admitted: bool
) -> None:
    sections: dict[str, Any] = {section: ProfileSection(**members)}
    profile = SetProfile(task_id="t", **sections)
    spec = given(*DONE, profile, ask(), session("s1", channel="c", capabilities=("go",)))
    spec.when(take("s1"))
    assert review_of(spec).status == ("in_review" if admitted else "requested")


def test_only_a_registered_active_session_takes_reviews() -> None:
    spec = given(*DONE, ask(), session("s1"))
    spec.when(take("s2")).then_refused(IdentityError, "is unknown or not active")
    spec.when(take("s1", agent_name="painter")).then_refused(IdentityError, "is not the agent")
    spec.given(StopSession(session_id="s1")).when(take("s1")).then_refused(IdentityError)


def test_the_reviews_of_a_deleted_task_are_gone() -> None:
    spec = given(*DONE, ask(deadline_at=rfc3339(LATER)), session("s1"), DeleteTask(task_id="t"))
    spec.when(take("s1")).then_nothing()
    spec.when(verdict()).then_refused(ReviewNotFoundError, 'task run review "review-1"')


def test_a_leased_run_is_not_reviewed_by_its_holder() -> None:
    holder = (session("s1"), *leased("t", "r"), CancelRun(run_id="r"))
    given(task("t"), *holder, ask()).when(take("s1")).then_nothing()
