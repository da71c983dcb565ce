"""Facts about the scheduler, agent sessions, workspaces, access tokens and inboxes (added streams).

Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact
from domain.instants import Instant
from domain.values import Actor, TriageAction


class SchedulerPaused(Fact, frozen=True, kw_only=True):
    """Claiming stopped everywhere (added stream)."""

    TYPE = "scheduler.paused"
    reason: str = ""


class SchedulerResumed(Fact, frozen=True, kw_only=True):
    """Claiming goes on (added stream)."""

    TYPE = "scheduler.resumed"
    reason: str = ""


class SchedulerDrainStarted(Fact, frozen=True, kw_only=True):
    """Somebody waits for the active claims to end (added stream)."""

    TYPE = "scheduler.drain_started"
    reason: str = ""
    timeout_seconds: int
    active_claims: int


class SchedulerDrainCompleted(Fact, frozen=True, kw_only=True):
    """The wait ended, with or without claims left (added stream)."""

    TYPE = "scheduler.drain_completed"
    completed: bool
    timed_out: bool = False
    remaining_claims: int


class SchedulerRunsWaited(Fact, frozen=True, kw_only=True):
    """A cycle passed in which these runs waited too long; `ended` no longer wait (added stream)."""

    TYPE = "scheduler.runs_waited"
    run_ids: tuple[str, ...]
    ended: tuple[str, ...] = ()


class SessionRegistered(Fact, frozen=True, kw_only=True):
    """An agent session became known, or its registration changed (added stream)."""

    TYPE = "session.registered"
    session_id: str
    agent_name: str
    workspace_id: str = ""
    channel: str = ""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    declared: bool = False
    concurrency: int = 1
    soul_digest: str = ""
    soul_snapshot_id: str = ""


class SessionStopped(Fact, frozen=True, kw_only=True):
    """An agent session ended (added stream)."""

    TYPE = "session.stopped"
    session_id: str


class WorkspaceRegistered(Fact, frozen=True, kw_only=True):
    """A workspace became known, or its registration changed (added stream)."""

    TYPE = "workspace.registered"
    workspace_id: str
    name: str = ""
    path: str = ""


class WorkspaceRemoved(Fact, frozen=True, kw_only=True):
    """A workspace is no longer known (added stream)."""

    TYPE = "workspace.removed"
    workspace_id: str


class TokenCreated(Fact, frozen=True, kw_only=True):
    """An access token was made; only its hash is kept (added stream)."""

    TYPE = "ops.token_created"
    PRIVATE = frozenset({"secret_hash"})
    token_id: str
    name: str = ""
    scopes: tuple[str, ...]
    token_actor: Actor
    workspace_id: str = ""
    secret_hash: str


class TokenRevoked(Fact, frozen=True, kw_only=True):
    """An access token is no longer accepted (added stream)."""

    TYPE = "ops.token_revoked"
    token_id: str


class TaskTriaged(Fact, frozen=True, kw_only=True):
    """Somebody read, archived or dismissed a task in their inbox (added stream).

    It belongs to the stream of the actor, so that it is no activity of the task.
    """

    TYPE = "inbox.triaged"
    triaged_task_id: str
    action: TriageAction
    workspace_id: str = ""
    last_seen_activity_at: Instant
