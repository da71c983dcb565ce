"""The current state of every task, one row each, with the columns that lists filter and sort on.

An inherited pause is not stored: it is read from the rows of the ancestors, so that a pause touches
one row however much lies below.
"""

from typing import Final

import msgspec

from domain.events import Fact
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, Task, TaskState
from domain.world import Change
from projections.rows import Row, Rows
from projections.schema import define

TASKS: Final = define(
    "tasks",
    key={"task_id": "TEXT"},
    values={
        "workspace_id": "TEXT",
        "parent_task_id": "TEXT",
        "status": "TEXT",
        "priority": "TEXT",
        "approval_state": "TEXT",
        "owner_kind": "TEXT",
        "owner_ref": "TEXT",
        "network_channel": "TEXT",
        "search": "TEXT",
        "paused": "INTEGER",
        "open_run_id": "TEXT",
        "last_activity_at": "INTEGER",
        "updated_at": "INTEGER",
        "created_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "activity": "(last_activity_at)",
        "status": "(status, last_activity_at)",
        "workspace": "(workspace_id, last_activity_at) WHERE workspace_id <> ''",
    },
    clustered=False,
)
"""Every event moves a row in these indexes, so they hold no more than what narrows a list down;
rows of the same instant are sorted when they are read."""

_ENCODE: Final = msgspec.json.Encoder().encode
_RANK: Final = {"running": 4, "starting": 3, "claimed": 2, "queued": 1}


class TasksProjector:
    """Keeps the rows of the tasks."""

    name = "tasks"
    version = 1
    separable = True
    facts = TASK_FACTS
    apart: frozenset[type[Fact]] = frozenset()
    tables = (TASKS,)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the row of the task up to date."""
        state = change.task
        if state is None:
            return
        if state.task.deleted:
            rows.delete(TASKS, (state.id,))
        else:
            rows.put_later(TASKS, (state.id,), _row, state)


def _row(state: TaskState) -> Row:
    task = state.task
    run = active_run(state)
    return (
        task.id,
        task.workspace_id,
        task.parent_task_id,
        task.status,
        task.priority,
        task.approval_state,
        task.owner.kind if task.owner else "",
        task.owner.ref if task.owner else "",
        task.network_channel,
        searchable(task),
        int(task.paused),
        run.id if run else "",
        task.last_activity_at,
        task.updated_at,
        task.created_at,
        _ENCODE(task),
    )


def active_run(state: TaskState) -> Run | None:
    """Return the open run that is furthest, then the one with the latest activity or largest id."""
    waiting = [run for run in state.runs.values() if run.is_open]
    if len(waiting) <= 1:
        return waiting[0] if waiting else None
    return max(waiting, key=lambda run: (_RANK.get(run.status, 0), run.last_activity_at, run.id))


def searchable(task: Task) -> str:
    """Return the text in which a folded search word is looked for."""
    # No match may begin in one and end in the other, so a character nobody types parts them.
    return f"{task.title}\x1f{task.identifier}".casefold()
