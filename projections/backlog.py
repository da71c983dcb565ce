"""The backlog: every queued run, every run that needs attention, and the counters.

A task that is paused holds back the queued runs of everything below it. Their rows count how many
tasks of their lineage are paused, and are found by ancestor, so that a pause costs what it hits.
"""

from collections import Counter
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from domain.eligibility import HELD_BACK, NO_DEMAND, Demand, demand_of, owner_key
from domain.events import TaskDeleted, TaskPaused, TaskResumed
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, Task, TaskState
from domain.values import ACTIVE_CLAIM, PRIORITY_VALUE, Facade
from domain.world import Change
from projections.rows import Row, Rows
from projections.schema import define

BACKLOG: Final = define(
    "backlog",
    key={"run_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "workspace_id": "TEXT",
        "owner": "TEXT",
        "rank": "INTEGER",
        "queued_at": "INTEGER",
        "channel": "TEXT",
        "agent": "TEXT",
        "demand": "TEXT",
        "wants": "TEXT",
        "held": "INTEGER",
        "claimable": "INTEGER",
        "paused": "INTEGER",
        "pauses": "INTEGER",
    },
    indexes={
        "claim": "(workspace_id, owner, rank, queued_at, run_id) WHERE claimable = 1",
        "claim_channel": "(workspace_id, channel, owner, rank, queued_at, run_id)"
        " WHERE claimable = 1 AND channel <> ''",
        "demand": "(workspace_id, agent, demand, owner, rank, queued_at, run_id)"
        " WHERE claimable = 2",
        "demand_channel": "(workspace_id, agent, demand, channel, owner, rank, queued_at, run_id)"
        " WHERE claimable = 2 AND channel <> ''",
        "list": "(paused, rank, queued_at, run_id)",
        "list_workspace": "(workspace_id, paused, rank, queued_at, run_id)"
        " WHERE workspace_id <> ''",
    },
    eager=True,
)
"""`rank` is the negative priority value: the smallest comes first. `owner` is empty for a run that
anybody may get, `kind:ref` for a pool or a session, and `!` for one that is never handed out. The
task's status makes a run `held`, or that it is handed out elsewhere; `pauses` counts the paused
tasks of its lineage. `claimable` is 1 for a run that may be handed out, 2 for one that asks more of
a session: then `wants` says what, `demand` is the short name of that, and `agent` is set when a
single agent can meet it."""

ATTENTION: Final = define(
    "backlog_attention",
    key={"run_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "workspace_id": "TEXT",
        "rank": "INTEGER",
        "queued_at": "INTEGER",
    },
    indexes={
        "list": "(rank, queued_at, run_id)",
        "list_workspace": "(workspace_id, rank, queued_at, run_id) WHERE workspace_id <> ''",
    },
)
"""The runs that need attention: they are handed out no more until somebody decides."""

BACKLOG_TREE: Final = define("backlog_tree", key={"ancestor_id": "TEXT", "run_id": "TEXT"})
PAUSED_TASKS: Final = define("paused_tasks", key={"task_id": "TEXT"})
COUNTERS: Final = define(
    "backlog_counters",
    key={"name": "TEXT", "workspace_id": "TEXT"},
    values={"value": "INTEGER"},
)
"""Counts of the whole ledger under the empty workspace id; what waits also by workspace."""

QUEUED: Final = "queued"
QUEUED_PAUSED: Final = "queued_paused"
ACTIVE: Final = "active"
NEEDS_ATTENTION: Final = "needs_attention"
PAUSED: Final = "paused_tasks"

ELSEWHERE: Final[frozenset[Facade | None]] = frozenset({"tempest"})
"""The APIs whose runs are handed out by themselves, and wait there as long as it takes."""

RANKS: Final = tuple(-value for value in PRIORITY_VALUE.values())
"""Every rank there is."""

_ENCODE: Final = msgspec.json.Encoder().encode
_NO_WANTS: Final = ("", "", "")
_NAME_DIGITS: Final = 32
_FACTS: Final = 11
_DEMAND, _HELD = 8, 10
_PAUSED, _PAUSES = -2, -1

_Tally: TypeAlias = Counter[tuple[str, str]]


class BacklogProjector:
    """Keeps the backlog and the counters."""

    name = "backlog"
    version = 3
    separable = True
    facts = TASK_FACTS
    apart = frozenset({TaskPaused, TaskResumed, TaskDeleted})
    tables = (BACKLOG, BACKLOG_TREE, ATTENTION, PAUSED_TASKS, COUNTERS)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        new = change.task
        if new is None:
            return
        old = _before(change)
        if old is not None and _same(old, new):
            return
        tally: _Tally = Counter()
        more = _paused(new) - _paused(old)
        if more:
            _move_pause(new, more, rows, tally)
        _move_queued(change, new, more, rows, tally)
        if old is None:
            _count_runs(new, +1, tally)
        elif old.runs is not new.runs:
            _count_runs(old, -1, tally)
            _count_runs(new, +1, tally)
        _move_attention(old, new, rows)
        _add(tally, rows)


def _same(old: TaskState, new: TaskState) -> bool:
    """Whether nothing changed that the backlog tells, as with a heartbeat."""
    before, after = old.task, new.task
    return (
        [run.status for run in old.runs.values()] == [run.status for run in new.runs.values()]
        and before.status == after.status
        and before.paused == after.paused
        and before.deleted == after.deleted
        and before.priority == after.priority
        and before.owner == after.owner
        and before.profile == after.profile
    )


def _before(change: Change) -> TaskState | None:
    return change.before if isinstance(change.before, TaskState) else None


def _paused(state: TaskState | None) -> int:
    return int(state is not None and state.task.paused and not state.task.deleted)


def _move_pause(new: TaskState, more: int, rows: Rows, tally: _Tally) -> None:
    """Note that the task is paused or no longer is, and tell the queued runs below it."""
    tally[PAUSED, ""] += more
    if more > 0:
        rows.put(PAUSED_TASKS, (new.id,))
    else:
        rows.delete(PAUSED_TASKS, (new.id,))
    for _, run_id in rows.select_keys(BACKLOG_TREE, (new.id,)):
        row = _present(rows, run_id)
        _replace(row, _row(row[:_FACTS], row[_PAUSES] + more), rows, tally)


def _move_queued(change: Change, new: TaskState, more: int, rows: Rows, tally: _Tally) -> None:
    """Let the task's run enter or leave the backlog, or bring its row up to date."""
    old = _before(change)
    was, now = _queued_run(old), _queued_run(new)
    if was is not None and (now is None or now.id != was.id):
        _replace(_present(rows, was.id), None, rows, tally)
        for ancestor_id in new.task.ancestors:
            rows.delete(BACKLOG_TREE, (ancestor_id, was.id))
        was = None
    if now is None:
        return
    facts = _facts(new.task, now)
    if was is None:
        _replace(None, _row(facts, _pauses(change, new.task, rows)), rows, tally)
        for ancestor_id in new.task.ancestors:
            rows.put(BACKLOG_TREE, (ancestor_id, now.id))
    elif more or old is None or facts != _facts(old.task, was):
        row = _present(rows, now.id)
        _replace(row, _row(facts, row[_PAUSES] + more), rows, tally)


def _queued_run(state: TaskState | None) -> Run | None:
    if state is None or state.task.deleted:
        return None
    return next((run for run in state.runs.values() if run.status == "queued"), None)


def _present(rows: Rows, run_id: str) -> Row:
    row = rows.get(BACKLOG, (run_id,))
    assert row is not None
    return row


def _pauses(change: Change, task: Task, rows: Rows) -> int:
    """Return how many tasks of the lineage are paused."""
    if not change.paused_by:
        return 0
    return sum(rows.get(PAUSED_TASKS, (task_id,)) is not None for task_id in task.lineage)


def _move_attention(old: TaskState | None, new: TaskState, rows: Rows) -> None:
    """Keep the run that needs attention where it is looked for."""
    was, now = _attention_row(old), _attention_row(new)
    if was == now:
        return
    if was is not None:
        rows.delete(ATTENTION, was[:1])
    if now is not None:
        rows.put(ATTENTION, now)


def _attention_row(state: TaskState | None) -> Row | None:
    if state is None or state.task.deleted:
        return None
    task = state.task
    for run in state.runs.values():
        if run.status == NEEDS_ATTENTION:
            rank = -PRIORITY_VALUE[task.priority]
            return (run.id, task.id, task.workspace_id, rank, run.queued_at)
    return None


def _facts(task: Task, run: Run) -> Row:
    return (
        run.id,
        task.id,
        task.workspace_id,
        owner_key(task.owner),
        -PRIORITY_VALUE[task.priority],
        run.queued_at,
        run.coordination_channel_id,
        *_wants(demand_of(task, run)),
        int(task.status in HELD_BACK or task.facade in ELSEWHERE),
    )


def _wants(demand: Demand) -> tuple[str, str, str]:
    """Return the agent, the short name and the text of a demand."""
    if demand is NO_DEMAND or demand == NO_DEMAND:
        return _NO_WANTS
    text = _ENCODE(demand)
    return demand.only_agent, sha256(text).hexdigest()[:_NAME_DIGITS], text.decode()


def _row(facts: Row, pauses: int) -> Row:
    claimable = 0 if facts[_HELD] or pauses else 2 if facts[_DEMAND] else 1
    return (*facts, claimable, int(pauses > 0), pauses)


def _replace(before: Row | None, after: Row | None, rows: Rows, tally: _Tally) -> None:
    if before is not None:
        _count_queued(before, -1, tally)
        if after is None:
            rows.delete(BACKLOG, before[:1])
    if after is not None:
        _count_queued(after, +1, tally)
        rows.put(BACKLOG, after)


def _count_queued(row: Row, one: int, tally: _Tally) -> None:
    name = QUEUED_PAUSED if row[_PAUSED] else QUEUED
    # A set: without a workspace both are the same.
    for workspace_id in {"", row[2]}:
        tally[name, workspace_id] += one


def _count_runs(state: TaskState, one: int, tally: _Tally) -> None:
    # No drain has to wait for the run of such a task: the tasks below have runs of their own.
    if state.task.only_mirrors:
        return
    for run in state.runs.values():
        if run.status in ACTIVE_CLAIM:
            tally[ACTIVE, ""] += one
        elif run.status == NEEDS_ATTENTION:
            for workspace_id in {"", state.task.workspace_id}:
                tally[NEEDS_ATTENTION, workspace_id] += one


def _add(tally: _Tally, rows: Rows) -> None:
    for (name, workspace_id), difference in tally.items():
        if difference:
            rows.alter(COUNTERS, (name, workspace_id), _counted, name, workspace_id, difference)


def _counted(row: Row | None, name: str, workspace_id: str, difference: int) -> Row | None:
    value = (row[2] if row else 0) + difference
    return (name, workspace_id, value) if value else None
