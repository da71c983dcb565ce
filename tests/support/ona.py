"""Ona tasks in scenarios: plain scans for every lookup, and short names for what happens often."""

from collections.abc import Sequence

from domain.ona.commands import CreateOnaTask, StartOnaTask
from domain.ona.state import OnaTask
from domain.task.state import TaskState
from domain.uuids import uuid_of
from domain.world import State

ENVIRONMENT = "0190c2b5-5d6e-7e1a-8c6b-3f3f3f3f3f3f"


class OnaLookups:
    """Implements `domain.ona.world.OnaWorld` over folded states."""

    states: dict[str, State | None]

    def _definitions(self) -> list[OnaTask]:
        found = [state for state in self.states.values() if isinstance(state, OnaTask)]
        return [state for state in found if not state.deleted]

    def _roots(self) -> list[TaskState]:
        found = [state for state in self.states.values() if isinstance(state, TaskState)]
        return [state for state in found if state.task.only_mirrors]

    def ona_task_of_reference(self, workspace_id: str, reference: str) -> str | None:
        slot = (workspace_id, reference)
        found = [
            task for task in self._definitions() if (task.workspace_id, task.reference) == slot
        ]
        return found[0].id if found else None

    def ona_dependents_of(self, ona_task_id: str) -> Sequence[str]:
        return [task.id for task in self._definitions() if ona_task_id in task.depends_on]

    def ona_execution_root(self, execution_id: str) -> str | None:
        found = [state.id for state in self._roots() if uuid_of(state.id) == execution_id]
        return found[0] if found else None

    def ona_open_executions(self, ona_task_id: str) -> Sequence[str]:
        of_task = b'"task_id":"%b"' % ona_task_id.encode()
        return [
            state.id
            for state in self._roots()
            if state.open_run is not None and of_task in bytes(state.task.metadata)
        ]


def ona_id(number: int) -> str:
    """Return the id of the Ona task that a scenario makes as its so manieth."""
    return uuid_of(f"ona-task-{number}")


def define(reference: str, *depends_on: str, **more: object) -> CreateOnaTask:
    """Define a task that depends on others, by their ids."""
    usual = {"environment_id": ENVIRONMENT, "named": True, "name": reference.upper()}
    return CreateOnaTask(**{**usual, "reference": reference, "depends_on": depends_on, **more})  # type: ignore[arg-type]


def start(number: int) -> StartOnaTask:
    """Start the Ona task that a scenario made as its so manieth."""
    return StartOnaTask(ona_task_id=ona_id(number))
