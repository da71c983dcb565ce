"""Numbers about the write path."""

from typing import Final

from msgspec import Struct

_WEIGHT: Final = 0.1


class CommitMetrics(Struct):
    """Counters since the start; times in milliseconds.

    `commit_ms` is a moving average of commits done on the event-loop thread; `longest_stall_ms` is
    the longest time one batch kept that thread.
    """

    batches: int = 0
    commands: int = 0
    refusals: int = 0
    events: int = 0
    failures: int = 0
    commit_ms: float = 0.0
    longest_stall_ms: float = 0.0
    threaded: bool = False

    @property
    def mean_batch(self) -> float:
        """Commands per batch."""
        return self.commands / self.batches if self.batches else 0.0

    def note_commit(self, seconds: float) -> None:
        """Take a commit into the average."""
        found = seconds * 1000
        self.commit_ms += (found - self.commit_ms) * (_WEIGHT if self.commit_ms else 1)

    def note_stall(self, seconds: float) -> None:
        """Take note of how long the event-loop thread was kept."""
        self.longest_stall_ms = max(self.longest_stall_ms, seconds * 1000)
