"""Who waits for something to be committed: claims that wait for work, and anything else."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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


class Waiter:
    """One claim that waits. `woken` is set when there may be something to claim.

    It is woken for the run of certain tasks, or for `many` that are not known one by one. `suits`
    tells of a task whether its run may be for this claim; it says yes where it does not know.
    """

    __slots__ = ("many", "suits", "tasks", "tried_many", "tried_tasks", "woken")

    def __init__(self, suits: Callable[[str], bool]) -> None:
        """Start asleep."""
        self.suits = suits
        self.woken = asyncio.Event()
        self.many = self.tried_many = False
        self.tasks: set[str] = set()
        self.tried_tasks: set[str] = set()

    def call(self, task_id: str = "") -> None:
        """Wake the waiter: for the run of a task, or for many."""
        if task_id:
            self.tasks.add(task_id)
        else:
            self.many = True
        self.woken.set()

    def begin(self) -> None:
        """Note that the waiter tries now; what comes from here on needs another try."""
        self.tried_many, self.tried_tasks = self.many, self.tasks
        self.many, self.tasks = False, set()
        self.woken.clear()


class ClaimQueue:
    """Wakes waiting claims one after the other, in the order of their arrival.

    A run that becomes claimable wakes one waiter of its workspace that it suits. A waiter that gets
    something else or nothing wakes the next one. Where one event may free many runs, the next one
    is woken in any case.
    """

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waiting: dict[str, dict[Waiter, None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def waiter(self, workspace_id: str, suits: Callable[[str], bool]) -> Iterator[Waiter]:
        """Give a place in the queue of a workspace, until the end of the block."""
        waiter = Waiter(suits)
        self._waiting.setdefault(workspace_id, {})[waiter] = None
        try:
            yield waiter
        finally:
            many = waiter.many or waiter.tried_many
            self._pass_on(workspace_id, waiter, waiter.tried_tasks | waiter.tasks, many=many)
            queue = self._waiting[workspace_id]
            del queue[waiter]
            if not queue:
                del self._waiting[workspace_id]

    def settled(self, waiter: Waiter, task_ids: Iterable[str]) -> None:
        """Note that a waiter got the runs of these tasks."""
        waiter.tried_tasks.difference_update(task_ids)

    def missed(self, workspace_id: str, waiter: Waiter) -> None:
        """Let the next sleeping waiter behind this one try, which got nothing."""
        tasks, many = waiter.tried_tasks, waiter.tried_many
        waiter.tried_tasks, waiter.tried_many = set(), False
        self._pass_on(workspace_id, waiter, tasks, many=many)

    def _pass_on(self, workspace_id: str, waiter: Waiter, tasks: set[str], *, many: bool) -> None:
        if not many and not tasks:
            return
        everybody = list(self._waiting[workspace_id])
        behind = everybody[everybody.index(waiter) + 1 :]
        if many:
            _wake(behind)
        for task_id in tasks:
            _offer(behind, task_id)

    def notice(self, events: Iterable[tuple[str, str, str]]) -> None:
        """Wake whom these (type, workspace id, task id) events may concern."""
        if not self._waiting:
            return
        runs: dict[str, str] = {}
        many: set[str] = set()
        for kind, workspace_id, task_id in events:
            if kind in _ONE_RUN:
                runs[task_id] = workspace_id
            elif kind in _MANY_RUNS:
                many.add(workspace_id)
            elif kind in _EVERYWHERE:
                many.update(self._waiting)
        for workspace_id in many:
            _wake(self._waiting.get(workspace_id, ()))
        for task_id, workspace_id in runs.items():
            _offer(self._waiting.get(workspace_id, ()), task_id)

    def wake_all(self) -> None:
        """Let everybody try, one after the other: what happened is not known in detail."""
        for queue in self._waiting.values():
            _wake(queue)


def _wake(queue: Iterable[Waiter]) -> None:
    """Wake the first waiter that sleeps."""
    for waiter in queue:
        if not waiter.woken.is_set():
            waiter.call()
            return


def _offer(queue: Iterable[Waiter], task_id: str) -> None:
    """Wake the first sleeping waiter that a task's run suits, else have a woken one see to it."""
    awake = None
    for waiter in queue:
        if waiter.woken.is_set() and awake is not None:
            continue
        if waiter.suits(task_id):
            if not waiter.woken.is_set():
                waiter.call(task_id)
                return
            awake = waiter
    if awake is not None:
        awake.call(task_id)


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
