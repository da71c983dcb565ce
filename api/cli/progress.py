"""How far long work is: bars on standard error, and only when that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Told: TypeAlias = Callable[[str, int, int], None]
"""Gets the name of a piece of work, how far it is, and how far it goes."""


@contextmanager
def progress() -> Iterator[Told]:
    """Yield what to tell; without a terminal nobody listens."""
    if not sys.stderr.isatty():
        yield lambda _what, _done, _target: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        known: dict[str, TaskID] = {}

        def tell(what: str, done: int, target: int) -> None:
            if what not in known:
                known[what] = bars.add_task(what)
            bars.update(known[what], completed=done, total=target)

        yield tell
