"""The tables of Ona tasks and their executions."""

from typing import Final

from msgspec import Struct

from domain.instants import Instant
from domain.ona.progress import Phase
from domain.ona.values import TaskSpec
from domain.values import Actor
from projections.schema import define

ONA_TASKS: Final = define(
    "ona_tasks",
    key={"task_id": "TEXT"},
    values={
        "workspace_id": "TEXT",
        "reference": "TEXT",
        "created_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "created": "(created_at, task_id)",
        "workspace": "(workspace_id, created_at, task_id)",
        "reference": "(reference, created_at, task_id)",
    },
    clustered=False,
)
ONA_REFERENCES: Final = define(
    "ona_references",
    key={"workspace_id": "TEXT", "reference": "TEXT"},
    values={"task_id": "TEXT"},
    eager=True,
)
ONA_DEPENDENTS: Final = define(
    "ona_dependents", key={"depends_on": "TEXT", "task_id": "TEXT"}, eager=True
)
ONA_EXECUTIONS: Final = define(
    "ona_executions",
    key={"execution_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "reference": "TEXT",
        "workspace_id": "TEXT",
        "phase": "TEXT",
        "created_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "created": "(created_at, execution_id)",
        "task": "(task_id, created_at, execution_id)",
        "reference": "(reference, created_at, execution_id)",
        "workspace": "(workspace_id, created_at, execution_id)",
        "phase": "(phase, created_at, execution_id)",
    },
    clustered=False,
)
ONA_ROOTS: Final = define(
    "ona_roots", key={"execution_id": "TEXT"}, values={"root_id": "TEXT"}, eager=True
)
"""The core task of each execution."""

ONA_OPEN: Final = define("ona_open", key={"task_id": "TEXT", "root_id": "TEXT"}, eager=True)
"""The core tasks of the executions of a task that have not ended."""

ONA_PLANS: Final = define(
    "ona_plans",
    key={"execution_id": "TEXT", "step_id": "TEXT"},
    values={"doc": "BLOB"},
    clustered=False,
)
ONA_STEPS: Final = define(
    "ona_steps",
    key={"execution_id": "TEXT", "step_id": "TEXT"},
    values={
        "phase": "TEXT",
        "begun": "INTEGER",
        "sequence": "INTEGER",
        "message": "TEXT",
        "output": "BLOB",
    },
)
"""How the steps stand. A step has `begun` as soon as it has a run; `sequence` is that of the last
event of its task."""

TABLES: Final = (
    ONA_TASKS,
    ONA_REFERENCES,
    ONA_DEPENDENTS,
    ONA_EXECUTIONS,
    ONA_ROOTS,
    ONA_OPEN,
    ONA_PLANS,
    ONA_STEPS,
)


class PlannedStep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step as it was planned; ids are UUIDs."""

    id: str
    created_at: Instant
    group: int
    label: str
    task_id: str
    spec: TaskSpec
    depends_on: tuple[str, ...] = ()


class Execution(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An execution without its steps. `sequence` is the last one of its root task or a step."""

    id: str
    root_id: str
    task_id: str
    workspace_id: str
    started_by: str
    creator: Actor
    created_at: Instant
    root_status: str
    reference: str = ""
    root_sequence: int = 0
    started_at: Instant = 0
    completed_at: Instant = 0
    error: str = ""
    phase: Phase = "PENDING"
    sequence: int = 0
    failure: str = ""

    @property
    def stopped(self) -> bool:
        """Whether somebody gave the execution up."""
        return self.root_status == "canceled"
