"""Case `rebuild`: every read model folded anew, against a bare paged fold of the same file.

Both run in processes of their own. The library's `ProjectionRunner` keeps the same read model by
the same projector, on a shorter history of the same kind, since it would take hours for all of it.
All three are measured one after the other in each round.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from api.settings import Settings, child_environment
from projections.rows import Projector
from tests.bench.case import Options
from tests.bench.embedded import embedded
from tests.bench.history import lived
from tests.bench.measure import Goal, Pairs, Result, absolute, compared
from tests.bench.runner import events_per_second

NAME: Final = "rebuild"
_BY_EVENT: Final = frozenset({"timeline"})
_MOST_ROUNDS: Final = 2
_SLICE: Final = 200
_MOST_MEGABYTES: Final = 400.0
_KIB_PER_MEGABYTE: Final = 1024


class _Cost(NamedTuple):
    """What a process that folded the ledger came to."""

    per_second: float
    per_processor_second: float
    megabytes: float


class _Bench:
    """One ledger, folded again and again, each time by a process of its own."""

    def __init__(self, options: Options) -> None:
        self._store = lived(options.tasks, options)
        with embedded(self._store) as product:
            # A ledger from the cache may be of an older release.
            self.events = product.head
        self._log = options.folder / "rebuild.log"

    def _cost(self, *arguments: str) -> tuple[_Cost, bytes]:
        """Run to the end; return what it came to and the last line it wrote."""
        environment = child_environment(Settings(store=f"sqlite:{self._store}"))
        started = time.perf_counter()
        with self._log.open("wb") as output:
            process = subprocess.Popen([sys.executable, *arguments], stdout=output, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        last = self._log.read_bytes().splitlines()[-1]
        assert process.returncode == 0, last
        processor_seconds = usage.ru_utime + usage.ru_stime
        return _Cost(
            self.events / seconds,
            self.events / processor_seconds,
            usage.ru_maxrss / _KIB_PER_MEGABYTE,
        ), last

    def bare(self, name: str) -> _Cost:
        """Return what the bare fold with as many rows comes to."""
        row = "event" if name in _BY_EVENT else "stream"
        cost, last = self._cost("-m", "tests.bench.bare", str(self._store), row)
        assert int(last) == self.events
        return cost

    def rebuild(self, name: str) -> _Cost:
        """Return what a rebuild comes to."""
        cost, last = self._cost("-m", "api.rebuilding", "rebuild", name, str(os.getpid()))
        assert b'"end":"done"' in last, last
        return cost


def _results(
    projector: Projector, bench: _Bench, rounds: int, library: Callable[[], float]
) -> list[Result]:
    name = projector.name
    bare, runner, processor, megabytes = Pairs([], []), Pairs([], []), Pairs([], []), []
    for _ in range(rounds):
        cost, reference = bench.rebuild(name), bench.bare(name)
        for pairs, a, b in (
            (bare, cost.per_second, reference.per_second),
            (runner, cost.per_second, library()),
            (processor, cost.per_processor_second, reference.per_processor_second),
        ):
            pairs.a.append(a)
            pairs.b.append(b)
        megabytes.append(cost.megabytes)
    what = f"rebuild of {name}, {bench.events:,} events"
    return [
        compared(
            bare,
            case=NAME,
            what=what,
            unit="events/s",
            reference_what="bare paged fold",
            goal=Goal(compare="at least", ratio=0.6),
            beside={"ratio by processor time": statistics.median(processor.ratios)},
        ),
        compared(
            runner,
            case=NAME,
            what=what,
            unit="events/s",
            reference_what="the same by ProjectionRunner of the library",
            goal=Goal(compare="at least", ratio=25),
        ),
        absolute(
            megabytes,
            case=NAME,
            what=f"memory of a rebuild of {name}",
            unit="MB",
            goal=Goal(compare="at most", value=_MOST_MEGABYTES),
        ),
    ]


def run(options: Options) -> list[Result]:
    """Measure."""
    bench = _Bench(options)
    beginning = lived(max(options.tasks // _SLICE, 100), options)
    rounds = min(options.rounds, _MOST_ROUNDS)
    return [
        result
        for projector in options.rebuilt
        for result in _results(
            projector,
            bench,
            rounds,
            partial(events_per_second, projector, beginning, options.folder),
        )
    ]
