"""App versions, and what is asked of them."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

from domain.task.state import Run
from domain.tempest.state import AppState, OperationState
from projections.queries.batches import in_batches, runs_by_id
from projections.rows import Reader
from projections.wire.tempest import TempestApp, TempestOperation, app_view, operation_view

_APP: Final = msgspec.json.Decoder(AppState).decode
_OPERATION: Final = msgspec.json.Decoder(OperationState).decode
_JOINED: Final = (
    "SELECT q.doc, o.run_id, o.rank FROM tempest_requests q"
    " JOIN tempest_operations o ON o.task_id = q.task_id WHERE "
)


class OperationFilters(Struct, frozen=True, kw_only=True):
    """Which operations to list; an empty value admits all. `before` is the last task id known."""

    app_id: str = ""
    version: str = ""
    workspace_id: str = ""
    status: str = ""
    before: str = ""


def apps(reader: Reader, workspace_id: str = "") -> list[TempestApp]:
    """Return the app versions by name; given a workspace, those of it and those of none."""
    condition = " WHERE workspace_id IN ('', ?)" if workspace_id else ""
    values = (workspace_id,) if workspace_id else ()
    statement = f"SELECT doc FROM tempest_apps{condition} ORDER BY app_id, version"
    return [app_view(_APP(row[0])) for row in reader.select(statement, values)]


def app_of(reader: Reader, app_id: str, version: str) -> TempestApp | None:
    """Return an app version, None for one that has never told anything."""
    statement = "SELECT doc FROM tempest_apps WHERE app_id = ? AND version = ?"
    found = reader.select(statement, (app_id, version))
    return app_view(_APP(found[0][0])) if found else None


def operations(reader: Reader, filters: OperationFilters, limit: int) -> list[TempestOperation]:
    """Return operations, the last queued first."""
    columns = {
        "q.app_id": filters.app_id,
        "q.version": filters.version,
        "o.workspace_id": filters.workspace_id,
        "o.status": filters.status,
    }
    given = {f"{column} = ?": value for column, value in columns.items() if value}
    if filters.before:
        given["q.task_id < ?"] = filters.before
    condition = " AND ".join(given) or "1 = 1"
    statement = f"{_JOINED}{condition} ORDER BY q.task_id DESC LIMIT ?"
    found = reader.select(statement, (*given.values(), limit))
    runs = runs_by_id(reader, (row[1] for row in found))
    return [operation_view(_OPERATION(row[0]), runs[row[1]], row[2]) for row in found]


def operation_of(reader: Reader, task_id: str) -> TempestOperation | None:
    """Return an operation, None when there is none of that task."""
    found = reader.select(f"{_JOINED}q.task_id = ?", (task_id,))
    if not found:
        return None
    doc, run_id, rank = found[0]
    return operation_view(_OPERATION(doc), runs_by_id(reader, (run_id,))[run_id], rank)


def latest_runs(reader: Reader, task_ids: Iterable[str]) -> dict[str, Run]:
    """Return the latest run of each of these tasks that is an operation, by task id."""
    statement = "SELECT run_id FROM tempest_operations WHERE task_id IN ({})"
    runs = runs_by_id(reader, (row[0] for row in in_batches(reader, statement, task_ids)))
    return {run.task_id: run for run in runs.values()}


def request_of_task(reader: Reader, task_id: str) -> OperationState | None:
    """Return what the task of an operation asks, None when it is none."""
    return _request(reader, "SELECT doc FROM tempest_requests WHERE task_id = ?", task_id)


def operation_of_run(reader: Reader, run_id: str) -> OperationState | None:
    """Return what a run has to do, None when it belongs to no operation."""
    statement = (
        "SELECT q.doc FROM run_tasks r JOIN tempest_requests q ON q.task_id = r.task_id"
        " WHERE r.run_id = ?"
    )
    return _request(reader, statement, run_id)


def _request(reader: Reader, statement: str, *values: Any) -> OperationState | None:
    found = reader.select(statement, values)
    return _OPERATION(found[0][0]) if found else None
