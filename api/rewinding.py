"""Large folds of the past in a process of their own: `python -m api.rewinding WORK`.

`WORK` is the JSON of a `Work`. What stands still is told on standard output, as JSON. The process
stops when the one that started it is gone.
"""

import gc
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from api.settings import variable_of
from projections.catalog import PROJECTORS
from projections.timeline import TimelineProjector
from replay.delta import NotedRows
from replay.fold import PAGE
from replay.ledger import Ledger
from replay.past import PastFold, Stuck
from replay.places import environment_of
from replay.snapshots import Shelf, Snapshot, opened

REWOUND: Final = tuple(each for each in PROJECTORS if each.name != TimelineProjector.name)
"""The read models that answers about many tasks need; frames are needed for one task alone."""

_NICENESS: Final = 10
_GC_THRESHOLDS: Final = (200_000, 50, 100)


class Work(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to fold, beginning with the snapshot at `base_path` if there is one.

    Either snapshots at `points` into the folder `target`, or what changes up to `sequence` into
    the file `target`.
    """

    base: int = 0
    base_path: str = ""
    points: tuple[int, ...] = ()
    sequence: int = 0
    target: str = ""

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot to begin with."""
        return Snapshot(self.base, Path(self.base_path)) if self.base_path else None


def perform(work: Work, ledger: Ledger) -> dict[str, Stuck]:
    """Do the work; return which read models stand still as a whole at the end of what changed.

    Raises OSError and sqlite3.Error, also when the parent is gone.
    """
    parent = os.getppid()
    if work.points:
        shelf = Shelf(Path(work.target), ledger, REWOUND)
        shelf.make(work.points, work.snapshot, lambda: os.getppid() != parent)
        return {}
    with closing(opened(work.snapshot, REWOUND)) as connection:
        rows = NotedRows(table for each in REWOUND for table in each.tables)
        connection.execute("BEGIN")
        rows.start(connection)
        fold = PastFold(ledger, REWOUND, rows)
        for _ in fold.pages(ledger.reader, work.sequence, PAGE):
            pass
        rows.write(Path(work.target))
        return fold.stuck


def main(text: str) -> None:
    """Do the work that a JSON text describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work = msgspec.json.decode(text, type=Work)
    if work.points:
        # Nobody waits for them, so whoever is served goes first.
        os.nice(_NICENESS)
    # States and rows are many and hold no cycles, so looking for some would only take time.
    gc.set_threshold(*_GC_THRESHOLDS)
    with closing(Ledger(environment_of(os.environ[variable_of("store")]))) as ledger:
        sys.stdout.buffer.write(msgspec.json.encode(perform(work, ledger)))


if __name__ == "__main__":
    main(sys.argv[1])
