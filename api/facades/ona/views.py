"""Tasks and executions as clients see them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from api.facades.ona import messages as m
from domain.ona.progress import Phase
from domain.ona.state import OnaTask
from domain.ona.values import RunsOn, TaskSpec, Trigger, Variable
from domain.uuids import uuid_of
from domain.values import Actor, ActorKind
from projections.ona.queries import StepStatus, WholeExecution
from projections.wire.times import optional_time

_PRINCIPALS: Final[dict[ActorKind, m.Principal]] = {
    "human": "PRINCIPAL_USER",
    "agent_session": "PRINCIPAL_ENVIRONMENT",
    "automation": "PRINCIPAL_SERVICE_ACCOUNT",
    "extension": "PRINCIPAL_SERVICE_ACCOUNT",
    "network_peer": "PRINCIPAL_SERVICE_ACCOUNT",
    "daemon": "PRINCIPAL_SERVICE_ACCOUNT",
}
_PHASES: Final[dict[Phase, m.TaskExecutionPhase]] = {
    "PENDING": "TASK_EXECUTION_PHASE_PENDING",
    "RUNNING": "TASK_EXECUTION_PHASE_RUNNING",
    "SUCCEEDED": "TASK_EXECUTION_PHASE_SUCCEEDED",
    "FAILED": "TASK_EXECUTION_PHASE_FAILED",
    "STOPPED": "TASK_EXECUTION_PHASE_STOPPED",
}


def task_view(task: OnaTask) -> m.OnaTask:
    """Return a task."""
    return m.OnaTask(
        id=task.id,
        environment_id=task.workspace_id,
        metadata=m.OnaTaskMetadata(
            reference=task.reference,
            name=task.name,
            description=task.description,
            created_at=optional_time(task.created_at),
            creator=_subject(task.creator),
            triggered_by=tuple(map(_trigger, task.triggered_by)),
        ),
        spec=_spec(task.spec),
        depends_on=task.depends_on,
    )


def execution_view(whole: WholeExecution, log_url: str = "") -> m.OnaTaskExecution:
    """Return an execution with its plan and its steps."""
    execution = whole.execution
    desired: m.TaskExecutionPhase = (
        "TASK_EXECUTION_PHASE_STOPPED" if execution.stopped else "TASK_EXECUTION_PHASE_UNSPECIFIED"
    )
    return m.OnaTaskExecution(
        id=execution.id,
        metadata=m.OnaExecutionMetadata(
            task_id=execution.task_id,
            environment_id=execution.workspace_id,
            created_at=optional_time(execution.created_at),
            creator=_subject(execution.creator),
            started_by=execution.started_by,
            started_at=optional_time(execution.started_at),
            completed_at=optional_time(execution.completed_at),
        ),
        spec=m.OnaExecutionSpec(plan=_plan(whole.steps), desired_phase=desired),
        status=m.OnaExecutionStatus(
            status_version=str(execution.sequence),
            phase=_PHASES[execution.phase],
            failure_message=execution.failure,
            steps=tuple(_step_status(each) for each in whole.steps if each.begun),
            log_url=log_url,
        ),
    )


def _subject(actor: Actor) -> m.OnaSubject:
    return m.OnaSubject(id=uuid_of(actor.label), principal=_PRINCIPALS[actor.kind])


def _trigger(trigger: Trigger) -> m.OnaTrigger:
    return m.OnaTrigger(
        manual=_on(trigger, "manual"),
        post_machine_start=_on(trigger, "postMachineStart"),
        post_environment_start=_on(trigger, "postEnvironmentStart"),
        post_devcontainer_start=_on(trigger, "postDevcontainerStart"),
        prebuild=_on(trigger, "prebuild"),
        before_snapshot=_on(trigger, "beforeSnapshot"),
    )


def _on(trigger: Trigger, kind: str) -> bool | None:
    return trigger.on if trigger.kind == kind else None


def _spec(spec: TaskSpec) -> m.OnaTaskSpec:
    return m.OnaTaskSpec(
        command=spec.command,
        runs_on=_runs_on(spec.runs_on),
        env=tuple(map(_variable, spec.env)),
        prebuild_requires_success=spec.prebuild_requires_success,
    )


def _runs_on(runs_on: RunsOn | None) -> m.OnaRunsOn | None:
    if runs_on is None:
        return None
    machine = m.OnaMachine() if runs_on.machine else None
    if runs_on.docker is None:
        return m.OnaRunsOn(machine=machine)
    docker = m.OnaDocker(image=runs_on.docker.image, environment=runs_on.docker.environment)
    return m.OnaRunsOn(docker=docker)


def _variable(variable: Variable) -> m.OnaVariable:
    secret = variable.secret_id
    source = m.OnaVariableSource(secret_ref=m.OnaSecretRef(id=secret)) if secret else None
    return m.OnaVariable(name=variable.name, value=variable.value, value_from=source)


def _plan(steps: Sequence[StepStatus]) -> tuple[m.OnaPlannedGroup, ...]:
    groups = groupby(steps, key=lambda each: each.planned.group)
    return tuple(m.OnaPlannedGroup(steps=tuple(map(_planned, group))) for _, group in groups)


def _planned(step: StepStatus) -> m.OnaPlannedStep:
    planned = step.planned
    return m.OnaPlannedStep(
        id=planned.id,
        depends_on=planned.depends_on,
        label=planned.label,
        task=m.OnaPlannedTask(id=planned.task_id, spec=_spec(planned.spec)),
    )


def _step_status(step: StepStatus) -> m.OnaStepStatus:
    return m.OnaStepStatus(
        id=step.planned.id,
        phase=_PHASES[step.phase],
        failure_message=step.message,
        output=step.output,
    )
