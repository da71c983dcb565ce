"""Progress on stderr, shown only on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar(Protocol):
    """Takes note of how far something is."""

    def __call__(self, done: int) -> None:
        """Show that `done` of all steps are done."""


class Reporter:
    """Tells which case runs and how far a long preparation is."""

    def __init__(self, console: Console | None = None) -> None:
        """Write to stderr unless another console is given."""
        self._console = console or Console(stderr=True)

    def say(self, text: str) -> None:
        """Show a line."""
        if self._console.is_terminal:
            self._console.print(f"[dim]{text}[/]")

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Bar]:
        """Give a function that moves a bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)
