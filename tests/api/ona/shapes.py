"""What the answers of gitpod.v1 look like, as facts that the server has to agree with.

A shape lists its members: `name` is a text, `name:type` anything else, and `!` marks a member that
must be there. `[type]` is a list, and a type with an upper-case initial is another shape or a word
with that prefix. Zero values are left out, so nearly everything may be missing.
"""

import re
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from domain.instants import parse_rfc3339

PREFIXES: Final = {
    "Principal": ("PRINCIPAL_", "ACCOUNT USER RUNNER ENVIRONMENT SERVICE_ACCOUNT RUNNER_MANAGER"),
    "Phase": ("TASK_EXECUTION_PHASE_", "PENDING RUNNING SUCCEEDED FAILED STOPPED"),
}
SHAPES: Final = {
    "CreateTask": "task!:Task",
    "GetTask": "task!:Task",
    "ListTasks": "pagination:Page tasks!:[Task]",
    "UpdateTask": "",
    "DeleteTask": "",
    "StartTask": "taskExecution!:Execution",
    "GetTaskExecution": "taskExecution!:Execution",
    "ListTaskExecutions": "pagination:Page taskExecutions!:[Execution]",
    "StopTaskExecution": "",
    "Docker": "image environment:[text]",
    "Error": "code! message details:[any]",
    "Execution": (
        "id!:uuid metadata!:ExecutionMetadata spec!:ExecutionSpec status!:ExecutionStatus"
    ),
    "ExecutionMetadata": (
        "taskId!:uuid environmentId!:uuid createdAt!:time creator!:Subject startedBy! "
        "startedAt:time completedAt:time"
    ),
    "ExecutionSpec": "plan!:[Group] desiredPhase:Phase",
    "ExecutionStatus": (
        "statusVersion!:digits phase!:Phase failureMessage logUrl steps:[StepStatus]"
    ),
    "Group": "steps!:[Step]",
    "Machine": "",
    "Page": "nextToken",
    "PlannedTask": "id!:uuid spec:Spec",
    "RunsOn": "docker:Docker machine:Machine",
    "SecretRef": "id:uuid",
    "Source": "secretRef:SecretRef",
    "Spec": "command runsOn:RunsOn env:[Variable] prebuildRequiresSuccess:bool",
    "Step": "id!:uuid dependsOn:[uuid] label! task!:PlannedTask",
    "StepStatus": "id!:uuid phase!:Phase failureMessage output:texts",
    "Subject": "id!:uuid principal!:Principal",
    "Task": "id!:uuid environmentId!:uuid metadata!:TaskMetadata spec:Spec dependsOn:[uuid]",
    "TaskMetadata": (
        "reference name description createdAt!:time creator!:Subject triggeredBy:[Trigger]"
    ),
    "Trigger": (
        "manual:bool postMachineStart:bool postEnvironmentStart:bool "
        "postDevcontainerStart:bool prebuild:bool beforeSnapshot:bool"
    ),
    "Variable": "name! value valueFrom:Source",
}


def complaints(value: Any, kind: str, where: str = "$") -> Iterator[str]:
    """Yield what is wrong with an answer; a member that no shape knows is wrong as well."""
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{where} is no list: {value!r}"
            return
        for number, item in enumerate(value):
            yield from complaints(item, kind[1:-1], f"{where}[{number}]")
    elif kind in SHAPES:
        yield from _of_shape(value, kind, where)
    elif not _fits(value, kind):
        yield f"{where} is no {kind}: {value!r}"


def _of_shape(value: Any, shape: str, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no {shape}: {value!r}"
        return
    known = set()
    for entry in SHAPES[shape].split():
        name, _, kind = entry.partition(":")
        known.add(name.removesuffix("!"))
        if name.removesuffix("!") in value:
            found = value[name.removesuffix("!")]
            yield from complaints(found, kind or "text", f"{where}.{name}")
        elif name.endswith("!"):
            yield f"{where}.{name} is missing"
    yield from (f"{where}.{name} is unknown" for name in value.keys() - known)


def _fits(value: Any, kind: str) -> bool:
    if kind in PREFIXES:
        prefix, words = PREFIXES[kind]
        return value in {prefix + word for word in words.split()}
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "texts":
        return all(isinstance(each, str) and len(each) <= 4096 for each in value.values())
    if not isinstance(value, str):
        return False
    if kind == "uuid":
        return str(UUID(value)) == value
    if kind == "time":
        return parse_rfc3339(value) > 0
    return kind == "text" or re.fullmatch("[0-9]+", value) is not None
