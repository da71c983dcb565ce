"""Case `as-of`: answers of the past against live ones, in ledgers of growing size.

A task is compared with its live read. Answers about many tasks begin with a snapshot, so the first
one of a moment costs the events since then; the smallest ledger shows what those cost alone.
"""

import time
from contextlib import ExitStack
from typing import Final

from tests.bench import seed
from tests.bench.case import Options
from tests.bench.measure import Goal, Pairs, Result, compared
from tests.machine.gates import DirectGate

NAME: Final = "as-of"
_SHARES: Final = (100, 10, 1)
_INTERVALS: Final = 50
_SHORTEST: Final = 20
_READS: Final = 100
_MANY: Final = {
    "dashboard": "/api/observe/tasks/dashboard",
    "inbox": "/api/observe/tasks/inbox?limit=50",
    "backlog": "/api/scheduler/backlog",
}


class _Ledger:
    """A ledger of a size, and the application over it."""

    def __init__(self, total: int, interval: int, options: Options) -> None:
        folder = options.folder / f"as-of-{total}"
        folder.mkdir()
        seed.seeded(total, options).rename(folder / "ledger.db")
        self.gate = DirectGate(folder, snapshot_interval=interval)
        self.task = seed.task_id(total // 2)
        self.head = self.gate.services.ledger.head
        # Half an interval behind a snapshot, or behind the beginning.
        base = max(self.head - interval, 0) // interval * interval
        self._moment = base + min(interval // 2, self.head // 2)

    def milliseconds(self, path: str, reads: int = 1) -> float:
        """Return how long an answer takes."""
        started = time.perf_counter()
        for _ in range(reads):
            answer = self.gate.read(path)
        taken = time.perf_counter() - started
        assert answer.status == 200, answer
        return taken / reads * 1000

    def first(self, path: str) -> float:
        """Return how long the first answer of a moment takes, each time of another one."""
        self._moment += 1
        return self.milliseconds(f"{path}{'&' if '?' in path else '?'}as_of={self._moment}")

    def one_task(self, as_of: str) -> float:
        """Return how long the detail of a task takes."""
        return self.milliseconds(f"/api/tasks/{self.task}{as_of}", _READS)


def _of_one_task(ledger: _Ledger, rounds: int) -> Result:
    pairs = Pairs([], [])
    for number in range(rounds + 1):
        found = ledger.one_task(f"?as_of={ledger.head - number}"), ledger.one_task("")
        if number:
            pairs.a.append(found[0])
            pairs.b.append(found[1])
    return compared(
        pairs,
        case=NAME,
        what=f"task detail as of a sequence, {ledger.head:,} events",
        unit="ms",
        reference_what="its live read",
        goal=Goal(compare="at most", ratio=5),
    )


def _of_many(name: str, ledgers: list[_Ledger], interval: int, rounds: int) -> list[Result]:
    """Measure the first answers of moments, in each of the larger ledgers and the smallest."""
    costs: list[list[float]] = [[] for _ in ledgers]
    for number in range(rounds + 1):
        found = [each.first(_MANY[name]) for each in ledgers]
        if number:
            for cost, value in zip(costs, found, strict=True):
                cost.append(value)
    smallest = ledgers[0].head
    return [
        compared(
            Pairs(cost, costs[0]),
            case=NAME,
            what=f"{name} as of a moment, {ledger.head:,} events, a snapshot every {interval:,}",
            unit="ms",
            reference_what=f"with {smallest:,} events",
            goal=Goal(compare="at most", ratio=2),
        )
        for ledger, cost in zip(ledgers[1:], costs[1:], strict=True)
    ]


def run(options: Options) -> list[Result]:
    """Measure."""
    interval = max(options.tasks // _INTERVALS, _SHORTEST)
    with ExitStack() as stack:
        ledgers = []
        for share in _SHARES:
            ledger = _Ledger(options.tasks // share, interval, options)
            stack.callback(ledger.gate.close)
            ledgers.append(ledger)
        results = [_of_one_task(each, options.rounds) for each in ledgers]
        for name in _MANY:
            results += _of_many(name, ledgers, interval, options.rounds)
    return results
