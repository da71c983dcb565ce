"""App versions, what is asked of them, and which operations wait to be handed out."""

from collections.abc import Iterator
from typing import Final

import msgspec

from domain.eligibility import HELD_BACK
from domain.events import TaskDeleted
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, TaskState, latest_run
from domain.tempest.events import FACTS
from domain.tempest.state import AppState, OperationState
from domain.values import PRIORITY_VALUE
from domain.world import Change
from projections.rows import Row, Rows, Store
from projections.schema import define

APPS: Final = define(
    "tempest_apps",
    key={"app_id": "TEXT", "version": "TEXT"},
    values={"workspace_id": "TEXT", "doc": "BLOB"},
    clustered=False,
)
OPERATIONS: Final = define(
    "tempest_operations",
    key={"task_id": "TEXT"},
    values={
        "run_id": "TEXT",
        "owner": "TEXT",
        "workspace_id": "TEXT",
        "status": "TEXT",
        "rank": "INTEGER",
        "queued_at": "INTEGER",
        "claimable": "INTEGER",
    },
    indexes={"claim": "(owner, rank, queued_at, run_id) WHERE claimable = 1"},
    eager=True,
)
"""`run_id` is the latest run, `status` and `queued_at` are its own. `rank` is the negative priority
value: the smallest comes first. `owner` is the ref of the extension that the task belongs to."""

REQUESTS: Final = define(
    "tempest_requests",
    key={"task_id": "TEXT"},
    values={"app_id": "TEXT", "version": "TEXT", "doc": "BLOB"},
    indexes={"app": "(app_id, version, task_id)"},
    clustered=False,
)

_ENCODE: Final = msgspec.json.Encoder().encode
_FACADE: Final = "tempest"
_PAGE: Final = 8
_BEFORE_ALL: Final = (-1_000, 0, "")
_CLAIM: Final = (
    "SELECT rank, queued_at, run_id, task_id FROM tempest_operations"
    " WHERE claimable = 1 AND owner = ? AND (rank, queued_at, run_id) > (?, ?, ?)"
    " ORDER BY rank, queued_at, run_id LIMIT ?"
)


class TempestProjector:
    """Keeps the rows of app versions and operations."""

    name = "tempest"
    version = 1
    separable = True
    facts = TASK_FACTS.union(FACTS)
    apart = frozenset({TaskDeleted})
    tables = (APPS, OPERATIONS, REQUESTS)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        state = change.task
        if state is not None:
            if state.task.facade == _FACADE:
                _apply_task(state, rows)
            return
        match change.after:
            case AppState() as app:
                rows.put(APPS, (app.app_id, app.app_version, app.workspace_id, _ENCODE(app)))
            case OperationState() as asked:
                named = (asked.task_id, asked.app_id, asked.app_version)
                rows.put(REQUESTS, (*named, _ENCODE(asked)))
            case _:
                pass


def _apply_task(state: TaskState, rows: Rows) -> None:
    run = latest_run(state.runs.values())
    if state.task.deleted:
        rows.delete(OPERATIONS, (state.id,))
        rows.delete(REQUESTS, (state.id,))
    elif run is not None:
        rows.put(OPERATIONS, _row(state, run))


def _row(state: TaskState, run: Run) -> Row:
    task = state.task
    owned = task.owner is not None and task.owner.kind == "extension"
    waits = run.status == "queued" and task.status not in HELD_BACK and not task.paused
    return (
        task.id,
        run.id,
        task.owner.ref if task.owner and owned else "",
        task.workspace_id,
        run.status,
        -PRIORITY_VALUE[task.priority],
        run.queued_at,
        int(owned and waits),
    )


class TempestLookup:
    """What deciding asks about operations; every cost is bounded by the answer."""

    _store: Store

    def tempest_operations(self, ref: str) -> Iterator[Row]:
        """Yield (task id, run id) of the queued operations of an app version, in claim order.

        Reads a few rows at a time: hardly anybody asks for a second one.
        """
        last: Row = _BEFORE_ALL
        while page := self._store.select(_CLAIM, (ref, *last, _PAGE)):
            yield from ((row[3], row[2]) for row in page)
            last = page[-1][:3]
