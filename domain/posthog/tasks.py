"""Defining tasks, changing and deleting definitions."""

from typing import Final

from msgspec import UNSET
from msgspec.structs import asdict

from domain.commands import CancelTask, Reply
from domain.errors import TaskNotFoundError, WorkspaceNotFoundError
from domain.posthog.commands import (
    CreatePosthogTask,
    DeletePosthogTask,
    PosthogTaskCommand,
    UpdatePosthogTask,
)
from domain.posthog.events import PosthogTaskCreated, PosthogTaskDeleted, PosthogTaskUpdated
from domain.posthog.state import PosthogTask, task_stream
from domain.posthog.values import TITLE_LENGTH
from domain.recorded import workspace_stream
from domain.registry import WorkspaceState
from domain.task.lifecycle import cancel_task
from domain.world import Plan

_PREFIX_LENGTH: Final = 3
_NO_PREFIX: Final = "TSK"
_UNTITLED: Final = "Untitled task"


def create_task(command: CreatePosthogTask, plan: Plan) -> Reply:
    """Define a task; its number is the next one of the project, deleted ones counted."""
    workspace = _workspace(plan, command.workspace_id)
    number = plan.world.posthog_tasks(workspace.id)
    fact = PosthogTaskCreated(
        posthog_task_id=command.posthog_task_id,
        workspace_id=workspace.id,
        task_number=number,
        slug=f"{prefix_of(workspace.name or workspace.id)}-{number}",
        title=command.title or title_of(command.description),
        description=command.description,
        origin_product=command.origin_product,
        repository=command.repository,
        github_integration=command.github_integration,
        json_schema=command.json_schema,
    )
    plan.emit(task_stream(command.posthog_task_id), fact)
    return Reply()


def _workspace(plan: Plan, workspace_id: str) -> WorkspaceState:
    plan.check_reach(workspace_id, f'workspace "{workspace_id}"')
    state = plan.state(workspace_stream(workspace_id))
    if not isinstance(state, WorkspaceState) or state.removed:
        raise WorkspaceNotFoundError(f'"{workspace_id}"')
    return state


def prefix_of(project: str) -> str:
    """Return the letters that the slugs of a project begin with.

    These are its first three capitals, else its first three letters, else `TSK`.
    """
    capitals = [letter for letter in project if letter.isupper()]
    letters = [letter for letter in project if letter.isalpha()]
    chosen = capitals if len(capitals) >= _PREFIX_LENGTH else letters
    return "".join(chosen[:_PREFIX_LENGTH]).upper() or _NO_PREFIX


def title_of(description: str) -> str:
    """Return a title for a task that has none: the first line of what it is about."""
    first = next((line.strip() for line in description.splitlines() if line.strip()), "")
    return first[:TITLE_LENGTH].strip() or _UNTITLED


def require_task(command: PosthogTaskCommand, plan: Plan) -> PosthogTask:
    """Return the definition; raises TaskNotFoundError or PermissionDeniedError."""
    plan.check_reach(command.workspace_id, f'workspace "{command.workspace_id}"')
    state = plan.state(task_stream(command.posthog_task_id))
    if (
        not isinstance(state, PosthogTask)
        or state.deleted
        or state.workspace_id != command.workspace_id
    ):
        raise TaskNotFoundError(f'task "{command.posthog_task_id}"')
    return state


def update_task(command: UpdatePosthogTask, plan: Plan) -> Reply:
    """Change the members that were sent; nothing is written when none was."""
    task = require_task(command, plan)
    sent = {name: value for name, value in asdict(command).items() if value is not UNSET}
    changes = {
        name: sent[name] for name in sent if name not in PosthogTaskCommand.__struct_fields__
    }
    if "title" in changes:
        description = changes.get("description", task.description)
        changes["title"] = changes["title"] or title_of(description)
    if changes:
        fact = PosthogTaskUpdated(
            posthog_task_id=task.id,
            workspace_id=task.workspace_id,
            changed_fields=tuple(changes),
            **changes,
        )
        plan.emit(task_stream(task.id), fact)
    return Reply()


def delete_task(command: DeletePosthogTask, plan: Plan) -> Reply:
    """Cancel the runs that have not ended and remove the definition; what happened is kept."""
    task = require_task(command, plan)
    for task_id in plan.world.posthog_open_runs(task.id):
        cancel_task(CancelTask(task_id=task_id, reason="the PostHog task was deleted"), plan)
    fact = PosthogTaskDeleted(posthog_task_id=task.id, workspace_id=task.workspace_id)
    plan.emit(task_stream(task.id), fact)
    return Reply()
