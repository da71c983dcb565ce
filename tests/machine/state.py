"""The model's tasks and runs, and how a task's status follows from them.

Written from the description of the API, with plain dictionaries and scans, and without looking at
how the server does it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OPEN = {"queued", "claimed", "starting", "running", "needs_attention"}
ACTIVE = {"claimed", "starting", "running"}
ENDED = {"completed", "failed", "canceled"}
PRIORITIES = {"low": 10, "medium": 20, "high": 30, "urgent": 40}
MAX_EXPIRIES = 3

SECOND = 1_000_000
"""Times of the model are microseconds."""


class RefusedError(Exception):
    """The request is refused with a status and a text that begins so."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text
        super().__init__(f"{status} {text}")


VALIDATION = "task: validation failed"
TRANSITION = "task: invalid status transition"
LIMIT = "task: graph limit exceeded"


@dataclass
class Run:
    """One attempt. The id and what the server makes up are learned from the ledger."""

    task: "Task"
    attempt: int
    key: str = ""
    id: str = ""
    queued_at: int = 0
    status: str = "queued"
    claimed_by: tuple[str, str] | None = None
    session: str = ""
    leased: bool = False
    until: int = 0
    started: bool = False
    error: str = ""
    result: Any = None
    expiries: int = 0
    outcome: tuple[str, str] | None = None
    round: int = 1
    previous: "Run | None" = None
    failure_kind: str = ""

    def requeue(self) -> None:
        """Give it back to the queue."""
        self.status, self.claimed_by, self.session = "queued", None, ""
        self.leased, self.until, self.started, self.error = False, 0, False, ""


@dataclass
class Task:
    """A task that is not deleted."""

    id: str
    title: str
    workspace: str = ""
    parent: "Task | None" = None
    priority: str = "medium"
    max_attempts: int = 3
    auto: bool = False
    policy: str = "none"
    approval: str = "not_required"
    owner: tuple[str, str] | None = None
    profile: dict[str, Any] | None = None
    status: str = "ready"
    paused: bool = False
    blockers: list["Task"] = field(default_factory=list)
    children: list["Task"] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)

    @property
    def open_run(self) -> Run | None:
        """The run that has not ended."""
        return next((run for run in self.runs if run.status in OPEN), None)

    @property
    def lineage(self) -> Iterator["Task"]:
        """The task itself, then everything above it."""
        task: Task | None = self
        while task:
            yield task
            task = task.parent

    @property
    def paused_by(self) -> str:
        """The nearest paused task of the lineage."""
        return next((task.id for task in self.lineage if task.paused), "")

    @property
    def exhausted(self) -> bool:
        """Whether there may be no further run."""
        return len(self.runs) + 1 > self.max_attempts

    def below(self) -> list["Task"]:
        """Return all descendants, level by level."""
        found = list(self.children)
        for task in found:
            found.extend(task.children)
        return found


@dataclass
class Review:
    """The judgement of an ended run, or the wish for it."""

    run: Run
    attempt: int
    asked_by: str
    due: int = 0
    id: str = ""
    status: str = "requested"
    reviewer: str = ""
    outcome: str = ""
    judged_by: str = ""
    continuation: Run | None = None

    @property
    def is_open(self) -> bool:
        """Whether a verdict is still to come."""
        return self.outcome == ""


@dataclass
class Session:
    """An agent session."""

    id: str
    agent: str
    workspace: str = ""


@dataclass
class Outcome:
    """What a request comes to."""

    status: int
    task: Task | None = None
    run: Run | None = None
    replayed: bool = False
    review: Review | None = None
    previous: Run | None = None
    rows: "list[tuple[str, Run | RefusedError]] | None" = None


class State:
    """Everything there is, and what one change does to the rest."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.used_ids: set[str] = set()
        self.sessions: dict[str, Session] = {}
        self.all_reviews: list[Review] = []
        self.slots: dict[tuple[str, str, str], tuple[Run, str]] = {}
        self.workspaces: set[str] = set()
        self.scheduler_paused = False
        self.forced: list[tuple[str, str, int]] = []
        self.now = 0
        self.events: list[tuple[str, str, Run | None]] = []
        """What the request at hand records: type, task id, run."""

    def note(self, kind: str, task: Task | None = None, run: Run | None = None) -> None:
        """Note an event."""
        self.events.append((kind, task.id if task else "", run))

    def runs(self) -> list[Run]:
        """Return all runs."""
        return [run for task in self.tasks.values() for run in task.runs]

    def task(self, task_id: str) -> Task:
        """Return a task."""
        if task_id not in self.tasks:
            raise RefusedError(404, "task: task not found")
        return self.tasks[task_id]

    def run(self, run_id: str) -> Run:
        """Return a run."""
        found = next((run for run in self.runs() if run.id == run_id), None)
        if found is None:
            raise RefusedError(404, "task: task run not found")
        return found

    def derived(self, task: Task, status: str = "") -> str:
        """Return the status of a task by its runs, blockers and approval."""
        status = status or task.status
        if status in {"canceled", "draft"}:
            return status
        statuses = {run.status for run in task.runs}
        if statuses & {"starting", "running"}:
            return "in_progress"
        unapproved = task.policy == "manual" and task.approval != "approved"
        unresolved = any(blocker.status != "completed" for blocker in task.blockers)
        waiting = "blocked" if unapproved or unresolved else "ready"
        if statuses & {"queued", "claimed"}:
            return waiting
        ended = [run for run in task.runs if run.status in ENDED]
        if not ended:
            return status if status in ENDED else waiting
        last = max(ended, key=lambda run: run.attempt).status
        if last == "failed":
            return "failed" if task.exhausted else waiting
        return last

    def settle(self, task: Task, status: str = "", *, by_completion: bool = False) -> None:
        """Move a task to the status it has now, and its dependents with it."""
        before, task.status = task.status, status or self.derived(task)
        if (before == "completed") == (task.status == "completed"):
            return
        dependents = [each for each in self.tasks.values() if task in each.blockers]
        for dependent in dependents:
            if self.derived(dependent) != dependent.status:
                self.note("task.status_changed", dependent)
                self.settle(dependent)
        if by_completion:
            for dependent in dependents:
                self.queue_by_itself(dependent)

    def give_up(self, run: Run) -> None:
        """Cancel a run, and take it from whoever works on it."""
        held = run.status in ACTIVE and run.session and (not run.leased or run.until > self.now)
        run.status, run.error, run.result = "canceled", "", None
        self.note("task.run_canceled", run.task, run)
        if held:
            self.note("task.run_force_stopped", run.task, run)

    def queue_by_itself(self, task: Task) -> None:
        """Queue a run of a task that asks for it and became ready."""
        if task.auto and task.status == "ready" and not task.open_run and not task.paused_by:
            self.queue(task, "task.auto_enqueue.")

    def queue(self, task: Task, key: str) -> Run:
        """Queue a run."""
        run = Run(task, len(task.runs) + 1, key)
        task.runs.append(run)
        self.note("task.run_enqueued", task, run)
        self.settle(task)
        return run
