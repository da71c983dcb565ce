"""What the values in a path mean: the project, one of its tasks, and a run of that."""

from typing import Any

from msgspec import Struct

from api.call import Call
from api.facades.posthog.errors import not_found
from domain.uuids import as_uuid
from projections.lookup import workspace_of_ref
from projections.posthog.queries import posthog_run, posthog_task
from projections.posthog.rows import RunRecord, TaskRecord
from projections.registry import workspaces
from projections.rows import Reader

_CURRENT = "@current"


class Subject(Struct, frozen=True, kw_only=True):
    """A run of a task of a project."""

    workspace_id: str
    task: TaskRecord
    run: RunRecord

    @property
    def ids(self) -> dict[str, Any]:
        """The members that commands name the run by."""
        return {
            "workspace_id": self.workspace_id,
            "posthog_task_id": self.task.id,
            "posthog_run_id": self.run.id,
        }


def reader_of(call: Call) -> Reader:
    """Return the rows to answer from."""
    return call.services.ledger.reader


def project_of(call: Call) -> str:
    """Return the workspace that the project is; raises RefusalError or PermissionDeniedError.

    `@current` is the one of the access token, or the only one there is.
    """
    ref = call.values[0]
    found = _current(call) if ref == _CURRENT else workspace_of_ref(reader_of(call), ref)
    if found is None:
        raise not_found()
    call.require_workspace(found, f'project "{ref}"')
    return found


def _current(call: Call) -> str | None:
    if call.caller.workspace_limit:
        return call.caller.workspace_limit
    known = workspaces(reader_of(call))
    return known[0].id if len(known) == 1 else None


def task_in(call: Call) -> TaskRecord:
    """Return the task; raises RefusalError or PermissionDeniedError."""
    workspace_id = project_of(call)
    task_id = as_uuid(call.values[1])
    task = posthog_task(reader_of(call), task_id) if task_id else None
    if task is None or task.workspace_id != workspace_id:
        raise not_found()
    return task


def run_in(call: Call) -> Subject:
    """Return the run; raises RefusalError or PermissionDeniedError."""
    task = task_in(call)
    run_id = as_uuid(call.values[2])
    run = posthog_run(reader_of(call), task.id, run_id) if run_id else None
    if run is None:
        raise not_found()
    return Subject(workspace_id=task.workspace_id, task=task, run=run)
