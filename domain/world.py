"""What deciding may look at, and where it notes what it decided.

A `World` answers from everything committed so far; a `Plan` adds the events of the command at hand,
so that each step of a command sees the steps before it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from domain.actor import ActorState, evolve_actor
from domain.bridge_state import BridgeState, CursorState, evolve_bridge, evolve_cursor
from domain.errors import (
    PermissionDeniedError,
    ReviewNotFoundError,
    RunNotFoundError,
    StreamHeldError,
    TaskNotFoundError,
)
from domain.events import Fact, RunEnqueued
from domain.ona.state import OnaTask, evolve_ona_task
from domain.ona.world import OnaWorld
from domain.posthog import state as posthog
from domain.recorded import SCHEDULER_STREAM, Recorded, session_stream, task_stream
from domain.registry import (
    OpsState,
    SchedulerState,
    SessionState,
    WorkspaceState,
    evolve_ops,
    evolve_scheduler,
    evolve_session,
    evolve_workspace,
)
from domain.starving import StarvationState, evolve_starvation
from domain.task.evolve import evolve_task
from domain.task.state import Review, Run, TaskState
from domain.tempest.state import AppState, OperationState, evolve_app, evolve_operation
from domain.values import Actor, Origin

State: TypeAlias = (
    TaskState
    | SchedulerState
    | SessionState
    | WorkspaceState
    | OpsState
    | ActorState
    | StarvationState
    | BridgeState
    | CursorState
    | AppState
    | OperationState
    | posthog.PosthogTask
    | posthog.PosthogRun
    | posthog.PosthogLog
    | OnaTask
)

_EVOLVE: dict[str, Callable[..., State | None]] = {
    "task": evolve_task,
    "scheduler": evolve_scheduler,
    "session": evolve_session,
    "workspace": evolve_workspace,
    "ops": evolve_ops,
    "actor": evolve_actor,
    "starvation": evolve_starvation,
    "bridge": evolve_bridge,
    "notification": evolve_cursor,
    "tempest-app": evolve_app,
    "tempest-operation": evolve_operation,
    "posthog-task": posthog.evolve_task,
    "posthog-run": posthog.evolve_run,
    "posthog-log": posthog.evolve_log,
    "ona-task": evolve_ona_task,
}


def evolve(state: State | None, recorded: Recorded) -> State | None:
    """Return the state of a stream after one more of its events."""
    kind = recorded.originator_id.partition(":")[0]
    return _EVOLVE[kind](state, recorded)


class ClaimQuery(Struct, frozen=True, kw_only=True):
    """What a session may be handed. `offered` are its capabilities, its own and those it names."""

    workspace_id: str
    agent_name: str
    session_id: str
    channel: str
    priority_min: int
    offered: frozenset[str] = frozenset()
    soul: bool = False


class KeySlot(Struct, frozen=True, kw_only=True):
    """The scope of an idempotency key: one caller, one operation."""

    key: str
    origin: Origin
    actor: Actor


class World(OnaWorld, Protocol):
    """Everything committed (and everything earlier in the same batch)."""

    def state(self, stream: str) -> State | None:
        """Return the folded state of a stream, None for an unknown one."""

    def task_of_run(self, run_id: str) -> str | None:
        """Return the task a run belongs to, None for the run of a deleted one."""

    def dependents_of(self, task_id: str) -> Sequence[str]:
        """Return the tasks that wait for this one, oldest edge first."""

    def runs_of_session(self, session_id: str) -> Sequence[tuple[str, str]]:
        """Return (task id, run id) of the active runs bound to a session."""

    def run_of_key(self, slot: KeySlot) -> tuple[str, str] | None:
        """Return (task id, run id) that an idempotency key names."""

    def channel_workspace(self, channel_id: str) -> str | None:
        """Return the workspace a coordination channel belongs to."""

    def workspace_of_ref(self, ref: str) -> str | None:
        """Return the workspace id that an id, name or path names."""

    def claimable_runs(self, query: ClaimQuery) -> Iterable[tuple[str, str]]:
        """Yield (task id, run id) of the queued runs a session may be handed, in claim order.

        Left out are tasks that are draft, blocked, canceled or paused (also by an ancestor), those
        of another workspace, owner, channel or of too low a priority, and those that ask for
        another agent or for more than is offered.
        """

    def expired_leases(self, now: int, limit: int) -> Sequence[tuple[str, str]]:
        """Return (task id, run id) of leases past their deadline, oldest first."""

    def task_of_review(self, review_id: str) -> str | None:
        """Return the task a review belongs to, None for the review of a deleted one."""

    def review_of_session(self, session_id: str) -> str | None:
        """Return the open review that a session has taken, None when it has none."""

    def open_reviews(self, workspace_id: str) -> Iterable[tuple[str, str]]:
        """Yield (task id, review id): first those nobody has taken, oldest first, then the others.

        A workspace id that is empty means the tasks without a workspace.
        """

    def overdue_reviews(self, now: int, limit: int) -> Sequence[tuple[str, str]]:
        """Return (task id, review id) of open reviews past their deadline, oldest first."""

    def waiting_runs(self, queued_before: int, limit: int) -> Sequence[tuple[str, str]]:
        """Return (task id, run id) of claimable runs queued by then, oldest first."""

    def tempest_operations(self, ref: str) -> Iterable[tuple[str, str]]:
        """Yield (task id, run id) of the queued operations of an app version, in claim order.

        Left out are tasks that are canceled or paused.
        """

    def posthog_tasks(self, workspace_id: str) -> int:
        """Return how many PostHog tasks a workspace has had, deleted ones counted."""

    def posthog_open_runs(self, posthog_task_id: str) -> Sequence[str]:
        """Return the tasks that stand for the runs of a PostHog task and have not ended."""


class Policy(Struct, frozen=True, kw_only=True):
    """Settings that rules depend on."""

    max_lease_expiries: int = 3
    max_review_rounds: int = 3
    default_lease_seconds: int = 300
    strict_sessions: bool = False
    allow_agent_force: bool = True
    allow_provider_override: bool = True
    allow_sandbox_none: bool = True
    allow_sandbox_ref: bool = True


class Context(Struct, frozen=True, kw_only=True):
    """Who commands, when, and the ids to use; all of it comes in from the edge."""

    actor: Actor
    origin: Origin
    now: int
    command_id: str
    new_id: Callable[[str], str]
    correlation_id: str = ""
    workspace_limit: str = ""
    policy: Policy = Policy()


class Change(Struct, frozen=True, kw_only=True, gc=False):
    """One event with the state before and after it: what every projector gets.

    `task` is the state after an event of a task, None for the events of other streams. `about` is
    the task that an event belongs to, also one of another stream. `paused_by` names the nearest
    paused task of its lineage, the task itself first.
    """

    recorded: Recorded
    before: State | None
    after: State | None
    task: TaskState | None
    about: TaskState | None
    paused_by: str


class Plan:
    """The events of one command while it is being decided."""

    def __init__(self, world: World, context: Context, *, head: int, recorded_at: int) -> None:
        """Start behind `head`, the last sequence given out."""
        self.world = world
        self.context = context
        self.changes: list[Change] = []
        self._head = head
        self._recorded_at = recorded_at
        self._states: dict[str, State | None] = {}

    @property
    def now(self) -> int:
        """The command's clock."""
        return self.context.now

    @property
    def policy(self) -> Policy:
        """The settings in force."""
        return self.context.policy

    def state(self, stream: str) -> State | None:
        """Return the state of a stream, this command's own events included."""
        if stream in self._states:
            return self._states[stream]
        return self.world.state(stream)

    def new_task_id(self, fresh: str = "") -> str:
        """Return a fresh id, or the one that came with the command.

        Nothing has to be looked up to know that it has no events.
        """
        task_id = fresh or self.context.new_id("task")
        self._states[task_stream(task_id)] = None
        return task_id

    def states(self) -> dict[str, State | None]:
        """Return the states this command changed, by stream."""
        return self._states

    def emit(
        self,
        stream: str,
        fact: Fact,
        *,
        task_id: str = "",
        run_id: str = "",
        cause: Recorded | None = None,
    ) -> Recorded:
        """Note an event, evolve its stream and return it with its final position."""
        before = self.state(stream)
        self._head += 1
        context = self.context
        recorded = Recorded(
            sequence=self._head,
            originator_id=stream,
            originator_version=before.version + 1 if before else 1,
            event_id=context.new_id("evt"),
            fact=fact,
            actor=context.actor,
            origin=context.origin,
            occurred_at=context.now,
            recorded_at=self._recorded_at,
            command_id=context.command_id,
            task_id=task_id,
            run_id=run_id,
            causation_id=cause.event_id if cause else "",
            correlation_id=context.correlation_id,
        )
        after = evolve(before, recorded)
        self._states[stream] = after
        task = after if isinstance(after, TaskState) else None
        about = task or (self._subject(task_id) if task_id else None)
        self.changes.append(
            Change(
                recorded=recorded,
                before=before,
                after=after,
                task=task,
                about=about,
                paused_by=self.paused_by(about) if about else "",
            )
        )
        return recorded

    def _subject(self, task_id: str) -> TaskState | None:
        """Return a task that was known at some time, also a deleted one."""
        state = self.state(task_stream(task_id))
        return state if isinstance(state, TaskState) else None

    def emit_task(
        self, task_id: str, fact: Fact, run_id: str = "", cause: Recorded | None = None
    ) -> Recorded:
        """Note an event of a task stream."""
        return self.emit(task_stream(task_id), fact, task_id=task_id, run_id=run_id, cause=cause)

    def task(self, task_id: str) -> TaskState | None:
        """Return a task, None when it never was or is deleted."""
        state = self.state(task_stream(task_id))
        if isinstance(state, TaskState) and not state.task.deleted:
            return state
        return None

    def readable_task(self, task_id: str) -> TaskState | None:
        """Return a task, None also for one that is held back and must not hold others up."""
        try:
            return self.task(task_id)
        except StreamHeldError:
            return None

    def task_status(self, task_id: str) -> str | None:
        """Return the status of a task, None when there is no such task."""
        state = self.task(task_id)
        return state.task.status if state else None

    def existing_task(self, task_id: str) -> TaskState:
        """Return any task, whatever workspace it is in; raises TaskNotFoundError."""
        state = self.task(task_id)
        if state is None:
            raise TaskNotFoundError(f'task "{task_id}"')
        return state

    def require_task(self, task_id: str) -> TaskState:
        """Return a task the caller may touch; raises TaskNotFound or PermissionDenied."""
        state = self.existing_task(task_id)
        self.check_reach(state.task.workspace_id, f'task "{task_id}"')
        return state

    def check_reach(self, workspace_id: str, subject: str) -> None:
        """Raise PermissionDenied when the caller is bound to another workspace than this one."""
        limit = self.context.workspace_limit
        if limit and workspace_id != limit:
            message = f'the token is bound to workspace "{limit}"; {subject} is outside it'
            raise PermissionDeniedError(message)

    def require_run(self, run_id: str) -> tuple[TaskState, Run]:
        """Return a run with its task; raises RunNotFound or PermissionDenied."""
        task_id = self.world.task_of_run(run_id)
        if task_id is None:
            raise RunNotFoundError(f'task run "{run_id}"')
        state = self.require_task(task_id)
        return state, state.runs[run_id]

    def require_review(self, review_id: str) -> tuple[TaskState, Review]:
        """Return a review with its task; raises ReviewNotFound or PermissionDenied."""
        task_id = self.world.task_of_review(review_id)
        if task_id is None:
            raise ReviewNotFoundError(f'task run review "{review_id}"')
        state = self.require_task(task_id)
        return state, state.reviews[review_id]

    def paused_by(self, state: TaskState) -> str:
        """Return the nearest paused task of the lineage, empty when none is."""
        if state.task.paused:
            return state.task.id
        for ancestor_id in state.task.ancestors:
            ancestor = self.readable_task(ancestor_id)
            if ancestor is not None and ancestor.task.paused:
                return ancestor_id
        return ""

    def channel_workspace(self, channel_id: str) -> str | None:
        """Return the workspace a coordination channel belongs to, this command's runs included."""
        for change in self.changes:
            fact = change.recorded.fact
            named = isinstance(fact, RunEnqueued) and fact.coordination_channel_id == channel_id
            if named and change.task is not None:
                return change.task.task.workspace_id
        return self.world.channel_workspace(channel_id)

    def scheduler(self) -> SchedulerState:
        """Return the scheduler, running when nothing was ever said."""
        state = self.state(SCHEDULER_STREAM)
        return state if isinstance(state, SchedulerState) else SchedulerState()

    def session(self, session_id: str) -> SessionState | None:
        """Return an agent session."""
        state = self.state(session_stream(session_id))
        return state if isinstance(state, SessionState) else None
