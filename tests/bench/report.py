"""The results as a table for people and as JSON for machines."""

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from tests.bench.measure import Goal, Result

_LARGE = 100


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    shown = f"{value:,.0f}" if value >= _LARGE else f"{value:,.3g}"
    return f"{shown} {unit}".rstrip()


def _goal(goal: Goal, unit: str) -> str:
    bounds = []
    if goal.ratio is not None:
        bounds.append(f"{_number(goal.ratio)}x")
    if goal.value is not None:
        bounds.append(_number(goal.value, unit))
    where = f" on {goal.cores} cores" if goal.cores > 1 else ""
    return f"{goal.compare} {' or '.join(bounds)}{where}"


def _reference(result: Result) -> str:
    pairs = result.beside.items()
    beside = ", ".join(f"{k} {v if isinstance(v, str) else _number(v)}" for k, v in pairs)
    if result.reference is None:
        return beside
    known = f"{_number(result.reference, result.unit)} ({result.reference_what})"
    return known if result.goal.judged else f"{known}; {beside}"


def _verdict(result: Result) -> str:
    if result.ratio is None and result.goal.value is None:
        return "not compared"
    if not result.goal.judged:
        return "not judged"
    return "[green]met[/]" if result.met else "[red]not met[/]"


def print_table(results: Sequence[Result], console: Console) -> None:
    """Print one line per result."""
    table = Table("what", "measured", "reference", "ratio", "goal", "verdict")
    for result in results:
        table.add_row(
            f"{result.case}: {result.what}",
            _number(result.measured, result.unit),
            _reference(result),
            _number(result.ratio),
            _goal(result.goal, result.unit),
            _verdict(result),
        )
    console.print(table)


def as_json(results: Sequence[Result]) -> bytes:
    """Return an object with all results, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode({"results": results}), indent=2) + b"\n"
