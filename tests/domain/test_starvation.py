"""The starvation ladder: counted in events, told once, then taken off the queue."""

import pytest

from domain.commands import (
    CancelRun,
    ClaimRun,
    CreateTask,
    DeleteTask,
    EnqueueRun,
    EscalateRuns,
    PauseScheduler,
    PauseTask,
    ResumeScheduler,
    ResumeTask,
)
from domain.events import RunNeedsAttention, RunReleased, RunStarved, SchedulerRunsWaited
from domain.instants import SECOND
from domain.starving import StarvationState
from tests.support.spec import NOW, Past, Spec, Step, given, on

CYCLE = EscalateRuns(min_queued_age=120 * SECOND, event_after=2, needs_attention_after=3, limit=10)
QUEUED = (
    CreateTask(id="t", scope="global", title="A task"),
    Step(command=EnqueueRun(task_id="t"), run_id="r"),
)
LATER = NOW + 120 * SECOND


def cycle(spec: Spec, at: int = LATER) -> Spec:
    return spec.when(CYCLE, at=at)


def counted(spec: Spec) -> dict[str, int]:
    state = spec.world.state("starvation")
    return state.cycles if isinstance(state, StarvationState) else {}


def test_a_run_waits_too_long_from_the_very_second_on() -> None:
    cycle(given(*QUEUED), LATER - 1).then_nothing()
    cycle(given(*QUEUED)).then(Past("starvation", SchedulerRunsWaited(run_ids=("r",))))


def test_a_run_is_told_once_and_then_needs_attention() -> None:
    spec = cycle(given(*QUEUED))
    waited = SchedulerRunsWaited(run_ids=("r",))
    starved = RunStarved(queued_at=NOW, queued_age_ms=120_000)
    cycle(spec).then(waited, on("t", starved, "r"))
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    attention = RunNeedsAttention(
        previous_status="queued",
        status="needs_attention",
        diagnostic="run queued 1h2m15s without a claim after 3 escalation cycles",
        queued_at=NOW,
        task_status="ready",
    )
    cycle(spec, NOW + 3735 * SECOND).then(waited, on("t", attention, "r"))
    spec.then_run("r", status="needs_attention", error=attention.diagnostic)
    cycle(spec).then(SchedulerRunsWaited(run_ids=(), ended=("r",)))
    cycle(spec).then_nothing()


def test_both_steps_may_come_at_once() -> None:
    command = EscalateRuns(min_queued_age=0, event_after=1, needs_attention_after=1, limit=1)
    spec = given(*QUEUED).when(command)
    assert [type(fact) for fact in spec.facts] == [
        SchedulerRunsWaited,
        RunStarved,
        RunNeedsAttention,
    ]
    spec.then_run("r", error="run queued 0s without a claim after 1 escalation cycles")


def test_the_count_holds_still_while_the_scheduler_is_paused() -> None:
    spec = cycle(given(*QUEUED)).given(PauseScheduler())
    cycle(spec).then_nothing()
    cycle(spec.given(ResumeScheduler()))
    assert counted(spec) == {"r": 2}


def test_the_count_holds_still_while_the_task_is_paused() -> None:
    spec = cycle(given(*QUEUED)).given(PauseTask(task_id="t", reason="why"))
    cycle(spec).then_nothing()
    assert counted(spec) == {"r": 1}
    cycle(spec.given(ResumeTask(task_id="t")))
    assert counted(spec) == {"r": 2}


@pytest.mark.parametrize("end", [ClaimRun(run_id="r"), CancelRun(run_id="r")])
def test_the_count_ends_when_the_run_leaves_the_queue(end: ClaimRun | CancelRun) -> None:
    spec = cycle(given(*QUEUED)).given(end)
    cycle(spec).then(SchedulerRunsWaited(run_ids=(), ended=("r",)))
    assert counted(spec) == {}


def test_the_count_ends_with_the_task() -> None:
    spec = cycle(given(*QUEUED)).given(CancelRun(run_id="r"), DeleteTask(task_id="t"))
    cycle(spec).then(SchedulerRunsWaited(run_ids=(), ended=("r",)))


def test_a_requeued_run_begins_anew() -> None:
    released = RunReleased(previous_status="claimed", status="queued", task_status="ready")
    spec = cycle(given(*QUEUED), LATER).given(ClaimRun(run_id="r"), on("t", released, "r"))
    cycle(spec, LATER - 1).then(SchedulerRunsWaited(run_ids=(), ended=("r",)))
    cycle(spec).then(SchedulerRunsWaited(run_ids=("r",)))
