"""A task with an event that nobody here can read is left out; the others go on."""

from domain.commands import EndReviews, EscalateRuns, NoteProjection, PauseTask, RequestReview
from domain.errors import StreamHeldError
from domain.events import (
    Fact,
    ProjectionCaughtUp,
    ProjectionCompared,
    ProjectionRebuildFinished,
)
from domain.instants import SECOND, rfc3339
from domain.recorded import OPS_STREAM
from domain.refusals import held_back
from domain.registry import OpsState
from domain.world import State
from tests.domain.test_reviews import LATER, take
from tests.support.spec import NOW, Spec
from tests.support.steps import child, claim_next, completed, expire, leased, queued, session, task
from tests.support.world import World


class Held(World):
    """Holds back what concerns some tasks."""

    def __init__(self, *task_ids: str) -> None:
        super().__init__()
        self.held: set[str] = set()
        self.later = {f"task:{task_id}" for task_id in task_ids}

    def state(self, stream: str) -> State | None:
        if stream in self.held:
            raise held_back(stream, f"{stream} cannot be read", "")
        return super().state(stream)


def spec_of(*task_ids: str) -> Spec:
    spec = Spec()
    spec.world = Held(*task_ids)
    return spec


def hold(spec: Spec) -> None:
    assert isinstance(spec.world, Held)
    spec.world.held = spec.world.later


def types(spec: Spec) -> list[tuple[str, str]]:
    return [(change.recorded.type, change.recorded.task_id) for change in spec.changes]


def test_its_own_commands_are_refused_saying_why() -> None:
    spec = spec_of("t1").given(task("t1"))
    hold(spec)
    spec.when(PauseTask(task_id="t1", reason="now"), checked=False)

    assert isinstance(spec.refusal, StreamHeldError)
    assert spec.refusal.text == "Held back: task:t1 cannot be read"
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.evidence == {"stream": "task:t1"}


def test_the_next_run_is_claimed() -> None:
    spec = spec_of("t1").given(task("t1"), queued("t1", "r1"), task("t2"), queued("t2", "r2"))
    hold(spec)
    spec.when(claim_next("s1"), checked=False)

    assert spec.reply.run_id == "r2"


def test_its_lease_counts_and_the_others_expire() -> None:
    spec = spec_of("t1").given(
        task("t1"), *leased("t1", "r1", "s1"), task("t2"), *leased("t2", "r2", "s2")
    )
    hold(spec)
    spec.when(claim_next("s1"), checked=False)
    assert spec.refusal is not None
    spec.when(expire(NOW + 3_600 * SECOND), checked=False)

    assert types(spec) == [("task.run_lease_expired", "t2")]


def test_a_pause_that_cannot_be_read_holds_nobody_below_back() -> None:
    spec = spec_of("t1").given(task("t1"), child("t1", "t2"), queued("t2", "r2"))
    hold(spec)
    spec.when(claim_next("s1"), checked=False)

    assert spec.reply.run_id == "r2"


def test_cycles_are_counted_for_the_others() -> None:
    spec = spec_of("t1").given(task("t1"), queued("t1", "r1"), task("t2"), queued("t2", "r2"))
    escalate = EscalateRuns(min_queued_age=SECOND, event_after=9, needs_attention_after=9, limit=10)
    spec.when(escalate, at=NOW + 2 * SECOND)
    hold(spec)
    spec.when(escalate, at=NOW + 4 * SECOND, checked=False)

    (change,) = spec.changes
    assert (change.recorded.fact.run_ids, change.recorded.fact.ended) == (("r2",), ("r1",))  # type: ignore[attr-defined]


def test_its_reviews_are_left_out() -> None:
    due = rfc3339(LATER)
    spec = spec_of("t1").given(
        task("t1"),
        *completed("t1", "r1"),
        RequestReview(run_id="r1", deadline_at=due),
        task("t2"),
        *completed("t2", "r2"),
        RequestReview(run_id="r2", deadline_at=due),
        session("s1"),
    )
    hold(spec)
    spec.when(take("s1"), checked=False)
    assert [change.recorded.task_id for change in spec.changes] == ["t2"]
    spec.when(EndReviews(limit=10), at=LATER, checked=False)
    assert {change.recorded.task_id for change in spec.changes} == {"t2"}


def test_the_last_work_on_a_read_model_is_known() -> None:
    spec = Spec()
    done: tuple[Fact, ...] = (
        ProjectionCaughtUp(projection="tasks", position=1),
        ProjectionRebuildFinished(projection="runs", version=1, position=2),
        ProjectionCompared(projection="tasks", position=3),
    )
    spec.given(*(NoteProjection(fact=fact) for fact in done))
    state = spec.world.state(OPS_STREAM)

    assert isinstance(state, OpsState)
    assert state.worked == {"tasks": done[2], "runs": done[1]}
