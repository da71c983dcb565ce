"""Case `rebuild-postgresql`: read models folded anew in PostgreSQL, against a bare paged fold.

Both run in processes of their own.
"""

import os
import subprocess
import sys
import time
from typing import Final

from api.settings import Settings, child_environment
from tests.bench.case import Options
from tests.bench.history import live
from tests.bench.measure import Goal, Pairs, Result, compared
from tests.support.postgres import postgres

NAME: Final = "rebuild-postgresql"
_BY_EVENT: Final = frozenset({"timeline"})
_MOST_ROUNDS: Final = 2
_LENGTH: Final = 3
"""So much longer than other histories, as starting a process should not count for much."""


def _run(place: str, *arguments: str) -> tuple[float, bytes]:
    """Run a program to its end; return its seconds and the last line it wrote."""
    environment = child_environment(Settings(store=place))
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, env=environment
    )
    return time.perf_counter() - started, done.stdout.splitlines()[-1]


def _result(name: str, place: str, options: Options) -> Result:
    row = "event" if name in _BY_EVENT else "stream"
    pairs, events = Pairs([], []), 0
    for _ in range(min(options.rounds, _MOST_ROUNDS)):
        ours, last = _run(place, "-m", "api.rebuilding", "rebuild", name, str(os.getpid()))
        assert b'"end":"done"' in last, last
        bare, last = _run(place, "-m", "tests.bench.bare_postgresql", place, row)
        events = int(last)
        pairs.a.append(events / ours)
        pairs.b.append(events / bare)
    return compared(
        pairs,
        case=NAME,
        what=f"rebuild of {name}, {events:,} events",
        unit="events/s",
        reference_what="bare paged fold over COPY",
        goal=Goal(compare="at least", ratio=0.5),
    )


def run(options: Options) -> list[Result]:
    """Measure on a server of its own that waits for the disk."""
    with postgres(durable=True) as cluster, cluster.database() as place:
        live(place, _LENGTH * options.events, options)
        return [_result(projector.name, place, options) for projector in options.rebuilt]
