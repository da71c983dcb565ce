"""The messages of gitpod.v1, as their JSON form has them.

`NUMBERS` are the field numbers of the binary form, in the order of the fields; a field that may be
None tells unset from empty there. The values of an enumeration count from 0.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from api.parsing import Body
from projections.wire.times import DateTime

Uint64 = Annotated[str, Meta(extra_json_schema={"format": "uint64", "pattern": "^[0-9]+$"})]
"""A number of 64 bits, which JSON carries as a text."""
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]

Principal = Literal[
    "PRINCIPAL_UNSPECIFIED",
    "PRINCIPAL_ACCOUNT",
    "PRINCIPAL_USER",
    "PRINCIPAL_RUNNER",
    "PRINCIPAL_ENVIRONMENT",
    "PRINCIPAL_SERVICE_ACCOUNT",
    "PRINCIPAL_RUNNER_MANAGER",
]
TaskExecutionPhase = Literal[
    "TASK_EXECUTION_PHASE_UNSPECIFIED",
    "TASK_EXECUTION_PHASE_PENDING",
    "TASK_EXECUTION_PHASE_RUNNING",
    "TASK_EXECUTION_PHASE_SUCCEEDED",
    "TASK_EXECUTION_PHASE_FAILED",
    "TASK_EXECUTION_PHASE_STOPPED",
]


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A message; unset and zero values are left out."""

    NUMBERS: ClassVar[tuple[int, ...]] = ()


class Request(Body, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The message that a method is called with."""

    NUMBERS: ClassVar[tuple[int, ...]] = ()


class OnaSubject(Message, frozen=True, kw_only=True):
    """Who did something."""

    NUMBERS = (1, 2)
    id: Uuid = ""
    principal: Principal = "PRINCIPAL_UNSPECIFIED"


class OnaTrigger(Message, frozen=True, kw_only=True):
    """What starts a task: at most one member is set."""

    NUMBERS = (1, 5, 10, 20, 30, 40)
    manual: bool | None = None
    post_machine_start: bool | None = None
    post_environment_start: bool | None = None
    post_devcontainer_start: bool | None = None
    prebuild: bool | None = None
    before_snapshot: bool | None = None


class OnaTaskMetadata(Message, frozen=True, kw_only=True):
    """How a task is called, who made it and what starts it; the server sets time and creator."""

    NUMBERS = (1, 2, 3, 4, 5, 6)
    reference: str = ""
    name: str = ""
    description: str = ""
    created_at: DateTime | None = None
    creator: OnaSubject | None = None
    triggered_by: tuple[OnaTrigger, ...] = ()


class OnaSecretRef(Message, frozen=True, kw_only=True):
    """A secret by its id."""

    NUMBERS = (1,)
    id: Uuid = ""


class OnaVariableSource(Message, frozen=True, kw_only=True):
    """Where the value of a variable comes from."""

    NUMBERS = (1,)
    secret_ref: OnaSecretRef | None = None


class OnaVariable(Message, frozen=True, kw_only=True):
    """An environment variable: either a value or where it comes from."""

    NUMBERS = (1, 2, 3)
    name: str = ""
    value: str | None = None
    value_from: OnaVariableSource | None = None


class OnaDocker(Message, frozen=True, kw_only=True):
    """A container to run in."""

    NUMBERS = (1, 2)
    image: str = ""
    environment: tuple[str, ...] = ()


class OnaMachine(Message, frozen=True, kw_only=True):
    """The machine itself."""


class OnaRunsOn(Message, frozen=True, kw_only=True):
    """Where a command runs: either in a container or on the machine."""

    NUMBERS = (10, 30)
    docker: OnaDocker | None = None
    machine: OnaMachine | None = None


class OnaTaskSpec(Message, frozen=True, kw_only=True):
    """What a task runs."""

    NUMBERS = (1, 2, 3, 4)
    command: str = ""
    runs_on: OnaRunsOn | None = None
    env: tuple[OnaVariable, ...] = ()
    prebuild_requires_success: bool = False


class OnaTask(Message, frozen=True, kw_only=True):
    """A task of an environment."""

    NUMBERS = (1, 2, 3, 4, 5)
    id: Uuid
    environment_id: Uuid
    metadata: OnaTaskMetadata | None = None
    spec: OnaTaskSpec | None = None
    depends_on: tuple[Uuid, ...] = ()


class OnaExecutionMetadata(Message, frozen=True, kw_only=True):
    """Of which task an execution is, who started it, and when it was under way."""

    NUMBERS = (1, 2, 3, 4, 6, 7, 8)
    task_id: Uuid = ""
    environment_id: Uuid = ""
    created_at: DateTime | None = None
    creator: OnaSubject | None = None
    started_by: str = ""
    started_at: DateTime | None = None
    completed_at: DateTime | None = None


class OnaPlannedTask(Message, frozen=True, kw_only=True):
    """A task as it was when the execution started."""

    NUMBERS = (1, 2)
    id: Uuid = ""
    spec: OnaTaskSpec | None = None


class OnaPlannedStep(Message, frozen=True, kw_only=True):
    """A step of the plan."""

    NUMBERS = (1, 2, 3, 10)
    id: Uuid = ""
    depends_on: tuple[str, ...] = ()
    label: str = ""
    task: OnaPlannedTask | None = None


class OnaPlannedGroup(Message, frozen=True, kw_only=True):
    """Steps that run at the same time, once the groups before are done."""

    NUMBERS = (1,)
    steps: tuple[OnaPlannedStep, ...] = ()


class OnaExecutionSpec(Message, frozen=True, kw_only=True):
    """What an execution does."""

    NUMBERS = (1, 2)
    plan: tuple[OnaPlannedGroup, ...] = ()
    desired_phase: TaskExecutionPhase = "TASK_EXECUTION_PHASE_UNSPECIFIED"


class OnaStepStatus(Message, frozen=True, kw_only=True):
    """How a step stands; one that is not told has not started."""

    NUMBERS = (1, 2, 3, 4)
    id: Uuid = ""
    phase: TaskExecutionPhase = "TASK_EXECUTION_PHASE_UNSPECIFIED"
    failure_message: str = ""
    output: dict[str, str] = {}


class OnaExecutionStatus(Message, frozen=True, kw_only=True):
    """How an execution stands; its version grows with every change."""

    NUMBERS = (1, 2, 3, 4, 5)
    status_version: Uint64 = "0"
    phase: TaskExecutionPhase = "TASK_EXECUTION_PHASE_UNSPECIFIED"
    failure_message: str = ""
    steps: tuple[OnaStepStatus, ...] = ()
    log_url: str = ""


class OnaTaskExecution(Message, frozen=True, kw_only=True):
    """One run of a task with all it depends on."""

    NUMBERS = (1, 2, 3, 4)
    id: Uuid
    metadata: OnaExecutionMetadata | None = None
    spec: OnaExecutionSpec | None = None
    status: OnaExecutionStatus | None = None


class OnaPageRequest(Message, frozen=True, kw_only=True):
    """Which page of a list; a size of 0 means 25, 100 is the most."""

    NUMBERS = (1, 2)
    page_size: int = 0
    token: str = ""


class OnaPage(Message, frozen=True, kw_only=True):
    """Where the next page is; the last one has no token."""

    NUMBERS = (1,)
    next_token: str = ""


class OnaCreateTaskRequest(Request, frozen=True, kw_only=True):
    """A new task of an environment."""

    NUMBERS = (1, 2, 3, 4)
    REQUIRED = ("environmentId",)
    environment_id: Uuid = ""
    metadata: OnaTaskMetadata | None = None
    spec: OnaTaskSpec | None = None
    depends_on: tuple[Uuid, ...] = ()


class OnaTaskResponse(Message, frozen=True, kw_only=True):
    """A task."""

    NUMBERS = (1,)
    task: OnaTask


class OnaIdRequest(Request, frozen=True, kw_only=True):
    """What a method is about."""

    NUMBERS = (1,)
    REQUIRED = ("id",)
    id: Uuid = ""


class OnaTaskFilter(Message, frozen=True, kw_only=True):
    """Which tasks: those that have one of the values of each list that is not empty."""

    NUMBERS = (1, 2, 3)
    environment_ids: tuple[Uuid, ...] = ()
    references: tuple[str, ...] = ()
    task_ids: tuple[Uuid, ...] = ()


class OnaListTasksRequest(Request, frozen=True, kw_only=True):
    """Which tasks, and which page of them."""

    NUMBERS = (1, 2)
    pagination: OnaPageRequest | None = None
    filter: OnaTaskFilter | None = None


class OnaListTasksResponse(Message, frozen=True, kw_only=True):
    """A page of tasks, oldest first."""

    NUMBERS = (1, 2)
    pagination: OnaPage
    tasks: tuple[OnaTask, ...]


class OnaTriggers(Message, frozen=True, kw_only=True):
    """The triggers that replace those of a task."""

    NUMBERS = (1,)
    trigger: tuple[OnaTrigger, ...] = ()


class OnaMetadataUpdate(Message, frozen=True, kw_only=True):
    """What of the metadata changes."""

    NUMBERS = (1, 2, 3)
    name: str | None = None
    description: str | None = None
    triggered_by: OnaTriggers | None = None


class OnaSpecUpdate(Message, frozen=True, kw_only=True):
    """What of the specification changes; an empty list is as good as none."""

    NUMBERS = (1, 2, 3, 4)
    command: str | None = None
    runs_on: OnaRunsOn | None = None
    env: tuple[OnaVariable, ...] = ()
    prebuild_requires_success: bool | None = None


class OnaUpdateTaskRequest(Request, frozen=True, kw_only=True):
    """What of a task changes; an empty list is as good as none."""

    NUMBERS = (1, 2, 3, 4)
    REQUIRED = ("id",)
    id: Uuid = ""
    metadata: OnaMetadataUpdate | None = None
    spec: OnaSpecUpdate | None = None
    depends_on: tuple[Uuid, ...] = ()


class OnaEmptyResponse(Message, frozen=True, kw_only=True):
    """Nothing but that it was done."""


class OnaExecutionResponse(Message, frozen=True, kw_only=True):
    """An execution."""

    NUMBERS = (1,)
    task_execution: OnaTaskExecution


class OnaExecutionFilter(Message, frozen=True, kw_only=True):
    """Which executions: those that have one of the values of each list that is not empty."""

    NUMBERS = (1, 2, 3, 4)
    task_ids: tuple[Uuid, ...] = ()
    task_references: tuple[str, ...] = ()
    environment_ids: tuple[Uuid, ...] = ()
    phases: tuple[TaskExecutionPhase, ...] = ()


class OnaListExecutionsRequest(Request, frozen=True, kw_only=True):
    """Which executions, and which page of them."""

    NUMBERS = (1, 2)
    pagination: OnaPageRequest | None = None
    filter: OnaExecutionFilter | None = None


class OnaListExecutionsResponse(Message, frozen=True, kw_only=True):
    """A page of executions, oldest first."""

    NUMBERS = (1, 2)
    pagination: OnaPage
    task_executions: tuple[OnaTaskExecution, ...]


class OnaLogsTokenRequest(Request, frozen=True, kw_only=True):
    """Whose logs are to be read."""

    NUMBERS = (1,)
    REQUIRED = ("environmentId",)
    environment_id: Uuid = ""


class OnaLogsTokenResponse(Message, frozen=True, kw_only=True):
    """What clients send along when they read logs."""

    NUMBERS = (1,)
    access_token: str = ""
