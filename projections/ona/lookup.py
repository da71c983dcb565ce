"""What deciding looks up about Ona tasks; all of it by key."""

from collections.abc import Sequence

from projections.ona.tables import ONA_DEPENDENTS, ONA_OPEN, ONA_REFERENCES, ONA_ROOTS
from projections.rows import Store


class OnaLookup:
    """The lookups over the rows; implements `domain.ona.world.OnaWorld`."""

    _store: Store

    def ona_task_of_reference(self, workspace_id: str, reference: str) -> str | None:
        """Return the task that a reference names in a workspace."""
        found = self._store.get(ONA_REFERENCES, (workspace_id, reference))
        return found[-1] if found else None

    def ona_dependents_of(self, ona_task_id: str) -> Sequence[str]:
        """Return the tasks that depend on this one."""
        return [row[-1] for row in self._store.select_keys(ONA_DEPENDENTS, (ona_task_id,))]

    def ona_execution_root(self, execution_id: str) -> str | None:
        """Return the core task of an execution."""
        found = self._store.get(ONA_ROOTS, (execution_id,))
        return found[-1] if found else None

    def ona_open_executions(self, ona_task_id: str) -> Sequence[str]:
        """Return the core tasks of the executions of a task that have not ended, oldest first."""
        return [row[-1] for row in self._store.select_keys(ONA_OPEN, (ona_task_id,))]
