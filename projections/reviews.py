"""The current state of every review, one row each, and what deciding looks up in them."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from domain.events import TaskDeleted
from domain.task.review_folds import REVIEW_FOLDS
from domain.task.state import Review, TaskState
from domain.world import Change
from projections.rows import Row, Rows, Store
from projections.schema import define

REVIEWS: Final = define(
    "reviews",
    key={"review_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "run_id": "TEXT",
        "workspace_id": "TEXT",
        "status": "TEXT",
        "reviewer_session_id": "TEXT",
        "requested_at": "INTEGER",
        "updated_at": "INTEGER",
        "due_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "run": "(run_id, updated_at, review_id)",
        "task": "(task_id, updated_at, review_id)",
        "waiting": "(workspace_id, requested_at, review_id) WHERE status = 'requested'",
        "taken": "(workspace_id, requested_at, review_id) WHERE status = 'in_review'",
        "reviewer": "(reviewer_session_id) WHERE status = 'in_review'",
        "due": "(due_at, review_id) WHERE due_at <> 0",
    },
    eager=True,
    clustered=False,
)
"""`due_at` is the deadline of an open review, 0 when it has none or is over."""

_ENCODE: Final = msgspec.json.Encoder().encode
_OPEN: Final = tuple(
    "SELECT requested_at, review_id, task_id FROM reviews"
    f" WHERE status = '{status}' AND workspace_id = ? AND (requested_at, review_id) > (?, ?)"
    " ORDER BY requested_at, review_id LIMIT ?"
    for status in ("requested", "in_review")
)
_PAGE: Final = 16


class ReviewsProjector:
    """Keeps the rows of the reviews."""

    name = "reviews"
    version = 1
    separable = True
    facts = frozenset({*REVIEW_FOLDS, TaskDeleted})
    tables = (REVIEWS,)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows of the reviews that the event changed up to date."""
        state = change.task
        if state is None or not state.reviews:
            return
        if state.task.deleted:
            for review_id in state.reviews:
                rows.delete(REVIEWS, (review_id,))
            return
        before = change.before.reviews if isinstance(change.before, TaskState) else {}
        if before is state.reviews:
            return
        for review in state.reviews.values():
            if review is not before.get(review.id):
                rows.put(REVIEWS, _row(review, state.task.workspace_id))


def _row(review: Review, workspace_id: str) -> Row:
    return (
        review.id,
        review.task_id,
        review.run_id,
        workspace_id,
        review.status,
        review.reviewer_session_id,
        review.requested_at,
        review.updated_at,
        review.deadline_at if review.is_open else 0,
        _ENCODE(review),
    )


class ReviewLookup:
    """What deciding asks about reviews; every cost is bounded by the answer."""

    def __init__(self, store: Store) -> None:
        """Look into the rows of this store."""
        self._store = store

    def task_of_review(self, review_id: str) -> str | None:
        """Return the task a review belongs to."""
        found = self._store.get(REVIEWS, (review_id,))
        return found[1] if found else None

    def review_of_session(self, session_id: str) -> str | None:
        """Return the open review that a session has taken."""
        found = self._store.select(
            "SELECT review_id FROM reviews WHERE status = 'in_review' AND reviewer_session_id = ?",
            (session_id,),
        )
        return found[0][0] if found else None

    def open_reviews(self, workspace_id: str) -> Iterator[Row]:
        """Yield (task id, review id): first those nobody has taken, oldest first, then the others.

        Reads a few rows at a time: hardly anybody asks for a second one.
        """
        for statement in _OPEN:
            last: Row = (0, "")
            while page := self._store.select(statement, (workspace_id, *last, _PAGE)):
                yield from ((task_id, review_id) for _, review_id, task_id in page)
                last = page[-1][:2]

    def overdue_reviews(self, now: int, limit: int) -> Sequence[Row]:
        """Return (task id, review id) of open reviews past their deadline, oldest first."""
        return self._store.select(
            "SELECT task_id, review_id FROM reviews WHERE due_at <> 0 AND due_at <= ?"
            " ORDER BY due_at, review_id LIMIT ?",
            (now, limit),
        )
