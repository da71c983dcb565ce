"""What an Ona task says, as it is kept (gitpod.v1 TaskMetadata and TaskSpec)."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from domain.values import Json

TriggerKind = Literal[
    "manual",
    "postMachineStart",
    "postEnvironmentStart",
    "postDevcontainerStart",
    "prebuild",
    "beforeSnapshot",
]

_ENCODE: Final = msgspec.json.Encoder().encode


class Trigger(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What starts a task; without a `kind` nothing does."""

    kind: TriggerKind | None = None
    on: bool = True


class Variable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An environment variable: a value, or the id of the secret that has it."""

    name: str
    value: str | None = None
    secret_id: str = ""


class Docker(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container to run in."""

    image: str
    environment: tuple[str, ...] = ()


class RunsOn(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a command runs: in a container, on the machine, or wherever the worker is."""

    docker: Docker | None = None
    machine: bool = False


class TaskSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a task runs."""

    command: str = ""
    env: tuple[Variable, ...] = ()
    runs_on: RunsOn | None = None
    prebuild_requires_success: bool = False


class Place(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a step stands in the plan: its Ona task, its group and the steps it depends on.

    Groups count from 0, steps are named by the ids of their core tasks.
    """

    task_id: str
    group: int
    depends_on: tuple[str, ...] = ()


class StepMetadata(TaskSpec, frozen=True, kw_only=True, omit_defaults=True):
    """The metadata of a step's core task, where a worker finds the command and its variables."""

    ona: Place


class Started(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which Ona task an execution is of, and what started it."""

    task_id: str
    reference: str = ""
    started_by: str


class ExecutionMetadata(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The metadata of an execution's core task."""

    ona: Started


def step_metadata(spec: TaskSpec, place: Place) -> Json:
    """Return the metadata of a step that runs what `spec` says."""
    said = {name: getattr(spec, name) for name in TaskSpec.__struct_fields__}
    whole = msgspec.to_builtins(StepMetadata(**said, ona=place))
    # An empty command is one, which a worker would not see if it were left out.
    return Json(_ENCODE({"command": spec.command, **whole}))


def execution_metadata(started: Started) -> Json:
    """Return the metadata of an execution."""
    return Json(_ENCODE(ExecutionMetadata(ona=started)))
