"""Facts about tasks (task API, event table).

Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact
from domain.profile import CoordinatorMode, ExecutionProfile, SandboxMode, WorkerMode
from domain.values import (
    NO_JSON,
    ApprovalPolicy,
    ApprovalState,
    DependencyKind,
    Facade,
    Json,
    Owner,
    Priority,
    Scope,
    TaskStatus,
)


class TaskCreated(Fact, frozen=True, kw_only=True):
    """A task came into being."""

    TYPE = "task.created"
    PRIVATE = frozenset(
        {
            "ancestors",
            "identifier",
            "title",
            "description",
            "priority",
            "max_attempts",
            "auto_enqueue_on_ready",
            "approval_policy",
            "approval_state",
            "metadata",
        }
    )
    scope: Scope
    workspace_id: str = ""
    parent_task_id: str = ""
    status: TaskStatus
    network_channel: str = ""
    owner: Owner | None = None
    ancestors: tuple[str, ...] = ()
    identifier: str = ""
    title: str
    description: str = ""
    priority: Priority = "medium"
    max_attempts: int = 3
    auto_enqueue_on_ready: bool = False
    approval_policy: ApprovalPolicy = "none"
    approval_state: ApprovalState = "not_required"
    metadata: Json = NO_JSON
    facade: Facade | None = None


class TaskUpdated(Fact, frozen=True, kw_only=True):
    """Fields of a task changed; only those named in `changed_fields` carry a meaning."""

    TYPE = "task.updated"
    PRIVATE = TaskCreated.PRIVATE - {"ancestors", "identifier"} | {"network_channel", "owner"}
    changed_fields: tuple[str, ...]
    status: TaskStatus
    title: str = ""
    description: str = ""
    priority: Priority = "medium"
    max_attempts: int = 3
    auto_enqueue_on_ready: bool = False
    approval_policy: ApprovalPolicy = "none"
    approval_state: ApprovalState = "not_required"
    metadata: Json = NO_JSON
    network_channel: str = ""
    owner: Owner | None = None


class TaskPublished(Fact, frozen=True, kw_only=True):
    """A draft became runnable."""

    TYPE = "task.published"
    previous_status: TaskStatus
    status: TaskStatus
    approval_state: ApprovalState


class TaskApproved(Fact, frozen=True, kw_only=True):
    """The pending approval was given."""

    TYPE = "task.approved"
    previous_approval_state: ApprovalState
    approval_state: ApprovalState
    status: TaskStatus


class TaskRejected(Fact, frozen=True, kw_only=True):
    """The pending approval was refused."""

    TYPE = "task.rejected"
    previous_approval_state: ApprovalState
    approval_state: ApprovalState
    status: TaskStatus


class TaskCanceled(Fact, frozen=True, kw_only=True):
    """The task was given up, by itself or with its parent."""

    TYPE = "task.canceled"
    reason: str = ""
    metadata: Json = NO_JSON
    status: TaskStatus
    propagated_from_task_id: str = ""
    canceled_run_ids: tuple[str, ...] = ()


class TaskStatusChanged(Fact, frozen=True, kw_only=True):
    """Another task's change moved this one's status (added type)."""

    TYPE = "task.status_changed"
    previous_status: TaskStatus
    status: TaskStatus
    cause_event_id: str
    cause_task_id: str


class TaskDeleted(Fact, frozen=True, kw_only=True):
    """The task was removed; its history stays in the ledger (added type)."""

    TYPE = "task.deleted"
    status: TaskStatus


class TaskChildCreated(Fact, frozen=True, kw_only=True):
    """A child was created below this task."""

    TYPE = "task.child_created"
    child_task_id: str
    child_scope: Scope
    child_workspace_id: str = ""


class TaskChildDeleted(Fact, frozen=True, kw_only=True):
    """A child of this task was deleted (added type)."""

    TYPE = "task.child_deleted"
    child_task_id: str


class TaskDependencyAdded(Fact, frozen=True, kw_only=True):
    """The task waits for another one."""

    TYPE = "task.dependency_added"
    depends_on_task_id: str
    kind: DependencyKind
    status: TaskStatus


class TaskDependencyRemoved(Fact, frozen=True, kw_only=True):
    """The task no longer waits for another one."""

    TYPE = "task.dependency_removed"
    depends_on_task_id: str
    kind: DependencyKind
    status: TaskStatus


class TaskPaused(Fact, frozen=True, kw_only=True):
    """Claiming stopped for the task and all below it."""

    TYPE = "task.paused"
    manual: bool
    actor_kind: str
    actor_id: str = ""
    previous_paused: bool
    paused: bool
    reason: str = ""
    metadata: Json = NO_JSON


class TaskResumed(Fact, frozen=True, kw_only=True):
    """The task's own pause ended."""

    TYPE = "task.resumed"
    manual: bool
    actor_kind: str
    actor_id: str = ""
    previous_paused: bool
    paused: bool
    metadata: Json = NO_JSON


class TaskProfileUpdated(Fact, frozen=True, kw_only=True):
    """The execution profile was replaced as a whole."""

    TYPE = "task.execution_profile_updated"
    PRIVATE = frozenset({"profile"})
    task_id: str
    coordinator_mode: CoordinatorMode
    worker_mode: WorkerMode
    sandbox_mode: SandboxMode
    profile: ExecutionProfile


class TaskProfileDeleted(Fact, frozen=True, kw_only=True):
    """The default execution profile is in force again."""

    TYPE = "task.execution_profile_deleted"
    task_id: str
