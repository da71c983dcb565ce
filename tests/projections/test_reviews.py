"""The rows of reviews: lists of them, and what deciding looks up."""

from typing import Any

import pytest
from msgspec import UNSET

from domain import events as e
from domain.instants import SECOND, rfc3339
from projections.queries.reviews import ReviewFilters, list_reviews, review_of
from projections.reviews import REVIEWS
from tests.projections.support import HUMAN, START, Ledger


@pytest.fixture
def reviews(ledger: Ledger) -> Ledger:
    """Two reviews of the ledger itself, and one of a workspace."""
    for number in ("1", "2", "3"):
        ledger.create(f"task-{number}", workspace="ws-1" if number == "3" else "")
        ledger.enqueue(f"task-{number}", f"run-{number}")
        ledger.run_fact(f"run-{number}", e.RunCompleted, "completed", "completed")
        ledger.ask(f"run-{number}", f"review-{number}", deadline_at=ledger.now + SECOND)
    return ledger


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"task_id": "task-1"}, ["review-1"]),
        ({"run_id": "run-2"}, ["review-2"]),
        ({"status": "requested", "limit": 2}, ["review-3", "review-2"]),
        ({"status": "in_review", "reviewer_session_id": "session-1"}, ["review-1"]),
        ({"task_id": "task-1", "status": "recorded"}, []),
    ],
)
def test_reviews_are_filtered_and_come_latest_first(
    reviews: Ledger, filters: dict[str, Any], expected: list[str]
) -> None:
    if "reviewer_session_id" in filters:
        reviews.take_review(reviews.review("review-1"), "session-1")
    found = list_reviews(reviews.store, ReviewFilters(**filters))

    assert [review.review_id for review in found] == expected


def test_a_review_is_found_with_the_workspace_of_its_task(reviews: Ledger) -> None:
    found = review_of(reviews.store, "review-3")
    assert found is not None
    review, workspace_id = found

    assert (review.status, review.run_id, workspace_id) == ("requested", "run-3", "ws-1")
    assert (review.confidence, review.missing_work, review.outcome) == (None, (), UNSET)
    assert review.deadline_at != review.started_at == rfc3339(0)
    reviews.judge(reviews.review("review-3"), "blocked")
    found = review_of(reviews.store, "review-3")
    assert found is not None
    assert (found[0].confidence, found[0].reviewed_by) == (0.5, HUMAN)
    assert review_of(reviews.store, "review-4") is None


def test_open_reviews_come_oldest_first_and_those_that_are_taken_last(reviews: Ledger) -> None:
    lookup = reviews
    reviews.take_review(reviews.review("review-1"), "session-1")

    assert list(lookup.open_reviews("")) == [("task-2", "review-2"), ("task-1", "review-1")]
    assert list(lookup.open_reviews("ws-1")) == [("task-3", "review-3")]
    assert lookup.review_of_session("session-1") == "review-1"
    assert lookup.review_of_session("session-2") is None
    reviews.judge(reviews.review("review-1"), "rejected", "run-4")
    assert list(lookup.open_reviews("")) == [("task-2", "review-2")]
    assert lookup.review_of_session("session-1") is None


def test_more_open_reviews_than_are_read_at_once_come_in_order(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    ledger.run_fact("run-1", e.RunCompleted, "completed", "completed")
    for number in range(40):
        ledger.ask("run-1", f"review-{number:02}")

    found = [review_id for _, review_id in ledger.open_reviews("")]
    assert found == [f"review-{number:02}" for number in range(40)]


def test_reviews_are_overdue_by_their_deadline_until_they_are_over(reviews: Ledger) -> None:
    lookup, late = reviews, reviews.now + 10 * SECOND
    everything = [(f"task-{number}", f"review-{number}") for number in (1, 2, 3)]

    assert lookup.overdue_reviews(START, 9) == []
    assert lookup.overdue_reviews(late, 9) == everything
    assert lookup.overdue_reviews(late, 1) == everything[:1]
    reviews.judge(reviews.review("review-1"), "timeout")
    assert lookup.overdue_reviews(late, 9) == everything[1:]


def test_a_review_leads_to_its_task_until_the_task_is_deleted(reviews: Ledger) -> None:
    assert reviews.task_of_review("review-1") == "task-1"
    reviews.delete("task-1")
    assert reviews.task_of_review("review-1") is None
    assert [row[0] for row in reviews.store.rows(REVIEWS)] == ["review-2", "review-3"]


def test_every_question_has_an_index(reviews: Ledger) -> None:
    store = reviews.store
    store.selects.clear()
    list(reviews.open_reviews(""))
    reviews.review_of_session("session-1")
    reviews.overdue_reviews(1, 1)
    list_reviews(store, ReviewFilters(task_id="task-1"))
    list_reviews(store, ReviewFilters(run_id="run-1", status="recorded", limit=3))

    for statement in store.selects:
        plan = store.plan_of(statement, [""] * statement.count("?"))
        assert "USING INDEX reviews_" in plan, (statement, plan)
        assert "TEMP B-TREE" not in plan, (statement, plan)
