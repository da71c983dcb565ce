"""Checks of what an Ona client sends (gitpod.v1 validation rules)."""

import re
from collections.abc import Sequence
from typing import Final

from domain import fields
from domain.errors import ValidationError
from domain.ona.values import Place, RunsOn, TaskSpec, Variable, step_metadata
from domain.uuids import as_uuid
from domain.values import MAX_DEPENDENCIES, METADATA_BYTES, Json

_REFERENCE: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}", re.ASCII)
_SHOWN: Final = 64
_SOME_ID: Final = "x" * 36


def uuid(value: str, path: str) -> str:
    """Return a UUID in its usual form."""
    found = as_uuid(value)
    if found is None:
        message = f"{path} must be a UUID: {_shown(value)}"
        raise ValidationError(message)
    return found


def uuids(values: Sequence[str], path: str) -> tuple[str, ...]:
    """Return UUIDs in their usual form, each once."""
    each = (uuid(value, f"{path}[{index}]") for index, value in enumerate(values))
    return tuple(dict.fromkeys(each))


def reference(value: str, path: str) -> str:
    """Return a reference."""
    if not _REFERENCE.fullmatch(value):
        message = f"{path} must match ^[a-zA-Z0-9_-]{{1,128}}$: {_shown(value)}"
        raise ValidationError(message)
    return value


def name(value: str, path: str) -> str:
    """Return a name of at least one character."""
    if not value:
        message = f"{path} must have at least 1 character"
        raise ValidationError(message)
    return text(value, path)


def text(value: str, path: str) -> str:
    """Return a text as it was sent."""
    fields.text(value, path)
    return value


def dependencies(values: Sequence[str], own_id: str, path: str) -> tuple[str, ...]:
    """Return the ids of other tasks, each of them given once."""
    ids = [uuid(value, f"{path}[{index}]") for index, value in enumerate(values)]
    for index, each in enumerate(ids):
        if each == own_id:
            message = f"{path}[{index}] is the task itself: {each}"
            raise ValidationError(message)
        if each in ids[:index]:
            message = f"{path}[{index}] comes twice: {each}"
            raise ValidationError(message)
    if len(ids) > MAX_DEPENDENCIES:
        message = f"{path} must have at most {MAX_DEPENDENCIES} items: {len(ids)}"
        raise ValidationError(message)
    return tuple(ids)


def spec(value: TaskSpec, path: str) -> TaskSpec:
    """Return a specification that fits into the metadata of the step it will be."""
    text(value.command, f"{path}.command")
    env = tuple(_variable(each, f"{path}.env[{n}]") for n, each in enumerate(value.env))
    if value.runs_on is not None:
        _check_runs_on(value.runs_on, f"{path}.runsOn")
    checked = TaskSpec(
        command=value.command,
        env=env,
        runs_on=value.runs_on,
        prebuild_requires_success=value.prebuild_requires_success,
    )
    size = len(bytes(longest_metadata(checked)))
    if size > METADATA_BYTES:
        message = f"{path} takes {size} of at most {METADATA_BYTES} bytes in a step's metadata"
        raise ValidationError(message)
    return checked


def longest_metadata(value: TaskSpec) -> Json:
    """Return the longest metadata that a step with this specification can get."""
    depends_on = (_SOME_ID,) * MAX_DEPENDENCIES
    return step_metadata(
        value, Place(task_id=_SOME_ID, group=MAX_DEPENDENCIES, depends_on=depends_on)
    )


def _variable(variable: Variable, path: str) -> Variable:
    if not variable.name:
        message = f"{path}.name must have at least 1 character"
        raise ValidationError(message)
    text(variable.name, f"{path}.name")
    text(variable.value or "", f"{path}.value")
    if not variable.secret_id:
        return variable
    secret_id = uuid(variable.secret_id, f"{path}.valueFrom.secretRef.id")
    return Variable(name=variable.name, secret_id=secret_id)


def _check_runs_on(runs_on: RunsOn, path: str) -> None:
    if runs_on.docker is None:
        return
    if not runs_on.docker.image:
        message = f"{path}.docker.image must have at least 1 character"
        raise ValidationError(message)
    text(runs_on.docker.image, f"{path}.docker.image")
    for index, each in enumerate(runs_on.docker.environment):
        text(each, f"{path}.docker.environment[{index}]")


def _shown(value: str) -> str:
    return f'"{value[:_SHOWN]}{"…" if len(value) > _SHOWN else ""}"'
