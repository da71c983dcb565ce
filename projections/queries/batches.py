"""Reads of many rows at once, so that a page of answers takes a handful of statements."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from domain.task.state import Run, Task
from projections.rows import Reader, Row
from projections.wire.runs import RunSummary, run_summary
from projections.wire.tasks import (
    DependencyReference,
    TaskReference,
    TaskSummary,
    dependency_reference,
    task_reference,
    task_summary,
)

_BATCH_SIZES: Final = (1, 4, 16, 64, 256)
_TASK: Final = msgspec.json.Decoder(Task).decode
_RUN: Final = msgspec.json.Decoder(Run).decode


class TaskRow(NamedTuple):
    """A task with the id of its open run, empty when it has none."""

    task: Task
    open_run_id: str

    @property
    def recency(self) -> tuple[int, int, int, str]:
        """What lists of tasks are ordered by, the greatest first."""
        task = self.task
        return (task.last_activity_at, task.updated_at, task.created_at, task.id)


def task_row(document: bytes, open_run_id: str) -> TaskRow:
    """Return the task that a row holds."""
    return TaskRow(_TASK(document), open_run_id)


def run_of_document(document: bytes) -> Run:
    """Return the run that a row holds."""
    return _RUN(document)


def task_of(reader: Reader, task_id: str) -> Task | None:
    """Return a task, None when there is no such task."""
    row = task_rows(reader, (task_id,)).get(task_id)
    return row.task if row else None


def task_rows(reader: Reader, task_ids: Iterable[str]) -> dict[str, TaskRow]:
    """Return the tasks that exist, by id."""
    statement = "SELECT task_id, doc, open_run_id FROM tasks WHERE task_id IN ({})"
    return {row[0]: task_row(row[1], row[2]) for row in in_batches(reader, statement, task_ids)}


def runs_by_id(reader: Reader, run_ids: Iterable[str]) -> dict[str, Run]:
    """Return the runs that exist, by id."""
    statement = "SELECT run_id, doc FROM runs WHERE run_id IN ({})"
    return {row[0]: _RUN(row[1]) for row in in_batches(reader, statement, run_ids)}


def runs_of_tasks(reader: Reader, task_ids: Iterable[str]) -> dict[str, list[Run]]:
    """Return all runs of each task that has any, by task id."""
    found: dict[str, list[Run]] = {}
    statement = "SELECT task_id, doc FROM runs WHERE task_id IN ({})"
    for task_id, document in in_batches(reader, statement, task_ids):
        found.setdefault(task_id, []).append(_RUN(document))
    return found


def paused_by(reader: Reader, tasks: Iterable[Task]) -> dict[str, str]:
    """Return for each task the nearest paused task of its lineage, empty when none is."""
    tasks = list(tasks)
    ancestors = {ancestor for task in tasks for ancestor in task.ancestors}
    statement = "SELECT task_id FROM tasks WHERE paused = 1 AND task_id IN ({})"
    paused = {row[0] for row in in_batches(reader, statement, ancestors)}
    return {task.id: _nearest(task, paused) for task in tasks}


def paused_by_of(reader: Reader, task: Task) -> str:
    """Return the nearest paused task of one task's lineage, empty when none is."""
    return paused_by(reader, (task,))[task.id]


def _nearest(task: Task, paused: set[str]) -> str:
    if task.paused:
        return task.id
    return next((ancestor for ancestor in task.ancestors if ancestor in paused), "")


def references(reader: Reader, tasks: Iterable[Task]) -> dict[str, TaskReference]:
    """Return the mention of each task, by id."""
    by_id = {task.id: task for task in tasks}
    pauses = paused_by(reader, by_id.values())
    return {task.id: task_reference(task, pauses[task.id]) for task in by_id.values()}


def active_runs(reader: Reader, rows: Iterable[TaskRow]) -> dict[str, RunSummary]:
    """Return the open run of each task that has one, by task id."""
    limits = {row.open_run_id: row.task.max_attempts for row in rows if row.open_run_id}
    runs = runs_by_id(reader, limits)
    return {run.task_id: run_summary(run, limits[run.id]) for run in runs.values()}


def summaries(reader: Reader, rows: Iterable[TaskRow]) -> list[TaskSummary]:
    """Return the tasks as rows of a list, in the given order."""
    rows = list(rows)
    known = {row.task.id: row.task for row in rows}
    wanted = {edge.depends_on_task_id for row in rows for edge in row.task.dependencies}
    blockers = task_rows(reader, wanted - known.keys())
    known |= {row.task.id: row.task for row in blockers.values()}
    mentions = references(reader, known.values())
    runs = active_runs(reader, rows)
    return [
        task_summary(
            row.task,
            mentions[row.task.id].paused_by_task_id,
            dependency_references(row.task, mentions),
            runs.get(row.task.id),
        )
        for row in rows
    ]


def dependency_references(
    task: Task, mentions: Mapping[str, TaskReference]
) -> list[DependencyReference]:
    """Return the edges of a task, oldest first, without those to tasks that are not mentioned."""
    edges = sorted(task.dependencies, key=lambda edge: (edge.created_at, edge.depends_on_task_id))
    return [
        dependency_reference(task.id, edge, mentions[edge.depends_on_task_id])
        for edge in edges
        if edge.depends_on_task_id in mentions
    ]


def leases_held(reader: Reader, session_ids: Iterable[str], now: int) -> Counter[str]:
    """Return how many leases that have not run out each session holds, by session id."""
    statement = (
        "SELECT session_id, lease_until FROM session_runs WHERE leased = 1 AND session_id IN ({})"
    )
    found = in_batches(reader, statement, session_ids)
    return Counter(session_id for session_id, lease_until in found if lease_until > now)


def in_batches(reader: Reader, statement: str, ids: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of a statement with one IN list.

    Lists are filled up to a few sizes by repeating an id, so that few statements are prepared.
    """
    waiting = sorted(ids)
    while waiting:
        size = next((n for n in _BATCH_SIZES if n >= len(waiting)), _BATCH_SIZES[-1])
        batch, waiting = waiting[:size], waiting[size:]
        batch += batch[-1:] * (size - len(batch))
        yield from reader.select(statement.format(", ".join("?" * size)), batch)
