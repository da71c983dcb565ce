"""The model's reviews, and random requests about them."""

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from domain.instants import rfc3339
from tests.machine.state import (
    OPEN,
    SECOND,
    TRANSITION,
    Outcome,
    RefusedError,
    Review,
    Run,
)
from tests.machine.tasks import Tasks

if TYPE_CHECKING:
    from tests.machine.machines import Machine

MAX_ROUNDS = 3
OUTCOMES = ("rejected", "rejected", "approved", "error")

outcomes = st.sampled_from(OUTCOMES)
attempts = st.sampled_from((0, 0, 0, 2))


class Reviews(Tasks):
    """What becomes of ended runs."""

    def reviews(self) -> list[Review]:
        """Return the reviews of the tasks that are there, the oldest first."""
        return [each for each in self.all_reviews if each.run.task.id in self.tasks]

    def review(self, review_id: str) -> Review:
        """Return a review."""
        found = next((each for each in self.reviews() if each.id == review_id), None)
        if found is None:
            raise RefusedError(404, "task: task run review not found")
        return found

    def request_review(self, run_id: str, actor: str, attempt: int, due: int) -> Outcome:
        """Ask for the review of a run."""
        run = self.run(run_id)
        if run.status in OPEN:
            raise RefusedError(409, f'{TRANSITION}: task run "{run_id}" is {run.status}')
        earlier = [each for each in self.reviews() if each.run is run]
        for review in earlier:
            if review.attempt == (attempt or 1):
                return Outcome(200, review=review, replayed=True)
        if any(each.outcome in {"", "approved", "rejected"} for each in earlier):
            raise RefusedError(409, f'{TRANSITION}: task run "{run_id}" has review')
        review = Review(run, attempt or 1, actor, due)
        self.all_reviews.append(review)
        self.note("task.run_review_requested", run.task, run)
        return Outcome(201, review=review)

    def take_review(self, session_id: str) -> Outcome:
        """Hand a session the oldest review that waits."""
        if any(each.is_open and each.reviewer == session_id for each in self.reviews()):
            raise RefusedError(409, "task: session already bound")
        for review in self.reviews():
            if self._may_review(session_id, review):
                review.reviewer, review.status = session_id, "in_review"
                self.note("task.run_review_bound", review.run.task, review.run)
                return Outcome(200, None, review.run, review=review)
        return Outcome(204)

    def _may_review(self, session_id: str, review: Review) -> bool:
        run = review.run
        return (
            review.status == "requested"
            and run.task.workspace == self.sessions[session_id].workspace
            and not 0 < review.due <= self.now
            and session_id not in {review.asked_by, run.session}
            and run.claimed_by != ("agent_session", session_id)
        )

    def judge(self, review_id: str, actor: str, outcome: str) -> Outcome:
        """Record a verdict."""
        review = self.review(review_id)
        if not review.is_open:
            if (review.outcome, review.judged_by) != (outcome, actor):
                raise RefusedError(409, "task: conflict")
            return Outcome(200, None, review.continuation, review=review, replayed=True)
        if actor != "human" and review.reviewer not in {"", actor}:
            raise RefusedError(403, "task: permission denied")
        self._record(review, actor, outcome)
        return Outcome(200, None, review.continuation, review=review)

    def _record(self, review: Review, actor: str, outcome: str) -> None:
        run, task = review.run, review.run.task
        last = run.round >= MAX_ROUNDS
        if outcome == "rejected" and not last:
            self.check_room(task)
        review.status, review.outcome, review.judged_by = "recorded", outcome, actor
        self.note("task.run_review_recorded", task, run)
        self.note(f"task.run_review_{outcome}", task, run)
        if outcome == "rejected" and last:
            review.status = "circuit_opened"
            self.note("task.run_review_rounds_exhausted", task, run)
        elif outcome == "rejected":
            review.continuation = Run(task, len(task.runs) + 1, round=run.round + 1)
            task.runs.append(review.continuation)
            self.note("task.run_review_retry_enqueued", task, review.continuation)
            self.settle(task)

    def end_reviews(self) -> None:
        """Let the reviews end whose time is over."""
        late = [each for each in self.reviews() if each.is_open and 0 < each.due <= self.now]
        for review in sorted(late, key=lambda each: (each.due, each.id)):
            self._record(review, "daemon", "timeout")


def has_reviews(machine: "Machine") -> bool:
    """Whether there is any review."""
    return bool(machine.model.reviews())


def review_id(machine: "Machine", number: int) -> str:
    """Return the id of a review, mostly of an open one."""
    reviews = machine.model.reviews()
    waiting = [each for each in reviews if each.is_open] if number % 8 else []
    found = waiting or reviews
    return found[number // 8 % len(found)].id if found and number < 62 else "review-unknown"


def request_review(machine: "Machine", number: int, actor: str, attempt: int, late: bool) -> None:
    """Ask for the review of a run, mostly of one that has ended."""
    run_id = machine.run_id(number, "completed", "failed", "canceled")
    # The clock of a server of its own is not known.
    due = machine.gate.now + 60 * SECOND if late and machine.gate.now else 0
    body: dict[str, Any] = {"attempt": attempt, **({"deadline_at": rfc3339(due)} if due else {})}
    machine.ask(
        actor,
        lambda: machine.model.request_review(run_id, actor or "human", attempt, due),
        "POST",
        f"/task-runs/{run_id}/reviews",
        body,
    )


def take_review(machine: "Machine", session: str) -> None:
    """Let a session take a review."""
    path = "/agent/reviews/claim-next"
    machine.ask(session, lambda: machine.model.take_review(session), "POST", path)


def judge(machine: "Machine", number: int, actor: str, outcome: str) -> None:
    """Say what came of a review, mostly of one that waits for it."""
    chosen = review_id(machine, number)
    verdict = {
        "outcome": outcome,
        "confidence": 1,
        "reason": "so",
        "delivery_id": "d",
        "next_round_guidance": "again",
    }
    machine.ask(
        actor,
        lambda: machine.model.judge(chosen, actor or "human", outcome),
        "POST",
        f"/task-reviews/{chosen}/verdict",
        {"verdict": verdict},
    )
