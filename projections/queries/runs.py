"""The runs of a task, and one run in full (task API, runs)."""

from typing import Any

from domain.task.state import Run as DomainRun
from projections.queries.batches import references, run_of_document, runs_by_id, task_of
from projections.registry import session_of
from projections.rows import Reader
from projections.wire.details import RunDetail
from projections.wire.runs import Run, RunOperationalSummary, run_session, run_view
from projections.wire.times import date_time


def list_runs(
    reader: Reader, task_id: str, *, status: str = "", session_id: str = "", limit: int = 0
) -> list[Run]:
    """Return the runs of a task, latest queued first; empty filters admit all, limit 0 has none."""
    statement = "SELECT doc FROM runs WHERE task_id = ?"
    values: list[Any] = [task_id]
    for column, value in (("status", status), ("session_id", session_id)):
        if value:
            statement += f" AND {column} = ?"
            values.append(value)
    statement += " ORDER BY queued_at DESC, run_id DESC"
    if limit:
        statement += " LIMIT ?"
        values.append(limit)
    return [run_view(run_of_document(row[0])) for row in reader.select(statement, values)]


def run_of(reader: Reader, run_id: str) -> DomainRun | None:
    """Return a run, None when there is no such run."""
    return runs_by_id(reader, (run_id,)).get(run_id)


def run_detail(reader: Reader, run_id: str) -> RunDetail | None:
    """Return everything about a run, None when there is no such run."""
    found = reader.select(
        "SELECT doc, last_event_at, last_event_type FROM runs WHERE run_id = ?", (run_id,)
    )
    if not found:
        return None
    document, last_event_at, last_event_type = found[0]
    run = run_of_document(document)
    task = task_of(reader, run.task_id)
    if task is None:
        return None
    session = None
    if run.session_id:
        session = run_session(run.session_id, session_of(reader, run.session_id))
    return RunDetail(
        run=run_view(run),
        task=references(reader, (task,))[task.id],
        session=session,
        summary=RunOperationalSummary(
            last_activity_at=date_time(max(run.last_activity_at, last_event_at)),
            last_event_type=last_event_type,
        ),
    )
