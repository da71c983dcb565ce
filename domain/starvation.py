"""Runs that wait too long: first told, then taken off the queue (task API, starvation ladder).

How many cycles each run has waited is folded from events, so that it survives a restart and holds
still while nobody could claim the run.
"""

from msgspec import Struct

from domain.commands import EscalateRuns, Reply
from domain.events import RunNeedsAttention, RunStarved, SchedulerRunsWaited
from domain.instants import SECOND
from domain.recorded import STARVATION_STREAM, Recorded
from domain.starving import StarvationState
from domain.task.cascade import settle, status_with
from domain.task.state import Run, TaskState
from domain.world import Plan


class _Waiting(Struct, frozen=True, kw_only=True):
    """A run with the cycles it has waited, this one included."""

    state: TaskState
    run: Run
    cycles: int


def escalate_runs(command: EscalateRuns, plan: Plan) -> Reply:
    """Count one more cycle for every run that waits too long, and tell what follows from it."""
    if plan.scheduler().paused:
        return Reply()
    before = plan.state(STARVATION_STREAM)
    cycles = before.cycles if isinstance(before, StarvationState) else {}
    queued_before = plan.now - command.min_queued_age
    waiting = [
        _Waiting(state=state, run=run, cycles=cycles.get(run.id, 0) + 1)
        for task_id, run_id in plan.world.waiting_runs(queued_before, command.limit)
        if (state := plan.readable_task(task_id)) and _waits(state, run_id, queued_before)
        for run in (state.runs[run_id],)
    ]
    ended = tuple(sorted(run_id for run_id in cycles if not _still(plan, run_id, queued_before)))
    if waiting or ended:
        run_ids = tuple(each.run.id for each in waiting)
        counted = plan.emit(STARVATION_STREAM, SchedulerRunsWaited(run_ids=run_ids, ended=ended))
        for each in waiting:
            _escalate(command, plan, each, counted)
    return Reply()


def _waits(state: TaskState, run_id: str, queued_before: int) -> bool:
    run = state.runs[run_id]
    return run.status == "queued" and max(run.queued_at, run.requeued_at) <= queued_before


def _still(plan: Plan, run_id: str, queued_before: int) -> bool:
    """Whether a counted run is in the queue as it was, though it may be held back now."""
    task_id = plan.world.task_of_run(run_id)
    state = plan.readable_task(task_id) if task_id is not None else None
    return state is not None and _waits(state, run_id, queued_before)


def _escalate(command: EscalateRuns, plan: Plan, waiting: _Waiting, cause: Recorded) -> None:
    run = waiting.run
    age = plan.now - max(run.queued_at, run.requeued_at)
    if waiting.cycles == command.event_after:
        starved = RunStarved(
            queued_at=run.queued_at,
            queued_age_ms=age // 1000,
            coordination_channel=run.coordination_channel_id,
        )
        cause = plan.emit_task(run.task_id, starved, run.id, cause)
    if waiting.cycles < command.needs_attention_after:
        return
    state = plan.existing_task(run.task_id)
    attention = RunNeedsAttention(
        previous_status=run.status,
        status="needs_attention",
        diagnostic=f"run queued {_duration(age)} without a claim"
        f" after {waiting.cycles} escalation cycles",
        queued_at=run.queued_at,
        coordination_channel=run.coordination_channel_id,
        task_status=status_with(plan, state, run, "needs_attention"),
    )
    settle(plan, state, plan.emit_task(run.task_id, attention, run.id, cause))


def _duration(age: int) -> str:
    """Return a duration in words like 1h2m3s."""
    minutes, seconds = divmod(age // SECOND, 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{value}{unit}" for value, unit in parts if value) or "0s"
