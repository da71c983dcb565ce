"""Commands about Ona tasks and their executions; deciding checks the values."""

from domain.commands import Command
from domain.ona.values import RunsOn, TaskSpec, Trigger, Variable


class CreateOnaTask(Command, frozen=True, kw_only=True):
    """Define a task. `named` tells that metadata came, which has to have a reference and a name."""

    environment_id: str
    named: bool = False
    reference: str = ""
    name: str = ""
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    spec: TaskSpec = TaskSpec()
    depends_on: tuple[str, ...] = ()


class UpdateOnaTask(Command, frozen=True, kw_only=True):
    """Change a definition; None leaves a field as it is, and so does an empty list."""

    ona_task_id: str
    name: str | None = None
    description: str | None = None
    triggered_by: tuple[Trigger, ...] | None = None
    command: str | None = None
    runs_on: RunsOn | None = None
    env: tuple[Variable, ...] = ()
    prebuild_requires_success: bool | None = None
    depends_on: tuple[str, ...] = ()


class DeleteOnaTask(Command, frozen=True, kw_only=True):
    """Remove a definition; its open executions are stopped."""

    ona_task_id: str


class StartOnaTask(Command, frozen=True, kw_only=True):
    """Begin an execution of a task and of all it depends on."""

    ona_task_id: str


class StopOnaExecution(Command, frozen=True, kw_only=True):
    """Give an execution up; on a finished one nothing happens."""

    execution_id: str
