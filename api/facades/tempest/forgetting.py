"""Values of variables that nobody can need any more are forgotten, whatever ended the operation."""

import asyncio
from typing import TYPE_CHECKING, Final

from domain.instants import SECOND, Instant
from domain.task.state import Run
from projections.queries.tempest import latest_runs

if TYPE_CHECKING:
    from api.services import Services

_TASKS: Final = "task-"
"""What the ids of tasks begin with; the values are kept by those."""
RETRIED_FOR: Final = 86_400 * SECOND
"""So long an operation that failed may be tried again with its values."""
QUEUED_WITHIN: Final = 3_600 * SECOND
"""Values are kept before the operation is queued, which takes far less."""


class Forgetting:
    """Looks after the values that a server keeps; each look also finds what another one left."""

    def __init__(self, services: "Services") -> None:
        """Forget nothing yet."""
        self._services = services
        self._lone: dict[str, Instant] = {}

    async def look(self) -> None:
        """Forget what is not needed any more; raises StoreUnavailableError."""
        await asyncio.to_thread(self._look)

    def _look(self) -> None:
        vault = self._services.vault
        kept = vault.kept(_TASKS)
        needless = self._needless(kept, self._services.clock()) if kept else []
        if needless:
            vault.forget(*needless)

    def _needless(self, kept: list[str], now: Instant) -> list[str]:
        # The reader of the ledger belongs to the event loop: while another thread has begun a
        # SELECT there, what is committed meanwhile would not be seen.
        with self._services.ledger.snapshot() as reader:
            runs = latest_runs(reader, kept)
        # Without an operation: about to be queued, never queued, or deleted.
        self._lone = {each: self._lone.get(each, now) for each in kept if each not in runs}
        over = [task_id for task_id, run in runs.items() if _is_over(run, now)]
        late = [each for each, since in self._lone.items() if since + QUEUED_WITHIN <= now]
        return over + late


def _is_over(run: Run, now: Instant) -> bool:
    """Whether nobody can want to hand an operation out again."""
    if run.status == "failed":
        return run.ended_at + RETRIED_FOR <= now
    return run.status in {"completed", "canceled"}
