"""What a server process did since it began, as plain numbers, since every request adds to them."""

import os
import time
from bisect import bisect_left
from pathlib import Path
from typing import Final

from msgspec import Struct

from replay.metrics import CommitMetrics

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets that durations are counted in, in seconds."""

UNKNOWN: Final = "unknown"
"""Stands for an operation where a request names none."""

_STATM: Final = Path("/proc/self/statm")
_RESIDENT: Final = 1


class Durations(Struct):
    """How often something took how long: counts by bucket, the last without a bound, and a sum."""

    counts: list[int]
    total: float = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Numbers(Struct):
    """The numbers of one process; `answers` counts by operation, then by status.

    `cpu_seconds` and `resident_bytes` are those of the last `look`; where the system does not tell,
    the bytes are 0.
    """

    process: int
    commit: CommitMetrics
    answers: dict[str, dict[int, int]] = {}
    durations: dict[str, Durations] = {}
    streams: int = 0
    cpu_seconds: float = 0.0
    resident_bytes: int = 0

    def answered(self, operation: str, status: int) -> None:
        """Count an answer."""
        statuses = self.answers.setdefault(operation, {})
        statuses[status] = statuses.get(status, 0) + 1

    def took(self, operation: str, seconds: float) -> None:
        """Count how long a whole answer took."""
        durations = self.durations.get(operation)
        if durations is None:
            durations = self.durations[operation] = Durations([0] * (len(BOUNDS) + 1))
        durations.note(seconds)

    def look(self) -> None:
        """Take note of what the process uses."""
        self.cpu_seconds = time.process_time()
        if _STATM.exists():
            pages = int(_STATM.read_text().split()[_RESIDENT])
            self.resident_bytes = pages * os.sysconf("SC_PAGE_SIZE")
