"""Lists of tasks, one task in full, and its tree (task API, lists, detail, tree)."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from domain.values import Actor, Origin
from projections.queries.batches import (
    TaskRow,
    active_runs,
    references,
    summaries,
    task_row,
    task_rows,
)
from projections.queries.runs import list_runs
from projections.rows import Reader, Row
from projections.wire.details import TaskDetail, TaskTree, TaskTreeNode
from projections.wire.events import TaskEvent
from projections.wire.json import OptionalJson
from projections.wire.tasks import TaskSummary, dependency, task_view
from projections.wire.times import date_time

_PAGE: Final = 200
# A longer pattern is refused by SQLite.
_LONGEST_PATTERN: Final = 50_000
_EXACT: Final = (
    "workspace_id",
    "status",
    "priority",
    "approval_state",
    "owner_kind",
    "owner_ref",
    "network_channel",
)
_LATER_THAN_ALL: Final[Row] = (2**62, 0, 0, "")


class TaskFilters(Struct, frozen=True, kw_only=True):
    """Which tasks to list; an empty value admits all. `limit` 0 means no limit.

    Drafts are hidden unless they are asked for, by `include_drafts` or by status.
    """

    scope: str = ""
    workspace_id: str = ""
    status: str = ""
    priority: str = ""
    include_drafts: bool = False
    approval_state: str = ""
    owner_kind: str = ""
    owner_ref: str = ""
    parent_task_id: str = ""
    network_channel: str = ""
    query: str = ""
    limit: int = 0


def list_tasks(reader: Reader, filters: TaskFilters) -> Iterator[list[TaskSummary]]:
    """Yield pages of tasks: latest activity, then update, creation and id, all descending."""
    conditions, values = _conditions(reader, filters)
    conditions.append("(last_activity_at, updated_at, created_at, task_id) < (?, ?, ?, ?)")
    statement = (
        "SELECT last_activity_at, updated_at, created_at, task_id, doc, open_run_id FROM tasks"
        f" WHERE {' AND '.join(conditions)}"
        " ORDER BY last_activity_at DESC, updated_at DESC, created_at DESC, task_id DESC LIMIT ?"
    )
    last, left = _LATER_THAN_ALL, filters.limit
    while True:
        size = min(left, _PAGE) if filters.limit else _PAGE
        found = reader.select(statement, (*values, *last, size))
        if found:
            yield summaries(reader, (task_row(row[4], row[5]) for row in found))
        left -= len(found)
        if len(found) < size or (filters.limit and not left):
            return
        last = found[-1][:4]


def _conditions(reader: Reader, filters: TaskFilters) -> tuple[list[str], list[Any]]:
    exact = [(name, getattr(filters, name)) for name in _EXACT]
    conditions = [f"{name} = ?" for name, value in exact if value]
    values: list[Any] = [value for _, value in exact if value]
    if filters.scope == "global":
        conditions.append("workspace_id = ''")
    if filters.scope == "workspace" or filters.workspace_id:
        # Said in so many words, since the index holds only these rows.
        conditions.append("workspace_id <> ''")
    if not filters.status and not filters.include_drafts:
        conditions.append("status <> 'draft'")
    if filters.parent_task_id:
        parent = task_rows(reader, (filters.parent_task_id,)).get(filters.parent_task_id)
        children = parent.task.children if parent else ()
        # An empty list is no SQL.
        conditions.append(f"task_id IN ({', '.join('?' * len(children)) or 'NULL'})")
        values.extend(children)
    if filters.query:
        conditions.append("search LIKE ? ESCAPE '!'")
        values.append(_pattern(filters.query))
    return conditions, values


def _pattern(query: str) -> str:
    """Return the pattern of a literal text anywhere in the searched one."""
    literal = query.casefold()
    for special in "!%_":
        literal = literal.replace(special, f"!{special}")
    pattern = f"%{literal}%"
    # No text holds a NUL, nor does any reach that length.
    findable = "\x00" not in query and len(pattern.encode()) <= _LONGEST_PATTERN
    return pattern if findable else ""


def task_detail(reader: Reader, task_id: str) -> TaskDetail | None:
    """Return everything about a task, None when there is no such task."""
    row = task_rows(reader, (task_id,)).get(task_id)
    if row is None:
        return None
    task = row.task
    children = task_rows(reader, task.children)
    latest = sorted(children.values(), key=lambda child: child.recency, reverse=True)
    summary, *below = summaries(reader, (row, *latest))
    edges = sorted(task.dependencies, key=lambda edge: (edge.created_at, edge.depends_on_task_id))
    return TaskDetail(
        summary=summary,
        task=task_view(task, summary.paused_by_task_id),
        children=tuple(below),
        dependencies=tuple(dependency(task_id, edge) for edge in edges),
        dependency_references=summary.dependencies,
        runs=tuple(list_runs(reader, task_id)),
        events=tuple(_events(reader, task_id)),
    )


class _Framed(Struct, frozen=True):
    """What of a frame makes a task event."""

    event_id: str
    event_type: str
    actor: Actor
    origin: Origin
    timestamp: str
    payload: OptionalJson = UNSET


_FRAMED: Final = msgspec.json.Decoder(_Framed).decode


def _events(reader: Reader, task_id: str) -> Iterator[TaskEvent]:
    found = reader.select(
        "SELECT run_id, frame FROM timeline WHERE task_id = ? ORDER BY sequence DESC",
        (task_id,),
    )
    for run_id, frame in found:
        event = _FRAMED(frame)
        yield TaskEvent(
            id=event.event_id,
            task_id=task_id,
            run_id=run_id,
            event_type=event.event_type,
            actor=event.actor,
            origin=event.origin,
            payload=event.payload,
            timestamp=event.timestamp,
        )


def task_tree(reader: Reader, task_id: str) -> TaskTree | None:
    """Return a task and everything below it, None when there is no such task.

    Descendants come by depth, then latest activity first, then id.
    """
    level = list(task_rows(reader, (task_id,)).values())
    if not level:
        return None
    nodes: list[TaskTreeNode] = []
    depth = 0
    while level:
        nodes.extend(_nodes(reader, level, depth))
        depth += 1
        below = task_rows(reader, (child for row in level for child in row.task.children))
        level = sorted(below.values(), key=lambda row: (-row.task.last_activity_at, row.task.id))
    root, *descendants = nodes
    return TaskTree(root=root, descendants=tuple(descendants))


def _nodes(reader: Reader, level: list[TaskRow], depth: int) -> Iterator[TaskTreeNode]:
    mentions = references(reader, (row.task for row in level))
    runs = active_runs(reader, level)
    for row in level:
        task = row.task
        yield TaskTreeNode(
            task=mentions[task.id],
            parent_task_id=task.parent_task_id,
            depth=depth,
            child_count=len(task.children),
            active_run=runs.get(task.id),
            last_activity_at=date_time(task.last_activity_at),
        )
