"""Defining Ona tasks: create, update and delete."""

from collections.abc import Sequence
from typing import Any

from domain.commands import Reply
from domain.errors import (
    ConflictError,
    DeletePreconditionError,
    ValidationError,
)
from domain.ona import checks
from domain.ona.commands import CreateOnaTask, DeleteOnaTask, UpdateOnaTask
from domain.ona.events import OnaTaskCreated, OnaTaskDeleted, OnaTaskUpdated
from domain.ona.executions import stop
from domain.ona.known import definition, required
from domain.ona.state import OnaTask, ona_task_stream
from domain.ona.values import TaskSpec
from domain.operations import ensure_workspace
from domain.uuids import uuid_of
from domain.world import Plan


def create_ona_task(command: CreateOnaTask, plan: Plan) -> Reply:
    """Define a task; its environment becomes a workspace on first use."""
    workspace_id = checks.uuid(command.environment_id, "environmentId")
    ona_task_id = uuid_of(plan.context.new_id("ona-task"))
    fact = OnaTaskCreated(
        ona_task_id=ona_task_id,
        workspace_id=workspace_id,
        reference=checks.reference(command.reference, "metadata.reference")
        if command.named
        else "",
        name=checks.name(command.name, "metadata.name") if command.named else "",
        description=checks.text(command.description, "metadata.description"),
        triggered_by=command.triggered_by,
        spec=checks.spec(command.spec, "spec"),
        depends_on=checks.dependencies(command.depends_on, ona_task_id, "dependsOn"),
    )
    ensure_workspace(plan, workspace_id)
    holder = fact.reference and plan.world.ona_task_of_reference(workspace_id, fact.reference)
    if holder:
        message = f'reference "{fact.reference}" already names task "{holder}" of this environment'
        raise ConflictError(message)
    _check_known(plan, fact.depends_on, workspace_id)
    plan.emit(ona_task_stream(ona_task_id), fact)
    return Reply()


def _check_known(plan: Plan, depends_on: Sequence[str], workspace_id: str) -> None:
    """Refuse dependencies that are no tasks of the environment."""
    for index, each in enumerate(depends_on):
        state = definition(plan, each)
        if state is None or state.workspace_id != workspace_id:
            message = f'dependsOn[{index}] is no task of environment "{workspace_id}": {each}'
            raise ValidationError(message)


def update_ona_task(command: UpdateOnaTask, plan: Plan) -> Reply:
    """Change the fields that differ; nothing is written when none does."""
    state = required(plan, command.ona_task_id)
    wanted = _wanted(command, state)
    if "depends_on" in wanted:
        _check_known(plan, wanted["depends_on"], state.workspace_id)
        _check_acyclic(plan, state.id, wanted["depends_on"])
    changes = {name: value for name, value in wanted.items() if value != getattr(state, name)}
    if changes:
        fact = OnaTaskUpdated(
            ona_task_id=state.id,
            workspace_id=state.workspace_id,
            changed_fields=tuple(changes),
            **changes,
        )
        plan.emit(ona_task_stream(state.id), fact)
    return Reply()


def _wanted(command: UpdateOnaTask, state: OnaTask) -> dict[str, Any]:
    """Return the checked values of the fields that the command names."""
    wanted: dict[str, Any] = {}
    if command.name is not None:
        wanted["name"] = checks.name(command.name, "metadata.name")
    if command.description is not None:
        wanted["description"] = checks.text(command.description, "metadata.description")
    if command.triggered_by is not None:
        wanted["triggered_by"] = command.triggered_by
    spec = TaskSpec(
        command=state.spec.command if command.command is None else command.command,
        env=command.env or state.spec.env,
        runs_on=command.runs_on or state.spec.runs_on,
        prebuild_requires_success=state.spec.prebuild_requires_success
        if command.prebuild_requires_success is None
        else command.prebuild_requires_success,
    )
    wanted["spec"] = checks.spec(spec, "spec")
    if command.depends_on:
        wanted["depends_on"] = checks.dependencies(command.depends_on, state.id, "dependsOn")
    return wanted


def _check_acyclic(plan: Plan, ona_task_id: str, depends_on: Sequence[str]) -> None:
    """Refuse dependencies that lead back to the task."""
    waiting, seen = list(depends_on), set(depends_on)
    while waiting:
        state = definition(plan, waiting.pop())
        for each in state.depends_on if state else ():
            if each == ona_task_id:
                message = f'dependsOn would make task "{ona_task_id}" depend on itself'
                raise ValidationError(message)
            if each not in seen:
                seen.add(each)
                waiting.append(each)


def delete_ona_task(command: DeleteOnaTask, plan: Plan) -> Reply:
    """Remove a definition after stopping its open executions; its reference becomes free."""
    state = required(plan, command.ona_task_id)
    dependents = plan.world.ona_dependents_of(state.id)
    if dependents:
        message = f'task "{state.id}" is a dependency of task "{dependents[0]}"'
        raise DeletePreconditionError(message)
    for root_id in plan.world.ona_open_executions(state.id):
        stop(plan, root_id)
    fact = OnaTaskDeleted(ona_task_id=state.id, workspace_id=state.workspace_id)
    plan.emit(ona_task_stream(state.id), fact)
    return Reply()
