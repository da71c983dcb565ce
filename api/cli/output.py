"""Printing: tables and lines for people, JSON for machines. Colours follow the terminal."""

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import click
import msgspec

from api.client.documents import JsonObject, JsonValue, at, text_at

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Column: TypeAlias = tuple[str, Sequence[str]]
"""A heading, and the path of the member that the column shows."""

# A pipe has no width: whoever reads it gets whole rows.
PIPE_WIDTH = 4_000
STATUS_STYLES = {
    "completed": "green",
    "running": "cyan",
    "in_progress": "cyan",
    "claimed": "cyan",
    "starting": "cyan",
    "failed": "red",
    "needs_attention": "red",
    "canceled": "dim",
    "draft": "dim",
    "blocked": "yellow",
}


@cache
def console() -> "Console":
    """Return the console for standard output; it honours NO_COLOR and TERM."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    return Console(width=PIPE_WIDTH if piped else None, highlight=False)


def draw(renderable: "RenderableType", *, wrap: bool = True) -> None:
    """Print a table or a text; raises BrokenPipeError when nobody reads any more."""
    # rich would end the program itself then, in the midst of whatever is running.
    with console().capture() as drawn:
        console().print(renderable, soft_wrap=not wrap)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def json_document(value: JsonValue) -> None:
    """Print one JSON document, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def json_line(value: JsonValue) -> None:
    """Print one JSON document on one line, at once."""
    click.echo(msgspec.json.encode(value).decode())


def table(rows: Iterable[JsonObject], columns: Sequence[Column], *, empty: str) -> None:
    """Print one row per document; a column that is empty in all of them is left out."""
    cells = [[text_at(row, *path) for _, path in columns] for row in rows]
    if not cells:
        click.echo(empty)
        return
    shown = [index for index in range(len(columns)) if any(row[index] for row in cells)]
    grid(
        [columns[index][0] for index in shown],
        [[row[index] for index in shown] for row in cells],
    )


def grid(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        drawn.add_column(heading, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=STATUS_STYLES.get(cell, "")) for cell in row))
    draw(drawn)


def facts(document: JsonObject, columns: Sequence[Column]) -> None:
    """Print the members that say something, one per line, below each other."""
    pairs = [(heading, text_at(document, *path)) for heading, path in columns]
    pairs = [(heading, value) for heading, value in pairs if value]
    width = max((len(heading) for heading, _ in pairs), default=0)
    for heading, value in pairs:
        click.echo(f"{heading:<{width}}  {value}")


def heading(text: str) -> None:
    """Print a heading with an empty line above."""
    draw(f"\n[bold]{text}[/bold]")


TASK_COLUMNS: Sequence[Column] = (
    ("TASK", ("id",)),
    ("STATUS", ("status",)),
    ("PRIORITY", ("priority",)),
    ("WORKSPACE", ("workspace_id",)),
    ("RUN", ("active_run", "id")),
    ("RUN STATUS", ("active_run", "status")),
    ("PAUSED", ("effective_paused",)),
    ("UPDATED", ("updated_at",)),
    ("TITLE", ("title",)),
)
RUN_COLUMNS: Sequence[Column] = (
    ("RUN", ("id",)),
    ("STATUS", ("status",)),
    ("ATTEMPT", ("attempt",)),
    ("SESSION", ("session_id",)),
    ("QUEUED", ("queued_at",)),
    ("CLAIMED", ("claimed_at",)),
    ("ENDED", ("ended_at",)),
    ("ERROR", ("error",)),
)


def task_line(answer: JsonValue) -> None:
    """Print the task of an answer in one line, and its run if the answer has one."""
    task = at(answer, "task")
    task = at(task, "task") or task
    if task:
        click.echo(f"{text_at(task, 'id')}  {text_at(task, 'status')}  {text_at(task, 'title')}")
    run_line(answer)


def run_line(answer: JsonValue) -> None:
    """Print the run of an answer in one line."""
    run = at(answer, "run")
    if run:
        attempt = f"attempt {text_at(run, 'attempt')}"
        click.echo(f"{text_at(run, 'id')}  {text_at(run, 'status')}  {attempt}")
