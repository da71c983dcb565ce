"""What the scenarios begin with: a workspace, a definition in it, and a run of that."""

from typing import Any

from domain.commands import RegisterWorkspace
from domain.posthog.commands import (
    CreatePosthogRun,
    CreatePosthogTask,
    UpdatePosthogRun,
)
from domain.uuids import uuid_of
from tests.support.spec import Spec

WORKSPACE = RegisterWorkspace(workspace_id="w1", name="My Big Shop")
TASK: dict[str, Any] = {"workspace_id": "w1", "posthog_task_id": "p1"}
RUN_ID = uuid_of("task-1")
RUN: dict[str, Any] = {**TASK, "posthog_run_id": RUN_ID}


def definition(**members: Any) -> CreatePosthogTask:
    return CreatePosthogTask(**{**TASK, "title": "a task", **members})


def new_run(**members: Any) -> CreatePosthogRun:
    return CreatePosthogRun(**{**TASK, **members})


def change(**members: Any) -> UpdatePosthogRun:
    return UpdatePosthogRun(**{**RUN, **members})


def types(spec: Spec) -> list[str]:
    """Return the types of what the last command recorded."""
    return [fact.TYPE for fact in spec.facts]
