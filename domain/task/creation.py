"""Creating tasks and children (task API, create)."""

from domain import fields
from domain.commands import CreateTask, OwnerInput, Reply
from domain.errors import (
    ConflictError,
    GraphLimitError,
    InvalidScopeBindingError,
    PermissionDeniedError,
    ValidationError,
    WorkspaceNotFoundError,
)
from domain.events import TaskChildCreated, TaskCreated
from domain.recorded import task_stream
from domain.task.state import TaskState
from domain.values import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_PRIORITY,
    MAX_ATTEMPTS,
    MAX_CHILDREN,
    MAX_DEPTH,
    METADATA_BYTES,
    ApprovalPolicy,
    Owner,
    OwnerKind,
    Priority,
    Scope,
)
from domain.world import Plan


def create_task(command: CreateTask, plan: Plan) -> Reply:
    """Create a task; it never queues a run by itself."""
    child = command.parent_task_id is not None
    path = "create_child_task" if child else "create_task"
    parent = plan.require_task(command.parent_task_id or "") if child else None
    scope, workspace_id = _binding(command, plan, path)
    fact = _created(command, path, scope, workspace_id, parent)
    _check_caller(plan, workspace_id)
    if parent is not None:
        _check_parent(parent, scope, workspace_id)
    task_id = _free_id(command, plan, path)
    created = plan.emit_task(task_id, fact)
    if parent is not None:
        plan.emit_task(
            parent.id,
            TaskChildCreated(
                child_task_id=task_id, child_scope=scope, child_workspace_id=workspace_id
            ),
            cause=created,
        )
    return Reply(task_id=task_id)


def _binding(command: CreateTask, plan: Plan, path: str) -> tuple[Scope, str]:
    """Return scope and workspace id that fit together."""
    ref = fields.identifier(command.workspace, f"{path}.workspace")
    scope: Scope = fields.choice(command.scope, f"{path}.scope", Scope)
    if scope == "global" and ref:
        message = f'{path}.workspace must be empty when {path}.scope is "global"'
        raise InvalidScopeBindingError(message)
    if scope == "global":
        return scope, ""
    if not ref:
        message = f'{path}.workspace is required when {path}.scope is "workspace"'
        raise InvalidScopeBindingError(message)
    workspace_id = plan.world.workspace_of_ref(ref)
    if workspace_id is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    return scope, workspace_id


def _created(
    command: CreateTask, path: str, scope: Scope, workspace_id: str, parent: TaskState | None
) -> TaskCreated:
    channel = fields.channel(command.network_channel, f"{path}.network_channel")
    title = fields.required(command.title, f"{path}.title")
    owner = owner_of(command.owner, f"{path}.owner")
    priority: Priority = fields.choice(
        command.priority, f"{path}.priority", Priority, DEFAULT_PRIORITY
    )
    max_attempts = fields.at_least_one(
        DEFAULT_MAX_ATTEMPTS if command.max_attempts is None else command.max_attempts,
        f"{path}.max_attempts",
        MAX_ATTEMPTS,
    )
    policy: ApprovalPolicy = fields.choice(
        command.approval_policy, f"{path}.approval_policy", ApprovalPolicy, "none"
    )
    manual = policy == "manual"
    return TaskCreated(
        scope=scope,
        workspace_id=workspace_id,
        parent_task_id=parent.id if parent else "",
        status="draft" if command.draft else "blocked" if manual else "ready",
        network_channel=channel,
        owner=owner,
        ancestors=parent.task.lineage if parent else (),
        identifier=fields.identifier(command.identifier, f"{path}.identifier"),
        title=title,
        description=fields.text(command.description, f"{path}.description"),
        priority=priority,
        max_attempts=max_attempts,
        auto_enqueue_on_ready=command.auto_enqueue_on_ready,
        approval_policy=policy,
        approval_state="pending" if manual else "not_required",
        metadata=fields.json(command.metadata, f"{path}.metadata", METADATA_BYTES),
    )


def owner_of(owner: OwnerInput | None, path: str) -> Owner | None:
    """Return a checked owner, None when none is given."""
    if owner is None:
        return None
    kind: OwnerKind = fields.choice(owner.kind, f"{path}.kind", OwnerKind)
    return Owner(kind, fields.required(owner.ref, f"{path}.ref"))


def _check_caller(plan: Plan, workspace_id: str) -> None:
    """Refuse callers bound to another workspace."""
    context = plan.context
    plan.check_reach(workspace_id, "the new task")
    if context.actor.kind != "agent_session" or not workspace_id:
        return
    session = plan.session(context.actor.ref)
    if session is not None and session.workspace_id not in {"", workspace_id}:
        message = f'session "{session.id}" belongs to workspace "{session.workspace_id}"'
        raise PermissionDeniedError(message)


def _check_parent(parent: TaskState, scope: Scope, workspace_id: str) -> None:
    task = parent.task
    if task.scope == "workspace" and (scope, workspace_id) != (task.scope, task.workspace_id):
        message = (
            f'child of workspace task "{parent.id}" must have scope "workspace" '
            f'and workspace "{task.workspace_id}"'
        )
        raise ValidationError(message)
    if len(task.children) >= MAX_CHILDREN:
        message = f"direct child count exceeds {MAX_CHILDREN}: {len(task.children) + 1}"
        raise GraphLimitError(message)
    depth = len(task.ancestors) + 2
    if depth > MAX_DEPTH:
        message = f"hierarchy depth exceeds {MAX_DEPTH}: {depth}"
        raise GraphLimitError(message)


def _free_id(command: CreateTask, plan: Plan, path: str) -> str:
    """Return the given or a new id; an id is never used twice, also not after a delete."""
    given = fields.identifier(command.id, f"{path}.id")
    if not given:
        return plan.new_task_id()
    if plan.state(task_stream(given)) is None:
        return given
    if plan.task(given) is not None:
        raise ConflictError(f'task "{given}" already exists')
    raise ConflictError(f'task "{given}" was deleted; ids are not used again')
