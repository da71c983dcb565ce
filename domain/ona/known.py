"""Definitions as commands find them."""

from domain.errors import TaskNotFoundError
from domain.ona import checks
from domain.ona.state import OnaTask, ona_task_stream
from domain.world import Plan


def definition(plan: Plan, ona_task_id: str) -> OnaTask | None:
    """Return a definition, None when there is none or it is deleted."""
    state = plan.state(ona_task_stream(ona_task_id))
    return state if isinstance(state, OnaTask) and not state.deleted else None


def required(plan: Plan, sent_id: str) -> OnaTask:
    """Return a definition the caller may touch; raises TaskNotFound or PermissionDenied."""
    ona_task_id = checks.uuid(sent_id, "id")
    found = definition(plan, ona_task_id)
    if found is None:
        raise TaskNotFoundError(f'Ona task "{ona_task_id}"')
    plan.check_reach(found.workspace_id, f'Ona task "{ona_task_id}"')
    return found
