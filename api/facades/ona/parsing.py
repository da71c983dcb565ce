"""What requests say, in the words of the domain."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import fields

from api.facades.ona import messages as m
from domain.errors import PermissionDeniedError, ValidationError
from domain.ona import checks
from domain.ona.commands import CreateOnaTask, UpdateOnaTask
from domain.ona.values import Docker, RunsOn, TaskSpec, Trigger, TriggerKind, Variable
from projections.ona.queries import Filters

_MOST_WANTED: Final = 25
_KINDS: Final[dict[str, TriggerKind]] = {
    "manual": "manual",
    "post_machine_start": "postMachineStart",
    "post_environment_start": "postEnvironmentStart",
    "post_devcontainer_start": "postDevcontainerStart",
    "prebuild": "prebuild",
    "before_snapshot": "beforeSnapshot",
}


def creation(request: m.OnaCreateTaskRequest) -> CreateOnaTask:
    """Return the command that a request to create a task stands for."""
    metadata = request.metadata or m.OnaTaskMetadata()
    spec = request.spec or m.OnaTaskSpec()
    return CreateOnaTask(
        environment_id=request.environment_id,
        named=request.metadata is not None,
        reference=metadata.reference,
        name=metadata.name,
        description=metadata.description,
        triggered_by=_triggers(metadata.triggered_by),
        spec=TaskSpec(
            command=spec.command,
            env=_variables(spec.env),
            runs_on=_runs_on(spec.runs_on),
            prebuild_requires_success=spec.prebuild_requires_success,
        ),
        depends_on=request.depends_on,
    )


def update(request: m.OnaUpdateTaskRequest) -> UpdateOnaTask:
    """Return the command that a request to change a task stands for."""
    metadata = request.metadata or m.OnaMetadataUpdate()
    spec = request.spec or m.OnaSpecUpdate()
    triggers = metadata.triggered_by
    return UpdateOnaTask(
        ona_task_id=request.id,
        name=metadata.name,
        description=metadata.description,
        triggered_by=None if triggers is None else _triggers(triggers.trigger),
        command=spec.command,
        runs_on=_runs_on(spec.runs_on),
        env=_variables(spec.env),
        prebuild_requires_success=spec.prebuild_requires_success,
        depends_on=request.depends_on,
    )


def _triggers(sent: Sequence[m.OnaTrigger]) -> tuple[Trigger, ...]:
    return tuple(_trigger(each, f"metadata.triggeredBy[{n}]") for n, each in enumerate(sent))


def _trigger(sent: m.OnaTrigger, path: str) -> Trigger:
    given = [
        (_KINDS[field.name], value)
        for field in fields(sent)
        if (value := getattr(sent, field.name)) is not None
    ]
    if len(given) > 1:
        names = ", ".join(kind for kind, _ in given)
        raise ValidationError(f"{path} must have at most one trigger: {names}")
    return Trigger(kind=given[0][0], on=given[0][1]) if given else Trigger()


def _variables(sent: Sequence[m.OnaVariable]) -> tuple[Variable, ...]:
    return tuple(_variable(each, f"spec.env[{n}]") for n, each in enumerate(sent))


def _variable(sent: m.OnaVariable, path: str) -> Variable:
    if sent.value_from is None:
        return Variable(name=sent.name, value=sent.value)
    if sent.value is not None:
        raise ValidationError(f"{path} must have either value or valueFrom, not both")
    if sent.value_from.secret_ref is None:
        raise ValidationError(f"{path}.valueFrom.secretRef is required")
    secret_id = checks.uuid(sent.value_from.secret_ref.id, f"{path}.valueFrom.secretRef.id")
    return Variable(name=sent.name, secret_id=secret_id)


def _runs_on(sent: m.OnaRunsOn | None) -> RunsOn | None:
    if sent is None:
        return None
    if sent.docker is None:
        return RunsOn(machine=sent.machine is not None)
    if sent.machine is not None:
        raise ValidationError("spec.runsOn must be either docker or machine, not both")
    return RunsOn(docker=Docker(image=sent.docker.image, environment=sent.docker.environment))


def task_filters(sent: m.OnaTaskFilter | None, workspace_limit: str) -> Filters:
    """Return which tasks are wanted; a bound caller gets those of its own workspace."""
    wanted = sent or m.OnaTaskFilter()
    return (
        ("task_id", _ids(wanted.task_ids, "filter.taskIds")),
        ("workspace_id", _reached(wanted.environment_ids, workspace_limit)),
        ("reference", _references(wanted.references, "filter.references", least=1)),
    )


def execution_filters(sent: m.OnaExecutionFilter | None, workspace_limit: str) -> Filters:
    """Return which executions are wanted; a bound caller gets those of its own workspace."""
    wanted = sent or m.OnaExecutionFilter()
    _check_number(wanted.phases, "filter.phases")
    return (
        ("task_id", _ids(wanted.task_ids, "filter.taskIds")),
        ("workspace_id", _reached(wanted.environment_ids, workspace_limit)),
        ("reference", _references(wanted.task_references, "filter.taskReferences")),
        ("phase", [phase.removeprefix("TASK_EXECUTION_PHASE_") for phase in wanted.phases]),
    )


def _check_number(sent: Sequence[str], path: str) -> None:
    if len(sent) > _MOST_WANTED:
        raise ValidationError(f"{path} must have at most {_MOST_WANTED} items: {len(sent)}")


def _ids(sent: Sequence[str], path: str) -> Sequence[str]:
    _check_number(sent, path)
    return checks.uuids(sent, path)


def _reached(sent: Sequence[str], workspace_limit: str) -> Sequence[str]:
    wanted = _ids(sent, "filter.environmentIds")
    if not workspace_limit:
        return wanted
    for each in wanted:
        if each != workspace_limit:
            message = f'the token is bound to workspace "{workspace_limit}"; "{each}" is outside it'
            raise PermissionDeniedError(message)
    return [workspace_limit]


def _references(sent: Sequence[str], path: str, least: int = 0) -> Sequence[str]:
    _check_number(sent, path)
    for index, each in enumerate(sent):
        if len(each) < least:
            raise ValidationError(f"{path}[{index}] must have at least {least} character")
        checks.text(each, f"{path}[{index}]")
    return sent
