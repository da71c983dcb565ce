"""Facts about Ona task definitions (added streams). An execution is made of core tasks.

Names and fields are the storage format: change them through an upcaster.
"""

from typing import Final

from domain.fact import Fact
from domain.ona.values import TaskSpec, Trigger


class OnaTaskCreated(Fact, frozen=True, kw_only=True):
    """An Ona task was defined in an environment, which is a workspace (added stream)."""

    TYPE = "ona.task_created"
    PRIVATE = frozenset({"spec"})
    ona_task_id: str
    workspace_id: str
    reference: str = ""
    name: str = ""
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    spec: TaskSpec = TaskSpec()
    depends_on: tuple[str, ...] = ()


class OnaTaskUpdated(Fact, frozen=True, kw_only=True):
    """Fields changed; only those in `changed_fields` carry a meaning (added stream)."""

    TYPE = "ona.task_updated"
    PRIVATE = frozenset({"spec"})
    ona_task_id: str
    workspace_id: str
    changed_fields: tuple[str, ...]
    name: str = ""
    description: str = ""
    triggered_by: tuple[Trigger, ...] = ()
    spec: TaskSpec = TaskSpec()
    depends_on: tuple[str, ...] = ()


class OnaTaskDeleted(Fact, frozen=True, kw_only=True):
    """An Ona task is defined no longer; its executions stay (added stream)."""

    TYPE = "ona.task_deleted"
    ona_task_id: str
    workspace_id: str


FACTS: Final[tuple[type[Fact], ...]] = (OnaTaskCreated, OnaTaskUpdated, OnaTaskDeleted)
