"""The current state of every run, one row each, with the last event that was about it."""

from typing import Final

import msgspec

from domain.recorded import Recorded
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, TaskState
from domain.world import Change
from projections.rows import Row, Rows
from projections.schema import define

RUNS: Final = define(
    "runs",
    key={"run_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "status": "TEXT",
        "session_id": "TEXT",
        "queued_at": "INTEGER",
        "last_event_at": "INTEGER",
        "last_event_type": "TEXT",
        "doc": "BLOB",
    },
    indexes={"task": "(task_id, queued_at, run_id)"},
    clustered=False,
)

_ENCODE: Final = msgspec.json.Encoder().encode


class RunsProjector:
    """Keeps the rows of the runs."""

    name = "runs"
    version = 1
    separable = True
    facts = TASK_FACTS
    tables = (RUNS,)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows of the runs that the event is about, or that it changed, up to date."""
        state = change.task
        if state is None:
            return
        if state.task.deleted:
            for run_id in state.runs:
                rows.delete(RUNS, (run_id,))
            return
        recorded = change.recorded
        before = change.before.runs if isinstance(change.before, TaskState) else {}
        if before is state.runs and not recorded.run_id:
            return
        for run in state.runs.values():
            known = before.get(run.id)
            if run.id == recorded.run_id or (run is not known and run != known):
                rows.put_later(RUNS, (run.id,), _row, run, recorded)


def _row(run: Run, recorded: Recorded) -> Row:
    return (
        run.id,
        run.task_id,
        run.status,
        run.session_id,
        run.queued_at,
        recorded.occurred_at,
        recorded.type,
        _ENCODE(run),
    )
