"""Who waits for something to be committed: claims that wait for work, and anything else."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Final

_ONE_RUN: Final = frozenset(
    {
        "task.execution_profile_deleted",
        "task.execution_profile_updated",
        "task.run_enqueued",
        "task.run_released",
        "task.run_requeued",
        "task.run_operator_retry",
        "task.run_recovered_from_attention",
        "task.run_lease_expired",
        "task.run_review_retry_enqueued",
    }
)
_MANY_RUNS: Final = frozenset(
    {"task.approved", "task.dependency_removed", "task.status_changed", "task.updated"}
)
# A task without a workspace may have descendants in any workspace. Sessions that wait may have
# changed, so a run that waits too long is shown to all of them again.
_EVERYWHERE: Final = frozenset({"scheduler.resumed", "scheduler.runs_waited", "task.resumed"})


class Wake(IntEnum):
    """For how much a waiter is woken."""

    NOTHING = 0
    ONE_RUN = 1
    MANY_RUNS = 2


class Waiter:
    """One claim that waits. `woken` is set when there may be something to claim."""

    __slots__ = ("tried", "wake", "woken")

    def __init__(self) -> None:
        """Start asleep."""
        self.woken = asyncio.Event()
        self.wake = Wake.NOTHING
        self.tried = Wake.NOTHING

    def call(self, wake: Wake) -> None:
        """Wake the waiter."""
        self.wake = max(self.wake, wake)
        self.woken.set()

    def begin(self) -> None:
        """Note that the waiter tries now; what comes from here on needs another try."""
        self.tried, self.wake = self.wake, Wake.NOTHING
        self.woken.clear()


class ClaimQueue:
    """Wakes waiting claims one after the other, in the order of their arrival.

    A run that becomes claimable wakes one waiter of its workspace. A waiter that gets nothing wakes
    the next one, because it may have been the wrong one for the run; one that gets the run does
    not. Where one event may free many runs, the next one is woken in any case.
    """

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: dict[str, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def waiter(self, workspace_id: str) -> Iterator[Waiter]:
        """Give a place in the queue of a workspace, until the end of the block."""
        waiter = Waiter()
        self._waiting.setdefault(workspace_id, {})[waiter] = None
        try:
            yield waiter
        finally:
            self._pass_on(workspace_id, waiter, max(waiter.tried, waiter.wake))
            queue = self._waiting[workspace_id]
            del queue[waiter]
            if not queue:
                del self._waiting[workspace_id]

    def settled(self, waiter: Waiter) -> None:
        """Note that a waiter got what it was woken for."""
        if waiter.tried is Wake.ONE_RUN:
            waiter.tried = Wake.NOTHING

    def missed(self, workspace_id: str, waiter: Waiter) -> None:
        """Let the next sleeping waiter behind this one try, which got nothing."""
        wake, waiter.tried = waiter.tried, Wake.NOTHING
        self._pass_on(workspace_id, waiter, wake)

    def _pass_on(self, workspace_id: str, waiter: Waiter, wake: Wake) -> None:
        if wake is Wake.NOTHING:
            return
        queue = iter(self._waiting[workspace_id])
        for other in queue:
            if other is waiter:
                break
        self._wake(queue, 1, wake)

    def notice(self, events: Iterable[tuple[str, str]]) -> None:
        """Wake whom these (type, workspace id) events may concern."""
        if not self._waiting:
            return
        runs: dict[str, int] = {}
        many: set[str] = set()
        for kind, workspace_id in events:
            if kind in _ONE_RUN:
                runs[workspace_id] = runs.get(workspace_id, 0) + 1
            elif kind in _MANY_RUNS:
                many.add(workspace_id)
            elif kind in _EVERYWHERE:
                many.update(self._waiting)
        for workspace_id in many:
            self._wake(self._waiting.get(workspace_id, ()), 1, Wake.MANY_RUNS)
        for workspace_id, count in runs.items():
            self._wake(self._waiting.get(workspace_id, ()), count, Wake.ONE_RUN)

    def wake_all(self) -> None:
        """Let everybody try, one after the other: what happened is not known in detail."""
        for queue in self._waiting.values():
            self._wake(queue, 1, Wake.MANY_RUNS)

    def _wake(self, queue: Iterable[Waiter], count: int, wake: Wake) -> None:
        for waiter in queue:
            if count and not waiter.woken.is_set():
                waiter.call(wake)
                count -= 1


class CommitSignal:
    """Lets coroutines wait for the next commit."""

    def __init__(self) -> None:
        """Start before any commit."""
        self._next: asyncio.Event = asyncio.Event()

    def notice(self) -> None:
        """Wake everybody who waits for a commit."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the next commit, or after some seconds."""
        try:
            await asyncio.wait_for(self._next.wait(), seconds)
        except TimeoutError:
            return
