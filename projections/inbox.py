"""What inboxes show: the tasks in a lane for everybody, whose work a task is, and triage.

Tasks that nobody has to look at have no row, so that an inbox costs what is in it.
"""

from typing import Final, NamedTuple

from domain.events import TaskDeleted, TaskTriaged
from domain.recorded import Recorded
from domain.task.evolve import TASK_FACTS
from domain.task.state import Task, TaskState, latest_run
from domain.values import PRIORITY_VALUE
from domain.world import Change
from projections.rows import Row, Rows
from projections.schema import define
from projections.tasks import searchable

INBOX_LANES: Final = define(
    "inbox_lanes",
    key={"lane": "TEXT", "task_id": "TEXT"},
    values={
        "workspace_id": "TEXT",
        "owner_kind": "TEXT",
        "owner_ref": "TEXT",
        "search": "TEXT",
        "rank": "INTEGER",
        "last_activity_at": "INTEGER",
    },
    indexes={
        "order": "(lane, last_activity_at DESC, rank, task_id)",
        "workspace": "(lane, workspace_id, last_activity_at DESC, rank, task_id)",
    },
)
"""`rank` is the negative priority value. A task that needs attention may be in a lane as well."""

INBOX_WORK: Final = define(
    "inbox_work", key={"actor_kind": "TEXT", "actor_ref": "TEXT", "task_id": "TEXT"}
)
"""Open tasks that are in no lane for everybody, by whom they are owned or worked on."""

INBOX_COUNTERS: Final = define(
    "inbox_counters",
    key={"lane": "TEXT", "workspace_id": "TEXT"},
    values={"value": "INTEGER"},
)
TRIAGE: Final = define(
    "triage",
    key={"task_id": "TEXT", "actor_kind": "TEXT", "actor_ref": "TEXT"},
    values={
        "archived": "INTEGER",
        "dismissed": "INTEGER",
        "last_seen_at": "INTEGER",
        "updated_at": "INTEGER",
    },
    indexes={"actor": "(actor_kind, actor_ref, archived)"},
)
"""Whoever has a row has read the task as of `last_seen_at`."""

APPROVALS: Final = "approvals"
FAILED_RUNS: Final = "failed_runs"
BLOCKED: Final = "blocked"
NEEDS_ATTENTION: Final = "needs_attention"

_NOBODYS: Final = frozenset({"draft", "completed", "failed", "canceled"})
_ARCHIVED: Final = 3


class _Place(NamedTuple):
    """Where a task is shown: lanes for everybody, else whose work it is."""

    lanes: tuple[str, ...] = ()
    workers: frozenset[tuple[str, str]] = frozenset()


_NOWHERE: Final = _Place()


class InboxProjector:
    """Keeps what inboxes are read from."""

    name = "inbox"
    version = 2
    separable = True
    facts = TASK_FACTS | {TaskTriaged}
    apart = frozenset({TaskTriaged, TaskDeleted})
    tables = (INBOX_LANES, INBOX_WORK, INBOX_COUNTERS, TRIAGE)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        new = change.task
        if new is None:
            if isinstance(change.recorded.fact, TaskTriaged):
                _triage(change.recorded, change.recorded.fact, rows)
            return
        before, after = _place(change.before), _place(new)
        if before.workers != after.workers:
            _move_work(new.id, before.workers, after.workers, rows)
        if before.lanes != after.lanes:
            _leave(new.task, before.lanes, after.lanes, rows)
        for lane in after.lanes:
            rows.put(INBOX_LANES, _row(lane, new.task))
        if new.task.deleted:
            for row in rows.select_keys(TRIAGE, (new.id,)):
                rows.delete(TRIAGE, row[:3])


def _place(state: object) -> _Place:
    """Return where a task is shown; nowhere before it was created and after it was deleted."""
    if not isinstance(state, TaskState) or state.task.deleted:
        return _NOWHERE
    task, run = state.task, state.open_run
    attention = (NEEDS_ATTENTION,) if run is not None and run.status == NEEDS_ATTENTION else ()
    lane = _lane(state)
    if lane:
        return _Place((lane, *attention))
    workers = frozenset() if task.status in _NOBODYS else _workers(state)
    return _Place(attention, workers) if attention or workers else _NOWHERE


def _lane(state: TaskState) -> str:
    task = state.task
    blocked = task.status == "blocked"
    if blocked and task.approval_policy == "manual" and task.approval_state == "pending":
        return APPROVALS
    run = latest_run(state.runs.values()) if state.runs else None
    if run is not None and run.status == "failed":
        return FAILED_RUNS
    return BLOCKED if blocked else ""


def _workers(state: TaskState) -> frozenset[tuple[str, str]]:
    owner = state.task.owner
    run = state.open_run
    found: set[tuple[str, str]] = set()
    if owner is not None and owner.kind != "pool":
        found.add((owner.kind, owner.ref))
    if run is not None and run.claimed_by is not None:
        found.add((run.claimed_by.kind, run.claimed_by.ref))
    return frozenset(found)


def _move_work(
    task_id: str,
    before: frozenset[tuple[str, str]],
    after: frozenset[tuple[str, str]],
    rows: Rows,
) -> None:
    for worker in before - after:
        rows.delete(INBOX_WORK, (*worker, task_id))
    for worker in after - before:
        rows.put(INBOX_WORK, (*worker, task_id))


def _leave(task: Task, before: tuple[str, ...], after: tuple[str, ...], rows: Rows) -> None:
    """Take the task out of the lanes it left, and count it in those it entered."""
    for lane in before:
        if lane not in after:
            rows.delete(INBOX_LANES, (lane, task.id))
            _count(lane, task.workspace_id, -1, rows)
    for lane in after:
        if lane not in before:
            _count(lane, task.workspace_id, +1, rows)


def _count(lane: str, workspace_id: str, one: int, rows: Rows) -> None:
    rows.alter(INBOX_COUNTERS, (lane, workspace_id), _counted, lane, workspace_id, one)


def _counted(row: Row | None, lane: str, workspace_id: str, one: int) -> Row | None:
    value = (row[2] if row else 0) + one
    return (lane, workspace_id, value) if value else None


def _row(lane: str, task: Task) -> Row:
    return (
        lane,
        task.id,
        task.workspace_id,
        task.owner.kind if task.owner else "",
        task.owner.ref if task.owner else "",
        searchable(task),
        -PRIORITY_VALUE[task.priority],
        task.last_activity_at,
    )


def _triage(recorded: Recorded, fact: TaskTriaged, rows: Rows) -> None:
    key = (fact.triaged_task_id, recorded.actor.kind, recorded.actor.ref)
    known = rows.get(TRIAGE, key)
    archived = fact.action == "archive" or bool(known and known[_ARCHIVED])
    dismissed = fact.action == "dismiss"
    facts = (int(archived), int(dismissed), fact.last_seen_activity_at, recorded.occurred_at)
    rows.put(TRIAGE, (*key, *facts))
