"""Case `reads`: what an answer costs in a large ledger, against the same in a small one."""

import time
from contextlib import ExitStack
from typing import Final

from tests.bench import seed
from tests.bench.case import Options
from tests.bench.measure import Goal, Result, compared, side_by_side
from tests.machine.gates import DirectGate

NAME: Final = "reads"
SMALL: Final = 1_000
_READS: Final = 50
_PATHS: Final = {
    "dashboard": "/api/observe/tasks/dashboard",
    "inbox page of 50": "/api/observe/tasks/inbox?limit=50",
    "backlog page": "/api/scheduler/backlog",
    "task detail": f"/api/tasks/{seed.task_id(SMALL // 2)}",
}


class _Ledger:
    """A ledger of so many tasks, and the application over it."""

    def __init__(self, total: int, options: Options) -> None:
        folder = options.folder / f"reads-{total}"
        folder.mkdir()
        seed.seeded(total, options).rename(folder / "ledger.db")
        self.gate = DirectGate(folder)

    def milliseconds(self, path: str) -> float:
        """Return how long one answer takes."""
        started = time.perf_counter()
        for _ in range(_READS):
            answer = self.gate.read(path)
        taken = time.perf_counter() - started
        assert answer.status == 200, answer
        return taken / _READS * 1000


def run(options: Options) -> list[Result]:
    """Measure."""
    with ExitStack() as stack:
        ledgers = [_Ledger(total, options) for total in (options.tasks, SMALL)]
        for each in ledgers:
            stack.callback(each.gate.close)
        large, small = ledgers
        return [
            compared(
                side_by_side(
                    options.rounds,
                    lambda path=path: large.milliseconds(path),  # type: ignore[misc]
                    lambda path=path: small.milliseconds(path),  # type: ignore[misc]
                ),
                case=NAME,
                what=f"{name} with {options.tasks:,} tasks",
                unit="ms",
                reference_what=f"with {SMALL:,} tasks",
                goal=Goal(compare="at most", ratio=2),
            )
            for name, path in _PATHS.items()
        ]
