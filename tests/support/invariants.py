"""What holds after every command, whatever the history."""

from domain.recorded import Recorded
from domain.task.state import Run, TaskState
from domain.task.status import derive_status
from domain.values import TERMINAL_TASK
from domain.world import State, evolve
from tests.support.world import World


def check_invariants(world: World) -> None:
    """Check everything that is recorded."""
    check_order(world.history)
    assert refold(world.history) == world.states
    holders: dict[str, str] = {}
    for state in world.tasks():
        check_status(world, state)
        check_runs(state)
        check_reviews(state)
        for run in state.runs.values():
            check_run(run)
            if run.is_active and run.claim_token_hash:
                assert holders.setdefault(run.claim_token_hash, run.id) == run.id


def check_order(history: list[Recorded]) -> None:
    """Check that positions never repeat, globally and by stream."""
    sequences = [past.sequence for past in history]
    assert sequences == sorted(set(sequences))
    assert len({past.event_id for past in history}) == len(history)
    versions: dict[str, int] = {}
    for past in history:
        assert past.originator_version == versions.get(past.originator_id, 0) + 1
        versions[past.originator_id] = past.originator_version


def refold(history: list[Recorded]) -> dict[str, State | None]:
    """Return the states that the events alone give."""
    states: dict[str, State | None] = {}
    for past in history:
        states[past.originator_id] = evolve(states.get(past.originator_id), past)
    return states


def check_status(world: World, state: TaskState) -> None:
    """Check that the stored status is the derived one, and what follows from it."""
    task = state.task
    status_of = {other.id: other.task.status for other in world.tasks()}
    assert task.status == derive_status(state, status_of.get), task.id
    assert task.status != "pending"
    assert (task.closed_at > 0) == (task.status in TERMINAL_TASK)
    assert (task.approval_policy == "none") == (task.approval_state == "not_required")
    own = [past.sequence for past in world.history if past.originator_id == f"task:{task.id}"]
    assert task.latest_event_seq == own[-1]
    children = {child.id for child in world.tasks() if child.task.parent_task_id == task.id}
    assert set(task.children) == children
    assert len(task.children) == len(children)


def check_runs(state: TaskState) -> None:
    """Check what the runs of one task are to each other."""
    runs = list(state.runs.values())
    assert sum(run.is_open for run in runs) <= 1
    assert sorted(run.attempt for run in runs) == list(range(1, len(runs) + 1))
    assert state.task.current_run_id == next((run.id for run in runs if run.is_active), "")


def check_reviews(state: TaskState) -> None:
    """Check what the reviews of one task are to each other and to its runs."""
    reviews = list(state.reviews.values())
    for review in reviews:
        assert not state.runs[review.run_id].is_open
        assert review.is_open == (review.outcome is None) == (review.reviewed_by is None)
        assert (review.status == "in_review") == (
            review.is_open and review.reviewer_session_id != ""
        )
    waiting = [review.run_id for review in reviews if review.is_open]
    assert len(set(waiting)) == len(waiting)
    followed = [review.continuation_run_id for review in reviews if review.continuation_run_id]
    assert sorted(followed) == sorted(run.id for run in state.runs.values() if run.review_id)


def check_run(run: Run) -> None:
    """Check the invariants of a run (task API, run)."""
    if run.status in {"queued", "needs_attention"}:
        assert (run.session_id, run.claimed_by, run.claim_token_hash) == ("", None, "")
    if run.lease_until or run.heartbeat_at:
        assert run.claim_token_hash
        assert run.claimed_at <= run.heartbeat_at <= run.lease_until
        assert run.status not in {"queued", "needs_attention", "completed", "failed"}
    assert (run.ended_at > 0) == (not run.is_open)
    assert run.previous_run_id != run.id
