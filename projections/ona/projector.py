"""Keeps the rows of Ona tasks, executions and steps.

Each row but that of an execution depends on one stream alone; an execution is put together from its
root's part and the rows of its steps, so that it does not matter which of them moved first.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from domain.events import TaskCreated
from domain.ona.events import FACTS
from domain.ona.progress import execution_phase, output_of, step_phase
from domain.ona.state import OnaTask
from domain.ona.values import ExecutionMetadata, StepMetadata, TaskSpec
from domain.recorded import Recorded
from domain.task.evolve import TASK_FACTS
from domain.task.state import TaskState, latest_run
from domain.uuids import uuid_of
from domain.world import Change
from projections.ona.tables import (
    ONA_DEPENDENTS,
    ONA_EXECUTIONS,
    ONA_OPEN,
    ONA_PLANS,
    ONA_REFERENCES,
    ONA_ROOTS,
    ONA_STEPS,
    ONA_TASKS,
    TABLES,
    Execution,
    PlannedStep,
)
from projections.rows import Row, Rows

_ENCODE: Final = msgspec.json.Encoder().encode
_EXECUTION: Final = msgspec.json.Decoder(Execution).decode
_OF_ROOT: Final = msgspec.json.Decoder(ExecutionMetadata).decode
_OF_STEP: Final = msgspec.json.Decoder(StepMetadata).decode
_PHASE, _SEQUENCE, _MESSAGE = 2, 4, 5


class OnaProjector:
    """Keeps the rows."""

    name = "ona"
    version = 1
    separable = True
    facts = TASK_FACTS.union(FACTS)
    tables = TABLES

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        after = change.after
        if isinstance(after, TaskState):
            if after.task.facade == "ona" and not after.task.deleted:
                _apply_task(after, change.recorded, rows)
        elif isinstance(after, OnaTask):
            before = change.before if isinstance(change.before, OnaTask) else None
            _apply_definition(before, after, rows)


def _apply_definition(before: OnaTask | None, after: OnaTask, rows: Rows) -> None:
    slot = (after.workspace_id, after.reference)
    old = set(before.depends_on) if before else set()
    new = set() if after.deleted else set(after.depends_on)
    for blocker_id in old - new:
        rows.delete(ONA_DEPENDENTS, (blocker_id, after.id))
    for blocker_id in new - old:
        rows.put(ONA_DEPENDENTS, (blocker_id, after.id))
    if after.deleted:
        rows.delete(ONA_TASKS, (after.id,))
        # The reference may name a later task by now.
        if rows.get(ONA_REFERENCES, slot) == (*slot, after.id):
            rows.delete(ONA_REFERENCES, slot)
        return
    rows.put(ONA_TASKS, (after.id, *slot, after.created_at, _ENCODE(after)))
    if before is None and after.reference:
        rows.put(ONA_REFERENCES, (*slot, after.id))


def _apply_task(state: TaskState, recorded: Recorded, rows: Rows) -> None:
    """Bring the row of a step or the root's part of an execution up to date, then the execution."""
    parent_id = state.task.parent_task_id
    execution_id = uuid_of(parent_id or state.id)
    created = isinstance(recorded.fact, TaskCreated)
    if parent_id:
        if created:
            _put_plan(execution_id, state, rows)
        rows.put(ONA_STEPS, _step_row(execution_id, state, recorded))
    elif created:
        _put_execution(_new(execution_id, state), rows)
        rows.put(ONA_ROOTS, (execution_id, state.id))
    found = rows.get(ONA_EXECUTIONS, (execution_id,))
    if found is None:
        return
    execution = _EXECUTION(found[-1])
    if not parent_id:
        execution = _with_root(execution, state, recorded)
        _note_open(execution, state, rows)
    _put_execution(_put_together(execution, rows), rows)


def _put_execution(execution: Execution, rows: Rows) -> None:
    row = (
        execution.id,
        execution.task_id,
        execution.reference,
        execution.workspace_id,
        execution.phase,
        execution.created_at,
        _ENCODE(execution),
    )
    rows.put(ONA_EXECUTIONS, row)


def _note_open(execution: Execution, root: TaskState, rows: Rows) -> None:
    key = (execution.task_id, root.id)
    if root.open_run is not None:
        rows.put(ONA_OPEN, key)
    else:
        rows.delete(ONA_OPEN, key)


def _put_plan(execution_id: str, state: TaskState, rows: Rows) -> None:
    said = _OF_STEP(state.task.metadata)
    planned = PlannedStep(
        id=uuid_of(state.id),
        created_at=state.task.created_at,
        group=said.ona.group,
        label=state.task.title,
        task_id=said.ona.task_id,
        spec=TaskSpec(**{name: getattr(said, name) for name in TaskSpec.__struct_fields__}),
        depends_on=tuple(map(uuid_of, said.ona.depends_on)),
    )
    rows.put(ONA_PLANS, (execution_id, state.id, _ENCODE(planned)))


def _step_row(execution_id: str, state: TaskState, recorded: Recorded) -> Row:
    run = latest_run(state.runs.values())
    return (
        execution_id,
        state.id,
        step_phase(state),
        int(run is not None),
        recorded.sequence,
        run.error if run else "",
        _ENCODE(output_of(run.result)) if run else b"{}",
    )


def _new(execution_id: str, state: TaskState) -> Execution:
    task = state.task
    said = _OF_ROOT(task.metadata).ona
    return Execution(
        id=execution_id,
        root_id=state.id,
        task_id=said.task_id,
        reference=said.reference,
        workspace_id=task.workspace_id,
        started_by=said.started_by,
        creator=task.created_by,
        created_at=task.created_at,
        root_status=task.status,
    )


def _with_root(execution: Execution, state: TaskState, recorded: Recorded) -> Execution:
    run = latest_run(state.runs.values())
    return replace(
        execution,
        root_sequence=recorded.sequence,
        root_status=state.task.status,
        started_at=run.started_at if run else 0,
        completed_at=run.ended_at if run else 0,
        error=run.error if run else "",
    )


def _put_together(execution: Execution, rows: Rows) -> Execution:
    steps = rows.select_keys(ONA_STEPS, (execution.id,))
    failures = (row[_MESSAGE] for row in steps if row[_PHASE] == "FAILED")
    return replace(
        execution,
        phase=execution_phase(execution.root_status, {row[_PHASE] for row in steps}),
        sequence=max(execution.root_sequence, *(row[_SEQUENCE] for row in steps), 0),
        failure=execution.error or next(failures, ""),
    )
