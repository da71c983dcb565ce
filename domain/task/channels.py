"""Network and coordination channels of runs (task API, coordination channel)."""

import hashlib
import re

from domain.errors import ValidationError
from domain.task.state import Run, Task
from domain.world import Plan

_OTHER = re.compile(r"[^a-z0-9_-]+", re.ASCII)
_MAX_SUFFIX = 58


def coordination_channel_id(plan: Plan, task: Task, run_id: str, network_channel: str) -> str:
    """Return the channel in which a run of a workspace task is coordinated; empty for global ones.

    Raises ValidationError when the channel belongs to another workspace.
    """
    if task.scope == "global":
        return ""
    channel = network_channel or f"coord-{_suffix(run_id)}"
    holder = foreign_holder(plan, task, channel)
    if holder:
        message = f'coordination channel "{channel}" belongs to workspace "{holder}"'
        raise ValidationError(message)
    return channel


def stale_channel(plan: Plan, task: Task, run: Run) -> str:
    """Return the run's channel, else its task's, if another workspace holds it now; else empty."""
    channel = run.network_channel or task.network_channel
    return channel if foreign_holder(plan, task, channel) else ""


def foreign_holder(plan: Plan, task: Task, channel: str) -> str:
    """Return the other workspace that holds the channel, empty when the task may use it."""
    if not channel or task.scope == "global":
        return ""
    holder = plan.channel_workspace(channel)
    return holder if holder is not None and holder != task.workspace_id else ""


def _suffix(run_id: str) -> str:
    kept = _OTHER.sub("-", run_id.lower())[:_MAX_SUFFIX].strip("-")
    return kept or f"run-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}"
