"""What every case gets: how long to measure, where to write, and where to tell of progress."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import uvloop
from msgspec import Struct

from projections.rows import Projector
from tests.bench.progress import Reporter

T = TypeVar("T")


class Options(Struct, frozen=True, kw_only=True):
    """How to measure. `seconds` is the length of a round of load, `folder` is for files.

    `tasks` is the size of the large ledger; `cache` keeps what took long to prepare. `rivals` says
    whether other queues are installed for comparison, `rebuilt` which read models are rebuilt.
    """

    rounds: int
    seconds: float
    tasks: int
    events: int
    subscribers: int
    rivals: bool
    rebuilt: tuple[Projector, ...]
    folder: Path
    cache: Path
    reporter: Reporter


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the loop that the server uses as well."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)
