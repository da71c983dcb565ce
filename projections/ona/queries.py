"""Ona tasks and executions as they are read: one by its id, or a page of a filtered list.

Lists come oldest first, then by id, which is stable while others are added. Each filter is a list
of values, of which an item has one; an empty one admits all.
"""

from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from domain.ona.progress import Phase
from domain.ona.state import OnaTask
from projections.ona.tables import Execution, PlannedStep
from projections.rows import Reader, Row

Position: TypeAlias = tuple[int, str]
"""Where a page ended: when the last item was created, and its id."""

Filters: TypeAlias = Sequence[tuple[str, Sequence[str]]]
"""Columns with the values that are wanted."""

BEGINNING: Final[Position] = (-1, "")

_TASK: Final = msgspec.json.Decoder(OnaTask).decode
_EXECUTION: Final = msgspec.json.Decoder(Execution).decode
_PLANNED: Final = msgspec.json.Decoder(PlannedStep).decode
_OUTPUT: Final = msgspec.json.Decoder(dict[str, str]).decode
_Item = TypeVar("_Item", OnaTask, Execution)


class StepStatus(Struct, frozen=True, kw_only=True):
    """How a planned step stands. One that has not `begun` never had a run.

    `core_id` is the task of the ledger that the step is.
    """

    core_id: str
    planned: PlannedStep
    phase: Phase
    begun: bool
    message: str
    output: dict[str, str]


class WholeExecution(Struct, frozen=True, kw_only=True):
    """An execution with its steps, group by group."""

    execution: Execution
    steps: tuple[StepStatus, ...]


def ona_task(reader: Reader, task_id: str) -> OnaTask | None:
    """Return a definition, None when there is none or it was deleted."""
    found = reader.select("SELECT doc FROM ona_tasks WHERE task_id = ?", (task_id,))
    return _TASK(found[0][0]) if found else None


def ona_tasks(reader: Reader, filters: Filters, after: Position, size: int) -> list[OnaTask]:
    """Return at most `size` definitions behind a position."""
    return [_TASK(row[-1]) for row in _page(reader, ("ona_tasks", "task_id"), filters, after, size)]


def ona_execution(reader: Reader, execution_id: str) -> WholeExecution | None:
    """Return an execution with its steps."""
    statement = "SELECT doc FROM ona_executions WHERE execution_id = ?"
    found = reader.select(statement, (execution_id,))
    return _with_steps(reader, [_EXECUTION(found[0][0])])[0] if found else None


def ona_executions(
    reader: Reader, filters: Filters, after: Position, size: int
) -> list[WholeExecution]:
    """Return at most `size` executions behind a position."""
    rows = _page(reader, ("ona_executions", "execution_id"), filters, after, size)
    return _with_steps(reader, [_EXECUTION(row[-1]) for row in rows])


def _page(
    reader: Reader, of: tuple[str, str], filters: Filters, after: Position, size: int
) -> list[Row]:
    """Return the rows of a page; each value of the first filter is read from an index alone."""
    table, key = of
    given = [(column, values) for column, values in filters if values]
    first, values = given[0] if given else ("", ("",))
    conditions = [f"(created_at, {key}) > (?, ?)"]
    parameters: list[Any] = [*after]
    for column, wanted in given[1:]:
        conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
        parameters += wanted
    found = []
    for value in dict.fromkeys(values):
        own = [f"{first} = ?"] if first else []
        statement = (
            f"SELECT created_at, {key}, doc FROM {table} WHERE {' AND '.join(own + conditions)}"
            f" ORDER BY created_at, {key} LIMIT ?"
        )
        found.append(reader.select(statement, (*([value] if first else []), *parameters, size)))
    return list(islice(merge(*found, key=lambda row: row[:2]), size))


def _with_steps(reader: Reader, executions: Sequence[Execution]) -> list[WholeExecution]:
    if not executions:
        return []
    ids = [each.id for each in executions]
    steps: dict[str, list[tuple[int, str, StepStatus]]] = {each_id: [] for each_id in ids}
    statement = (
        "SELECT p.execution_id, p.step_id, p.doc, s.phase, s.begun, s.message, s.output"
        " FROM ona_plans AS p JOIN ona_steps AS s"
        " ON s.execution_id = p.execution_id AND s.step_id = p.step_id"
        f" WHERE p.execution_id IN ({', '.join('?' * len(ids))})"
    )
    for execution_id, step_id, doc, phase, begun, message, output in reader.select(statement, ids):
        status = StepStatus(
            core_id=step_id,
            planned=_PLANNED(doc),
            phase=phase,
            begun=bool(begun),
            message=message,
            output=_OUTPUT(output),
        )
        steps[execution_id].append((status.planned.group, step_id, status))
    return [
        WholeExecution(
            execution=each,
            steps=tuple(status for *_, status in sorted(steps[each.id], key=lambda row: row[:2])),
        )
        for each in executions
    ]
