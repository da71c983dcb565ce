"""What deciding looks up for the PostHog Tasks API: the next number, and the open runs."""

from collections.abc import Sequence
from typing import Final

from domain.posthog.events import PosthogRunCreated, PosthogTaskCreated
from domain.task.evolve import TASK_FACTS
from domain.task.state import TaskState
from domain.world import Change
from projections.rows import Rows, Store
from projections.schema import define

POSTHOG_NUMBERS: Final = define(
    "posthog_numbers", key={"workspace_id": "TEXT"}, values={"next": "INTEGER"}, eager=True
)
POSTHOG_OPEN_RUNS: Final = define(
    "posthog_open_runs",
    key={"task_id": "TEXT"},
    values={"posthog_task_id": "TEXT", "open": "INTEGER"},
    indexes={"open": "(posthog_task_id, task_id) WHERE open = 1"},
    eager=True,
)
"""By the task that stands for the run; those that have ended stay, since they may be retried."""


class PosthogLookupProjector:
    """Keeps the lookup tables."""

    name = "posthog_lookup"
    version = 1
    tables = (POSTHOG_NUMBERS, POSTHOG_OPEN_RUNS)
    facts = TASK_FACTS | {PosthogTaskCreated, PosthogRunCreated}

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        state = change.task
        if state is not None:
            if state.task.facade == "posthog":
                _move(change.before, state, rows)
            return
        match change.recorded.fact:
            case PosthogTaskCreated() as fact:
                rows.put(POSTHOG_NUMBERS, (fact.workspace_id, fact.task_number + 1))
            case PosthogRunCreated() as fact if change.about is not None:
                row = (change.about.id, fact.posthog_task_id, _is_open(change.about))
                rows.put(POSTHOG_OPEN_RUNS, row)
            case _:
                pass


def _is_open(state: TaskState) -> int:
    """Return 1 for a task that is still to be worked on or canceled, 0 for any other."""
    return int(
        not state.task.deleted and (state.task.status == "draft" or state.open_run is not None)
    )


def _move(before: object, after: TaskState, rows: Rows) -> None:
    if isinstance(before, TaskState) and _is_open(before) == _is_open(after):
        return
    known = rows.get(POSTHOG_OPEN_RUNS, (after.id,))
    if known is not None:
        rows.put(POSTHOG_OPEN_RUNS, (*known[:2], _is_open(after)))


class PosthogLookup:
    """The lookups of deciding."""

    _store: Store

    def posthog_tasks(self, workspace_id: str) -> int:
        """Return how many PostHog tasks a workspace has had, deleted ones counted."""
        found = self._store.get(POSTHOG_NUMBERS, (workspace_id,))
        return found[1] if found else 0

    def posthog_open_runs(self, posthog_task_id: str) -> Sequence[str]:
        """Return the tasks that stand for the runs of a PostHog task and have not ended."""
        found = self._store.select(
            "SELECT task_id FROM posthog_open_runs WHERE posthog_task_id = ? AND open = 1"
            " ORDER BY task_id",
            (posthog_task_id,),
        )
        return [row[0] for row in found]
