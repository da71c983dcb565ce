"""Triage of the inbox (task API, triage)."""

from domain.commands import Reply, TriageTask
from domain.events import TaskTriaged
from domain.recorded import actor_stream
from domain.world import Plan


def triage_task(command: TriageTask, plan: Plan) -> Reply:
    """Read, archive or dismiss a task for the caller alone; repeating it tells the time again."""
    task = plan.require_task(command.task_id).task
    fact = TaskTriaged(
        triaged_task_id=task.id,
        action=command.action,
        workspace_id=task.workspace_id,
        last_seen_activity_at=task.last_activity_at,
    )
    plan.emit(actor_stream(plan.context.actor), fact)
    return Reply(task_id=task.id)
