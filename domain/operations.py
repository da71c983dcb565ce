"""What operators do: scheduler control, workspaces and access tokens."""

from domain import fields
from domain.commands import (
    CreateToken,
    EndDrain,
    NoteProjection,
    PauseScheduler,
    RegisterWorkspace,
    RemoveWorkspace,
    Reply,
    ResumeScheduler,
    RevokeToken,
    SkipEvent,
    StartDrain,
)
from domain.errors import (
    ConflictError,
    RequiresReasonError,
    TokenNotFoundError,
    ValidationError,
    WorkspaceNotFoundError,
)
from domain.events import (
    ProjectionEventSkipped,
    SchedulerDrainCompleted,
    SchedulerDrainStarted,
    SchedulerPaused,
    SchedulerResumed,
    TokenCreated,
    TokenRevoked,
    WorkspaceRegistered,
    WorkspaceRemoved,
)
from domain.recorded import OPS_STREAM, SCHEDULER_STREAM, workspace_stream
from domain.registry import OpsState, WorkspaceState, tells
from domain.values import ID_BYTES
from domain.world import Plan

SCOPES = ("task:read", "task:write", "admin")
"""What a token may be allowed; `admin` includes the others."""


def pause_scheduler(command: PauseScheduler, plan: Plan) -> Reply:
    """Stop claiming everywhere; repeating it overwrites by whom, when and why."""
    plan.check_reach("", "the scheduler")
    reason = fields.text(command.reason, "scheduler.reason")
    plan.emit(SCHEDULER_STREAM, SchedulerPaused(reason=reason))
    return Reply()


def resume_scheduler(command: ResumeScheduler, plan: Plan) -> Reply:
    """Let claiming go on."""
    plan.check_reach("", "the scheduler")
    reason = fields.text(command.reason, "scheduler.reason")
    plan.emit(SCHEDULER_STREAM, SchedulerResumed(reason=reason))
    return Reply()


def start_drain(command: StartDrain, plan: Plan) -> Reply:
    """Pause, and note that somebody waits for the active claims to end."""
    plan.check_reach("", "the scheduler")
    if command.timeout_seconds < 0:
        message = f"scheduler.timeout_seconds must not be negative: {command.timeout_seconds}"
        raise ValidationError(message)
    reason = fields.text(command.reason, "scheduler.reason") or "scheduler drain"
    paused = plan.emit(SCHEDULER_STREAM, SchedulerPaused(reason=reason))
    plan.emit(
        SCHEDULER_STREAM,
        SchedulerDrainStarted(
            reason=reason,
            timeout_seconds=command.timeout_seconds,
            active_claims=command.active_claims,
        ),
        cause=paused,
    )
    return Reply()


def end_drain(command: EndDrain, plan: Plan) -> Reply:
    """Note how the wait ended; the scheduler stays paused."""
    plan.emit(
        SCHEDULER_STREAM,
        SchedulerDrainCompleted(
            completed=command.completed,
            timed_out=command.timed_out,
            remaining_claims=command.remaining_claims,
        ),
    )
    return Reply()


def register_workspace(command: RegisterWorkspace, plan: Plan) -> Reply:
    """Make a workspace known; id, name and path may each mean only one workspace."""
    workspace_id = fields.required(command.workspace_id, "workspace.id", limit=ID_BYTES)
    plan.check_reach(workspace_id, f'workspace "{workspace_id}"')
    name = fields.identifier(command.name, "workspace.name")
    path = fields.identifier(command.path, "workspace.path")
    for ref in (workspace_id, name, path):
        holder = plan.world.workspace_of_ref(ref) if ref else None
        if holder is not None and holder != workspace_id:
            message = f'"{ref}" already names workspace "{holder}"'
            raise ConflictError(message)
    plan.emit(
        workspace_stream(workspace_id),
        WorkspaceRegistered(workspace_id=workspace_id, name=name, path=path),
    )
    return Reply()


def ensure_workspace(plan: Plan, workspace_id: str, name: str = "") -> None:
    """Make a workspace known that nobody has registered; raises PermissionDeniedError."""
    plan.check_reach(workspace_id, f'workspace "{workspace_id}"')
    state = plan.state(workspace_stream(workspace_id))
    if not isinstance(state, WorkspaceState) or state.removed:
        fact = WorkspaceRegistered(workspace_id=workspace_id, name=name, path="")
        plan.emit(workspace_stream(workspace_id), fact)


def remove_workspace(command: RemoveWorkspace, plan: Plan) -> Reply:
    """Forget a workspace."""
    plan.check_reach(command.workspace_id, f'workspace "{command.workspace_id}"')
    state = plan.state(workspace_stream(command.workspace_id))
    if not isinstance(state, WorkspaceState) or state.removed:
        raise WorkspaceNotFoundError(f'"{command.workspace_id}"')
    plan.emit(workspace_stream(state.id), WorkspaceRemoved(workspace_id=state.id))
    return Reply()


def create_token(command: CreateToken, plan: Plan) -> Reply:
    """Make a token known by the hash of its secret."""
    unknown = [scope for scope in command.scopes if scope not in SCOPES]
    if unknown or not command.scopes:
        message = f"token.scopes must be among {', '.join(SCOPES)}: {', '.join(command.scopes)!r}"
        raise ValidationError(message)
    ref = fields.identifier(command.workspace, "token.workspace")
    workspace_id = plan.world.workspace_of_ref(ref) if ref else ""
    if workspace_id is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    plan.check_reach(workspace_id, "the new token")
    plan.emit(
        OPS_STREAM,
        TokenCreated(
            token_id=command.token_id,
            name=fields.identifier(command.name, "token.name"),
            scopes=command.scopes,
            token_actor=command.token_actor,
            workspace_id=workspace_id,
            secret_hash=command.secret_hash,
        ),
    )
    return Reply()


def revoke_token(command: RevokeToken, plan: Plan) -> Reply:
    """Accept a token no longer; revoking it again changes nothing."""
    state = plan.state(OPS_STREAM)
    tokens = state.tokens if isinstance(state, OpsState) else {}
    token = tokens.get(command.token_id)
    if token is None:
        raise TokenNotFoundError(f'"{command.token_id}"')
    plan.check_reach(token.workspace_id, f'token "{token.id}"')
    if not token.revoked_at:
        plan.emit(OPS_STREAM, TokenRevoked(token_id=command.token_id))
    return Reply()


def note_projection(command: NoteProjection, plan: Plan) -> Reply:
    """Put on record what was done to a read model, or what happened to it.

    How work ended is not told twice.
    """
    plan.check_reach("", "the read models")
    state = plan.state(OPS_STREAM)
    if isinstance(state, OpsState) and tells(state, command.fact):
        return Reply()
    plan.emit(OPS_STREAM, command.fact)
    return Reply()


def skip_event(command: SkipEvent, plan: Plan) -> Reply:
    """Have a read model pass over an event in its way; doing it again changes nothing."""
    plan.check_reach("", "the read models")
    reason = fields.text(command.reason, "projection.reason").strip()
    if not reason:
        raise RequiresReasonError("say why the event may be passed over")
    state = plan.state(OPS_STREAM)
    skipped = state.skipped if isinstance(state, OpsState) else {}
    if command.sequence in skipped.get(command.projection, ()):
        return Reply()
    if not command.in_the_way:
        message = (
            f'event {command.sequence} is not in the way of "{command.projection}"; expected one at'
            " which it or its rebuild stands still, or one that cannot be read. To see whether a"
            f" rebuild stops there: taskledger projections rebuild {command.projection}"
        )
        raise ConflictError(message)
    fact = ProjectionEventSkipped(
        projection=command.projection, skipped_sequence=command.sequence, reason=reason
    )
    plan.emit(OPS_STREAM, fact)
    return Reply()
