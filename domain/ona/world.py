"""What deciding about Ona tasks looks up."""

from collections.abc import Sequence
from typing import Protocol


class OnaWorld(Protocol):
    """The lookups over everything committed."""

    def ona_task_of_reference(self, workspace_id: str, reference: str) -> str | None:
        """Return the task that a reference names in a workspace."""

    def ona_dependents_of(self, ona_task_id: str) -> Sequence[str]:
        """Return the tasks that depend on this one."""

    def ona_execution_root(self, execution_id: str) -> str | None:
        """Return the core task of an execution."""

    def ona_open_executions(self, ona_task_id: str) -> Sequence[str]:
        """Return the core tasks of the executions of a task that have not ended, oldest first."""
