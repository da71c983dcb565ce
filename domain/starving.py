"""How many cycles each queued run has waited too long."""

from msgspec import Struct

from domain.events import SchedulerRunsWaited
from domain.recorded import Recorded


class StarvationState(Struct, frozen=True, kw_only=True):
    """The cycles of each run that waits too long, by run id."""

    cycles: dict[str, int] = {}
    version: int = 0


def evolve_starvation(state: StarvationState | None, recorded: Recorded) -> StarvationState:
    """Return the counts after one more cycle."""
    fact = recorded.fact
    assert isinstance(fact, SchedulerRunsWaited)
    cycles = dict(state.cycles) if state else {}
    for run_id in fact.ended:
        cycles.pop(run_id, None)
    for run_id in fact.run_ids:
        cycles[run_id] = cycles.get(run_id, 0) + 1
    return StarvationState(cycles=cycles, version=recorded.originator_version)
