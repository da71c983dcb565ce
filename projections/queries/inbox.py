"""The inbox of one caller (task API, inbox and triage).

Lanes that everybody sees are counted by counters, corrected by what the caller triaged; a filter on
owner or text, and the caller's own work, are counted row by row.
"""

from collections.abc import Iterable
from typing import Any, Final, get_args

from msgspec import Struct
from msgspec.structs import replace

from domain.task.state import Run, Task, latest_run
from domain.values import PRIORITY_VALUE, Actor
from projections.inbox import APPROVALS, BLOCKED, FAILED_RUNS, NEEDS_ATTENTION
from projections.queries.batches import references, runs_of_tasks, task_rows
from projections.rows import Reader, Row
from projections.wire.inbox import (
    Attention,
    AttentionItem,
    Inbox,
    InboxGroup,
    InboxItem,
    InboxLane,
    TriageState,
    reduced_run,
    triage_state,
)
from projections.wire.times import date_time

_LANES: Final[tuple[InboxLane, ...]] = get_args(InboxLane)
_EVERYBODYS: Final = frozenset({APPROVALS, FAILED_RUNS, BLOCKED})
_RANK: Final = " ".join(f"WHEN '{name}' THEN {-value}" for name, value in PRIORITY_VALUE.items())
_OF_TASKS: Final = (
    "(SELECT k.task_id, k.workspace_id, k.owner_kind, k.owner_ref, k.search, k.last_activity_at,"
    f" CASE k.priority {_RANK} END AS rank"
    " FROM {} w CROSS JOIN tasks k ON k.task_id = w.task_id"
    " WHERE w.actor_kind = ? AND w.actor_ref = ?{}) r"
)
_WORK: Final = _OF_TASKS.format("inbox_work", "")
_ARCHIVE: Final = _OF_TASKS.format("triage", " AND w.archived = 1")
_TRIAGED: Final = "t.task_id = r.task_id AND t.actor_kind = ? AND t.actor_ref = ?"
_UNREAD: Final = "(t.task_id IS NULL OR (t.archived = 0 AND t.last_seen_at < r.last_activity_at))"
_READ: Final = "(t.archived = 0 AND t.dismissed = 0 AND t.last_seen_at >= r.last_activity_at)"
_SHOWN: Final = (
    "SELECT r.task_id, r.last_activity_at, t.archived, t.dismissed, t.last_seen_at, t.updated_at"
)
_ORDER: Final = " ORDER BY r.last_activity_at DESC, r.rank, r.task_id LIMIT ?"


class InboxFilters(Struct, frozen=True, kw_only=True):
    """What of an inbox to show; an empty value admits all. `limit` is per lane, 0 is no limit."""

    scope: str = ""
    workspace_id: str = ""
    owner_kind: str = ""
    owner_ref: str = ""
    lane: str = ""
    unread: bool = False
    query: str = ""
    limit: int = 0

    @property
    def counted(self) -> bool:
        """Whether the counters answer how many there are."""
        return not (self.owner_kind or self.owner_ref or self.query)

    @property
    def size(self) -> int:
        """The limit as SQL has it."""
        return self.limit or -1


def triage_of(reader: Reader, task_id: str, actor: Actor) -> TriageState | None:
    """Return how far somebody is with a task as it was stored, None when never triaged."""
    found = reader.select(
        "SELECT archived, dismissed, last_seen_at, updated_at FROM triage"
        " WHERE task_id = ? AND actor_kind = ? AND actor_ref = ?",
        (task_id, actor.kind, actor.ref),
    )
    return triage_state(task_id, actor, found[0]) if found else None


def task_inbox(reader: Reader, actor: Actor, filters: InboxFilters) -> Inbox:
    """Return the lanes of a caller: counts of everything, and the first items of each."""
    lanes = [lane for lane in _LANES if filters.lane in {"", lane}]
    groups = tuple(_Lane(reader, actor, filters, lane).group() for lane in lanes)
    archived = sum(group.count for group in groups if group.lane == "archived")
    return Inbox(
        total=sum(group.count for group in groups),
        unread_total=sum(group.unread_count for group in groups),
        archived_total=archived,
        groups=groups,
        needs_attention=None if filters.lane else _attention(reader, filters),
    )


def _conditions(filters: InboxFilters) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if filters.scope == "global":
        conditions.append(" AND r.workspace_id = ''")
    for name in ("workspace_id", "owner_kind", "owner_ref"):
        if value := getattr(filters, name):
            conditions.append(f" AND r.{name} = ?")
            values.append(value)
    if filters.query:
        conditions.append(" AND instr(r.search, ?) > 0")
        values.append(filters.query.casefold())
    return "".join(conditions), values


def _counter(reader: Reader, lane: str, filters: InboxFilters) -> int:
    statement = "SELECT COALESCE(SUM(r.value), 0) FROM inbox_counters r WHERE r.lane = ?"
    conditions, values = _conditions(filters)
    return int(reader.select(statement + conditions, (lane, *values))[0][0])


class _Lane:
    """One lane of one caller."""

    def __init__(
        self, reader: Reader, actor: Actor, filters: InboxFilters, lane: InboxLane
    ) -> None:
        self.reader = reader
        self.actor = actor
        self.filters = filters
        self.lane = lane
        conditions, values = _conditions(filters)
        who: Row = (actor.kind, actor.ref)
        before: Row = who
        after: Row = tuple(values)
        if lane in _EVERYBODYS:
            self._source = "inbox_lanes r"
            after = (lane, *values)
            conditions = f"r.lane = ?{conditions}"
            self._triaged = f"triage t CROSS JOIN inbox_lanes r ON {_TRIAGED}"
        else:
            self._source = _WORK if lane == "my_work" else _ARCHIVE
            before = (*who, *who)
            conditions = f"1 = 1{conditions}"
            self._triaged = f"{self._source} LEFT JOIN triage t ON {_TRIAGED}"
        self._values: Row = (*before, *after)
        self._where = conditions

    def group(self) -> InboxGroup:
        """Return the lane with its counts and first items."""
        if self.lane == "archived":
            count, unread = (0 if self.filters.unread else self._count_archived()), 0
        elif self.lane in _EVERYBODYS and self.filters.counted:
            count, unread = self._count_by_counter()
        else:
            count, unread = self._count_rows()
        if self.filters.unread:
            count = unread
        items = self._items(self._rows(count, unread)) if count else ()
        return InboxGroup(lane=self.lane, count=count, unread_count=unread, items=tuple(items))

    def _select(self, what: str, source: str, condition: str, *more: Any) -> list[Row]:
        statement = f"{what} FROM {source} WHERE {self._where}{condition}"
        return self.reader.select(statement, (*self._values, *more))

    @property
    def _joined(self) -> str:
        return f"{self._source} LEFT JOIN triage t ON {_TRIAGED}"

    def _count_archived(self) -> int:
        return int(self._select("SELECT COUNT(*)", self._joined, "")[0][0])

    def _count_by_counter(self) -> tuple[int, int]:
        """Return (count, unread): everybody's counts less what the caller is done with."""
        everybodys = _counter(self.reader, self.lane, self.filters)
        hidden, seen = self._select(
            "SELECT COUNT(CASE WHEN t.archived = 1 OR t.dismissed = 1 THEN 1 END), COUNT(*)",
            self._triaged,
            " AND (t.archived = 1 OR t.last_seen_at >= r.last_activity_at)",
        )[0]
        return everybodys - hidden, everybodys - seen

    def _count_rows(self) -> tuple[int, int]:
        count, unread = self._select(
            f"SELECT COUNT(*), COUNT(CASE WHEN {_UNREAD} THEN 1 END)",
            self._joined,
            f" AND ({_UNREAD} OR {_READ})",
        )[0]
        return count, unread

    def _rows(self, count: int, unread: int) -> list[Row]:
        """Return the first rows: unread before read, each by activity, priority and id."""
        size = self.filters.size
        if self.lane == "archived":
            return self._select(_SHOWN, self._joined, _ORDER, size)
        rows: list[Row] = []
        if unread:
            rows = self._select(_SHOWN, self._joined, f" AND {_UNREAD}{_ORDER}", size)
        left = size if size < 0 else size - len(rows)
        if left and count > unread:
            rows += self._select(_SHOWN, self._triaged, f" AND {_READ}{_ORDER}", left)
        return rows

    def _items(self, rows: list[Row]) -> Iterable[InboxItem]:
        shown = _Shown(self.reader, [row[0] for row in rows])
        for task_id, activity, *marks in rows:
            task = shown.tasks.get(task_id)
            # A read model that was detached after a fault may be behind the others.
            if task is None:
                continue
            run = shown.runs.get(task_id)
            yield InboxItem(
                task=shown.references[task_id],
                lane=self.lane,
                approval_policy=task.approval_policy,
                approval_state=task.approval_state,
                blocking_reason=blocking_reason(task, run),
                latest_activity_at=date_time(activity),
                run=reduced_run(run, task.max_attempts) if run else None,
                triage=self._effective(task_id, activity, tuple(marks)),
            )

    def _effective(self, task_id: str, activity: int, marks: Row) -> TriageState:
        """Return what a record means now: activity since makes the item unread again."""
        stored = triage_state(task_id, self.actor, [mark or 0 for mark in marks])
        archived, _, last_seen_at, _ = marks
        if archived:
            return replace(stored, dismissed=False)
        if activity > (last_seen_at or 0):
            return replace(stored, read=False, dismissed=False)
        return stored


class _Shown:
    """The tasks of some rows with their latest runs."""

    def __init__(self, reader: Reader, task_ids: list[str]) -> None:
        self.tasks = {key: row.task for key, row in task_rows(reader, task_ids).items()}
        self.references = references(reader, self.tasks.values())
        of_tasks = runs_of_tasks(reader, task_ids).values()
        self.runs = {run.task_id: run for runs in of_tasks if (run := latest_run(runs))}


def blocking_reason(task: Task, run: Run | None) -> str:
    """Return why a task does not go on, given its latest run; empty when nothing is known."""
    if task.approval_policy == "manual" and task.approval_state == "pending":
        return "awaiting_approval"
    if task.approval_policy == "manual" and task.approval_state == "rejected":
        return "approval_rejected"
    if run is not None and run.status == "failed":
        return "latest_run_failed"
    return "awaiting_dependencies" if task.status == "blocked" else ""


def _attention(reader: Reader, filters: InboxFilters) -> Attention | None:
    """Return the tasks whose run needs attention, None when there are none."""
    conditions, values = _conditions(filters)
    where = f" FROM inbox_lanes r WHERE r.lane = ?{conditions}"
    parameters = (NEEDS_ATTENTION, *values)
    if filters.counted:
        count = _counter(reader, NEEDS_ATTENTION, filters)
    else:
        count = int(reader.select(f"SELECT COUNT(*){where}", parameters)[0][0])
    if not count:
        return None
    statement = f"SELECT r.task_id, r.last_activity_at{where}{_ORDER}"
    rows = reader.select(statement, (*parameters, filters.size))
    shown = _Shown(reader, [row[0] for row in rows])
    items = (
        AttentionItem(
            task=shown.references[task_id],
            latest_activity_at=date_time(activity),
            run=reduced_run(shown.runs[task_id], shown.tasks[task_id].max_attempts),
        )
        for task_id, activity in rows
        if task_id in shown.tasks and task_id in shown.runs
    )
    return Attention(count=count, items=tuple(items))
