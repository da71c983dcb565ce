"""A world in memory: the folded states, and plain scans of them for every lookup."""

from collections.abc import Iterator, Sequence

from domain import events as e
from domain.commands import Command, Reply
from domain.decide import decide
from domain.posthog.events import PosthogTaskCreated
from domain.posthog.state import PosthogRun
from domain.profile import ExecutionProfile
from domain.recorded import Recorded
from domain.registry import WorkspaceState
from domain.task.state import Review, Run, Task, TaskState
from domain.values import PRIORITY_VALUE, Owner
from domain.world import Change, ClaimQuery, Context, KeySlot, Plan, State, evolve
from tests.support.ona import OnaLookups

NEVER_CLAIMED = {"draft", "blocked", "canceled"}


class World(OnaLookups):
    """Everything recorded so far. Implements `domain.world.World`."""

    def __init__(self) -> None:
        self.states: dict[str, State | None] = {}
        self.history: list[Recorded] = []

    @property
    def head(self) -> int:
        return self.history[-1].sequence if self.history else 0

    def execute(self, command: Command, context: Context) -> tuple[Reply, list[Change]]:
        """Decide a command and record its events; a refusal records nothing."""
        plan = Plan(self, context, head=self.head, recorded_at=context.now)
        reply = decide(command, plan)
        for change in plan.changes:
            self.record(change.recorded)
        assert plan.states().items() <= self.states.items()
        return reply, plan.changes

    def record(self, recorded: Recorded) -> None:
        """Take in one event."""
        before = self.states.get(recorded.originator_id)
        self.states[recorded.originator_id] = evolve(before, recorded)
        self.history.append(recorded)

    def state(self, stream: str) -> State | None:
        return self.states.get(stream)

    def tasks(self) -> list[TaskState]:
        """Return the tasks that are not deleted, oldest first."""
        return [
            state
            for state in self.states.values()
            if isinstance(state, TaskState) and not state.task.deleted
        ]

    def runs(self) -> Iterator[tuple[Task, Run]]:
        """Yield the runs of tasks that are not deleted."""
        return ((state.task, run) for state in self.tasks() for run in state.runs.values())

    def task_of_run(self, run_id: str) -> str | None:
        return next((task.id for task, run in self.runs() if run.id == run_id), None)

    def dependents_of(self, task_id: str) -> Sequence[str]:
        waiting = {state.id: state.task.dependencies for state in self.tasks()}
        added = [past.task_id for past in self.history if _adds_edge_to(past, task_id)]
        return [
            dependent_id
            for dependent_id in dict.fromkeys(added)
            if any(edge.depends_on_task_id == task_id for edge in waiting.get(dependent_id, ()))
        ]

    def runs_of_session(self, session_id: str) -> Sequence[tuple[str, str]]:
        return [
            (task.id, run.id)
            for task, run in self.runs()
            if run.is_active and run.session_id == session_id
        ]

    def run_of_key(self, slot: KeySlot) -> tuple[str, str] | None:
        for past in reversed(self.history):
            fact = past.fact
            if (
                isinstance(fact, e.RunEnqueued)
                and KeySlot(key=fact.idempotency_key, origin=past.origin, actor=past.actor) == slot
                and self.task_of_run(past.run_id)
            ):
                return past.task_id, past.run_id
        return None

    def channel_workspace(self, channel_id: str) -> str | None:
        for past in self.history:
            if isinstance(past.fact, e.RunEnqueued | e.RunReviewRetryEnqueued):
                state = self.states[past.originator_id]
                assert isinstance(state, TaskState)
                if past.fact.coordination_channel_id == channel_id:
                    return state.task.workspace_id
        return None

    def workspace_of_ref(self, ref: str) -> str | None:
        known = [
            state
            for state in self.states.values()
            if isinstance(state, WorkspaceState) and not state.removed
        ]
        for name in ("id", "name", "path"):
            for workspace in known:
                if getattr(workspace, name) == ref:
                    return workspace.id
        return None

    def claimable_runs(self, query: ClaimQuery) -> Iterator[tuple[str, str]]:
        found = [pair for pair in self.runs() if self._is_claimable(query, *pair)]
        found.sort(key=_claim_order)
        return ((task.id, run.id) for task, run in found)

    def _is_claimable(self, query: ClaimQuery, task: Task, run: Run) -> bool:
        owners = {("pool", query.agent_name), ("agent_session", query.session_id)}
        return (
            run.status == "queued"
            and task.status not in NEVER_CLAIMED
            and not any(self.task(task_id).paused for task_id in task.lineage)
            and task.workspace_id == query.workspace_id
            and query.channel in {"", run.coordination_channel_id}
            and PRIORITY_VALUE[task.priority] >= query.priority_min
            and (task.owner is None or (task.owner.kind, task.owner.ref) in owners)
            and _suits(query, task.profile)
            and not (query.soul and bytes(run.metadata) and bytes(run.metadata)[:1] != b"{")
        )

    def posthog_tasks(self, workspace_id: str) -> int:
        return sum(
            isinstance(past.fact, PosthogTaskCreated) and past.fact.workspace_id == workspace_id
            for past in self.history
        )

    def posthog_open_runs(self, posthog_task_id: str) -> Sequence[str]:
        runs = (state for state in self.states.values() if isinstance(state, PosthogRun))
        tasks = {run.task_id for run in runs if run.posthog_task_id == posthog_task_id}
        return sorted(
            state.id
            for state in self.tasks()
            if state.id in tasks and (state.task.status == "draft" or state.open_run)
        )

    def waiting_runs(self, queued_before: int, limit: int) -> Sequence[tuple[str, str]]:
        found = [
            (run.queued_at, run.id, task.id)
            for task, run in self.runs()
            if run.status == "queued"
            and task.facade != "tempest"
            and run.queued_at <= queued_before
            and task.status not in NEVER_CLAIMED
            and not any(self.task(task_id).paused for task_id in task.lineage)
        ]
        return [(task_id, run_id) for _, run_id, task_id in sorted(found)[:limit]]

    def tempest_operations(self, ref: str) -> Iterator[tuple[str, str]]:
        found = [
            (task, run)
            for task, run in self.runs()
            if task.facade == "tempest"
            and task.owner == Owner("extension", ref)
            and run.status == "queued"
            and task.status not in NEVER_CLAIMED
            and not task.paused
        ]
        found.sort(key=_claim_order)
        return ((task.id, run.id) for task, run in found)

    def reviews(self) -> list[tuple[Task, Review]]:
        """Return the reviews of tasks that are not deleted, the oldest wish first."""
        found = [(s.task, review) for s in self.tasks() for review in s.reviews.values()]
        return sorted(found, key=lambda pair: (pair[1].requested_at, pair[1].id))

    def task_of_review(self, review_id: str) -> str | None:
        return next((task.id for task, review in self.reviews() if review.id == review_id), None)

    def review_of_session(self, session_id: str) -> str | None:
        return next(
            (
                review.id
                for _, review in self.reviews()
                if review.is_open and review.reviewer_session_id == session_id
            ),
            None,
        )

    def open_reviews(self, workspace_id: str) -> Iterator[tuple[str, str]]:
        for status in ("requested", "in_review"):
            for task, review in self.reviews():
                if review.status == status and task.workspace_id == workspace_id:
                    yield task.id, review.id

    def overdue_reviews(self, now: int, limit: int) -> Sequence[tuple[str, str]]:
        found = [
            (review.deadline_at, review.id, task.id)
            for task, review in self.reviews()
            if review.is_open and review.deadline_at and review.deadline_at <= now
        ]
        return [(task_id, review_id) for _, review_id, task_id in sorted(found)[:limit]]

    def task(self, task_id: str) -> Task:
        """Return a task, deleted or not."""
        state = self.states[f"task:{task_id}"]
        assert isinstance(state, TaskState)
        return state.task

    def run(self, run_id: str) -> Run:
        """Return a run of a task that is not deleted."""
        return next(run for _, run in self.runs() if run.id == run_id)

    def expired_leases(self, now: int, limit: int) -> Sequence[tuple[str, str]]:
        found = [
            (run.lease_until, run.id, task.id)
            for task, run in self.runs()
            if run.is_active and run.claim_token_hash and run.lease_until <= now
        ]
        return [(task_id, run_id) for _, run_id, task_id in sorted(found)[:limit]]


def _suits(query: ClaimQuery, profile: ExecutionProfile | None) -> bool:
    if profile is None:
        return True
    worker, participants = profile.worker, profile.participants
    lists = (worker.allowed_agent_names, participants.allowed_agent_names)
    return (
        worker.agent_name in {"", query.agent_name}
        and all(query.agent_name in names for names in lists if names)
        and {*worker.required_capabilities, *participants.required_capabilities} <= query.offered
    )


def _claim_order(pair: tuple[Task, Run]) -> tuple[int, int, str]:
    task, run = pair
    return -PRIORITY_VALUE[task.priority], run.queued_at, run.id


def _adds_edge_to(past: Recorded, task_id: str) -> bool:
    fact = past.fact
    return isinstance(fact, e.TaskDependencyAdded) and fact.depends_on_task_id == task_id
