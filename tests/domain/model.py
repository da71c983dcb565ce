"""What claims, leases and dependencies come to, written down a second time as plainly as possible.

The model knows nothing of facts, folds and lookups. A status is computed from its definition when
it is asked for, dependents by recursion.
"""

from dataclasses import dataclass, field

RANK = {"low": 10, "medium": 20, "high": 30, "urgent": 40}
OPEN = {"queued", "claimed", "starting", "running", "needs_attention"}
ACTIVE = {"claimed", "starting", "running"}
MAX_EXPIRIES = 3


@dataclass
class ModelRun:
    """One attempt."""

    id: str
    attempt: int
    queued_at: int
    status: str = "queued"
    session: str = ""
    deadline: int = 0
    leased: bool = False
    expiries: int = 0
    outcome: tuple[str, str] | None = None


@dataclass
class ModelTask:
    """One task with what it waits for."""

    id: str
    priority: str
    parent: str
    max_attempts: int
    auto: bool
    blockers: list[str] = field(default_factory=list)
    runs: list[ModelRun] = field(default_factory=list)
    canceled: bool = False
    paused: bool = False

    @property
    def open(self) -> ModelRun | None:
        return next((run for run in self.runs if run.status in OPEN), None)


class Model:
    """All tasks, and the answers that follow from them."""

    def __init__(self) -> None:
        self.tasks: dict[str, ModelTask] = {}

    def run(self, run_id: str) -> tuple[ModelTask, ModelRun] | None:
        for task in self.tasks.values():
            for run in task.runs:
                if run.id == run_id:
                    return task, run
        return None

    def runs(self) -> list[ModelRun]:
        return [run for task in self.tasks.values() for run in task.runs]

    def status(self, task_id: str) -> str:
        """Return the status by the five rules, which here take a few lines."""
        task = self.tasks[task_id]
        if task.canceled:
            return "canceled"
        now = {run.status for run in task.runs}
        if now & {"starting", "running"}:
            return "in_progress"
        held = any(self.status(blocker) != "completed" for blocker in task.blockers)
        waiting = "blocked" if held else "ready"
        if now & {"queued", "claimed"}:
            return waiting
        ended = [run for run in task.runs if run.status not in OPEN]
        if not ended:
            return waiting
        last = ended[-1].status
        if last == "failed":
            return "failed" if len(task.runs) >= task.max_attempts else waiting
        return last

    def is_paused(self, task_id: str) -> bool:
        task = self.tasks[task_id]
        return task.paused or (task.parent != "" and self.is_paused(task.parent))

    def next_run(self) -> ModelRun | None:
        """Return the run that the next claim gets."""
        waiting = [
            (-RANK[task.priority], run.queued_at, run.id, run)
            for task in self.tasks.values()
            for run in task.runs
            if run.status == "queued"
            and self.status(task.id) not in {"blocked", "canceled"}
            and not self.is_paused(task.id)
        ]
        return min(waiting, key=lambda row: row[:3])[3] if waiting else None

    def leases(self, session: str, now: int) -> list[ModelRun]:
        return [
            run
            for run in self.runs()
            if run.status in ACTIVE and run.leased and run.session == session and run.deadline > now
        ]

    def waits_for(self, task_id: str, goal: str) -> bool:
        """Whether a task is, or waits over any number of edges for, another."""
        return task_id == goal or any(
            self.waits_for(blocker, goal) for blocker in self.tasks[task_id].blockers
        )

    def dependents(self, task_id: str) -> list[str]:
        return [task.id for task in self.tasks.values() if task_id in task.blockers]

    def below(self, task_id: str) -> list[str]:
        children = [task.id for task in self.tasks.values() if task.parent == task_id]
        return [task_id] + [name for child in children for name in self.below(child)]

    def wants_run(self, task_id: str) -> bool:
        """Whether a trigger of auto-enqueue gives this task a run."""
        task = self.tasks[task_id]
        return (
            task.auto
            and self.status(task_id) == "ready"
            and task.open is None
            and not self.is_paused(task_id)
        )

    def give_back(self, run: ModelRun) -> None:
        run.status, run.session, run.leased, run.deadline = "queued", "", False, 0

    def expire(self, now: int) -> list[str]:
        """Take back what is past its deadline; return the runs, oldest deadline first."""
        late = [
            run
            for run in self.runs()
            if run.status in ACTIVE and run.leased and run.deadline <= now
        ]
        late.sort(key=lambda run: (run.deadline, run.id))
        for run in late:
            self.give_back(run)
            run.expiries += 1
            if run.expiries >= MAX_EXPIRIES:
                run.status = "needs_attention"
        return [run.id for run in late]
