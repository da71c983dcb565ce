"""Case `rebuild`: every read model folded anew, against a bare paged fold of the same file.

Both run in processes of their own. The library's `ProjectionRunner` is measured on the beginning of
the same history, since it would take hours for all of it.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from api.settings import Settings, child_environment
from projections.catalog import PROJECTORS
from tests.bench.case import Options
from tests.bench.embedded import embedded
from tests.bench.history import lived
from tests.bench.measure import Goal, Pairs, Result, absolute, compared
from tests.bench.runner import events_per_second

NAME: Final = "rebuild"
_BY_EVENT: Final = frozenset({"timeline"})
_MOST_ROUNDS: Final = 2
_SLICE: Final = 50
_MOST_MEGABYTES: Final = 400.0
_KIB_PER_MEGABYTE: Final = 1024


class _Child:
    """A process that ran to its end: how long it took and how much memory it had at most."""

    def __init__(self, arguments: list[str], store: Path, log: Path) -> None:
        environment = child_environment(Settings(store=f"sqlite:{store}"))
        started = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen([sys.executable, *arguments], stdout=output, env=environment)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.perf_counter() - started
        self.megabytes = usage.ru_maxrss / _KIB_PER_MEGABYTE
        self.last = log.read_bytes().splitlines()[-1]
        assert process.returncode == 0, self.last


class _Bench:
    """One ledger, folded again and again."""

    def __init__(self, options: Options) -> None:
        self._store = lived(options.tasks, options)
        with embedded(self._store):
            # A ledger from the cache may be of an older release.
            pass
        self._log = options.folder / "rebuild.log"
        self.events = int(self._bare("stream").last)

    def _child(self, *arguments: str) -> _Child:
        return _Child([*arguments], self._store, self._log)

    def _bare(self, row: str) -> _Child:
        return self._child("-m", "tests.bench.bare", str(self._store), row)

    def bare(self, name: str) -> float:
        """Return events per second of the bare fold with as many rows."""
        return self.events / self._bare("event" if name in _BY_EVENT else "stream").seconds

    def rebuild(self, name: str) -> tuple[float, float]:
        """Return events per second of a rebuild, and its memory in megabytes."""
        child = self._child("-m", "api.rebuilding", "rebuild", name)
        assert b'"end":"done"' in child.last, child.last
        return self.events / child.seconds, child.megabytes


def _results(name: str, bench: _Bench, rounds: int, library: float) -> list[Result]:
    bare, megabytes = Pairs([], []), []
    for _ in range(rounds):
        rate, memory = bench.rebuild(name)
        bare.a.append(rate)
        bare.b.append(bench.bare(name))
        megabytes.append(memory)
    what = f"rebuild of {name}, {bench.events:,} events"
    return [
        compared(
            bare,
            case=NAME,
            what=what,
            unit="events/s",
            reference_what="bare paged fold",
            goal=Goal(compare="at least", ratio=0.6),
        ),
        compared(
            Pairs(bare.a, [library] * rounds),
            case=NAME,
            what=what,
            unit="events/s",
            reference_what="ProjectionRunner of the library",
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
    events = max(options.tasks // _SLICE, 100)
    library = events_per_second(lived(events, options), options.folder)
    rounds = min(options.rounds, _MOST_ROUNDS)
    return [
        result
        for projector in PROJECTORS
        for result in _results(projector.name, bench, rounds, library)
    ]
