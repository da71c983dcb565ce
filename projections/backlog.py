"""The backlog: every queued run, in the order in which runs are handed out, and the counters.

A task that is paused holds back the queued runs of everything below it. Their rows count how many
tasks of their lineage are paused, and are found by ancestor, so that a pause costs what it hits.
"""

from collections import Counter
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import Final, TypeAlias

from domain.task.state import Run, Task, TaskState
from domain.values import ACTIVE_CLAIM, PRIORITY_VALUE, Owner
from domain.world import Change, ClaimQuery
from projections.rows import Reader, Row, Rows
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
        "held": "INTEGER",
        "claimable": "INTEGER",
        "paused": "INTEGER",
        "pauses": "INTEGER",
    },
    indexes={
        "claim": "(workspace_id, owner, rank, queued_at, run_id) WHERE claimable = 1",
        "claim_channel": "(workspace_id, channel, owner, rank, queued_at, run_id)"
        " WHERE claimable = 1 AND channel <> ''",
        "list": "(paused, rank, queued_at, run_id)",
        "list_workspace": "(workspace_id, paused, rank, queued_at, run_id)"
        " WHERE workspace_id <> ''",
    },
    eager=True,
)
"""`rank` is the negative priority value: the smallest comes first. `owner` is empty for a run that
anybody may get, `kind:ref` for a pool or a session, and `!` for one that is never handed out. The
task's status makes a run `held`; `pauses` counts the paused tasks of its lineage."""

BACKLOG_TREE: Final = define("backlog_tree", key={"ancestor_id": "TEXT", "run_id": "TEXT"})
PAUSED_TASKS: Final = define("paused_tasks", key={"task_id": "TEXT"})
COUNTERS: Final = define(
    "backlog_counters",
    key={"name": "TEXT", "workspace_id": "TEXT"},
    values={"value": "INTEGER"},
)
"""Counts of the whole ledger under the empty workspace id; the queue also by workspace."""

QUEUED: Final = "queued"
QUEUED_PAUSED: Final = "queued_paused"
ACTIVE: Final = "active"
NEEDS_ATTENTION: Final = "needs_attention"
PAUSED: Final = "paused_tasks"

RANKS: Final = tuple(-value for value in PRIORITY_VALUE.values())
"""Every rank there is."""

_NEVER_HANDED_OUT: Final = "!"
_HELD_BACK: Final = frozenset({"draft", "blocked", "canceled"})
_LARGEST_RANK: Final = 1_000
_COUNTED: Final[dict[str, str]] = {
    **dict.fromkeys(ACTIVE_CLAIM, ACTIVE),
    NEEDS_ATTENTION: NEEDS_ATTENTION,
}
_FIRST_PAGE: Final = 4
_LARGEST_PAGE: Final = 256
_FACTS: Final = 8
_PAUSED, _PAUSES = -2, -1

_Tally: TypeAlias = Counter[tuple[str, str]]


class BacklogProjector:
    """Keeps the backlog and the counters."""

    name = "backlog"
    version = 1
    tables = (BACKLOG, BACKLOG_TREE, PAUSED_TASKS, COUNTERS)

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
        if old is not None and old.runs is not new.runs:
            _count_runs(old, -1, tally)
            _count_runs(new, +1, tally)
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


def _facts(task: Task, run: Run) -> Row:
    return (
        run.id,
        task.id,
        task.workspace_id,
        _owner(task.owner),
        -PRIORITY_VALUE[task.priority],
        run.queued_at,
        run.coordination_channel_id,
        int(task.status in _HELD_BACK),
    )


def _row(facts: Row, pauses: int) -> Row:
    held = facts[_FACTS - 1]
    return (*facts, int(not held and not pauses), int(pauses > 0), pauses)


def _owner(owner: Owner | None) -> str:
    if owner is None:
        return ""
    if owner.kind in {"pool", "agent_session"}:
        return f"{owner.kind}:{owner.ref}"
    return _NEVER_HANDED_OUT


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
    for run in state.runs.values():
        name = _COUNTED.get(run.status)
        if name is not None:
            tally[name, ""] += one


def _add(tally: _Tally, rows: Rows) -> None:
    for (name, workspace_id), difference in tally.items():
        if difference:
            found = rows.get(COUNTERS, (name, workspace_id))
            value = (found[2] if found else 0) + difference
            rows.put(COUNTERS, (name, workspace_id, value))


_CLAIMABLE: Final = (
    "SELECT rank, queued_at, run_id, task_id FROM backlog"
    " WHERE claimable = 1 AND workspace_id = ? AND owner = ? AND rank <= ?"
)
_OF_ONE_CHANNEL: Final = " AND channel = ? AND channel <> ''"
_BEHIND: Final = " AND (rank, queued_at, run_id) > (?, ?, ?)"
_IN_ORDER: Final = " ORDER BY rank, queued_at, run_id LIMIT "
_OWNERS: Final = 3


def _page(channel: str) -> str:
    return f"{_CLAIMABLE}{channel}{_BEHIND}{_IN_ORDER}?"


def _first(channel: str) -> str:
    """Return the statement for the first row of each owner."""
    one = f"{_CLAIMABLE}{channel}{_IN_ORDER}1"
    return " UNION ALL ".join(f"SELECT * FROM ({one}) AS o{number}" for number in range(_OWNERS))


_PAGES: Final = {False: _page(""), True: _page(_OF_ONE_CHANNEL)}
_FIRSTS: Final = {False: _first(""), True: _first(_OF_ONE_CHANNEL)}
"""By whether the session is bound to a channel."""


def claimable_runs(reader: Reader, query: ClaimQuery) -> Iterator[tuple[str, str]]:
    """Yield (task id, run id) of the runs a session may be handed, in claim order.

    Reads a few rows at a time, so that the cost is bounded by what is taken, whatever waits.
    """
    owners = ("", f"pool:{query.agent_name}", f"agent_session:{query.session_id}")
    starts = [value for owner in owners for value in _start(query, owner)]
    first = min(reader.select(_FIRSTS[bool(query.channel)], starts), default=None)
    if first is None:
        return
    yield first[3], first[2]
    # Hardly anybody asks for a second one, so only now it is read on.
    following = merge(*(_owned_by(reader, query, owner) for owner in owners))
    for _, _, run_id, task_id in islice(following, 1, None):
        yield task_id, run_id


def waiting_runs(reader: Reader, queued_before: int, limit: int) -> list[Row]:
    """Return (task id, run id) of claimable runs queued by then, oldest first."""
    return reader.select(
        "SELECT task_id, run_id FROM backlog WHERE claimable = 1 AND queued_at <= ?"
        " ORDER BY queued_at, run_id LIMIT ?",
        (queued_before, limit),
    )


def _start(query: ClaimQuery, owner: str) -> Row:
    """Return the parameters of the first row that an owner's runs have for a session."""
    wanted: Row = (query.workspace_id, owner, -query.priority_min)
    return (*wanted, query.channel) if query.channel else wanted


def _owned_by(reader: Reader, query: ClaimQuery, owner: str) -> Iterator[Row]:
    statement = _PAGES[bool(query.channel)]
    wanted = _start(query, owner)
    last: Row = (-_LARGEST_RANK, 0, "")
    size = _FIRST_PAGE
    while True:
        page = reader.select(statement, (*wanted, *last, size))
        yield from page
        if len(page) < size:
            return
        last = page[-1][:3]
        size = min(4 * size, _LARGEST_PAGE)
