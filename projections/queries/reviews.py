"""The reviews of a task or of a run, and one review (task API, reviews)."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from domain.task.state import Review as DomainReview
from projections.rows import Reader
from projections.wire.reviews import Review, review_view

_REVIEW: Final = msgspec.json.Decoder(DomainReview).decode


class ReviewFilters(Struct, frozen=True, kw_only=True):
    """Which reviews to list; empty filters admit all, a limit of 0 means none."""

    task_id: str = ""
    run_id: str = ""
    status: str = ""
    reviewer_session_id: str = ""
    limit: int = 0


def review_of(reader: Reader, review_id: str) -> tuple[Review, str] | None:
    """Return a review and the workspace of its task, None when there is no such review."""
    found = reader.select("SELECT doc, workspace_id FROM reviews WHERE review_id = ?", (review_id,))
    return (review_view(_REVIEW(found[0][0])), found[0][1]) if found else None


def list_reviews(reader: Reader, filters: ReviewFilters) -> list[Review]:
    """Return the reviews that pass, the latest change first."""
    columns = ("task_id", "run_id", "status", "reviewer_session_id")
    wanted = [(name, getattr(filters, name)) for name in columns if getattr(filters, name)]
    conditions = " AND ".join(f"{name} = ?" for name, _ in wanted)
    values: list[Any] = [value for _, value in wanted]
    statement = (
        f"SELECT doc FROM reviews WHERE {conditions} ORDER BY updated_at DESC, review_id DESC"
    )
    if filters.limit:
        statement += " LIMIT ?"
        values.append(filters.limit)
    return [review_view(_REVIEW(row[0])) for row in reader.select(statement, values)]
