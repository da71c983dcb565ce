"""Agent sessions: registration, and whether a caller is who it says (task API, identity)."""

from domain import fields
from domain.commands import ClaimNext, RegisterSession, Reply, StopSession
from domain.errors import (
    IdentityError,
    PermissionDeniedError,
    SessionNotFoundError,
    WorkspaceNotFoundError,
)
from domain.events import SessionRegistered, SessionStopped
from domain.recorded import session_stream
from domain.registry import SessionState
from domain.values import ID_BYTES
from domain.world import Plan


def verify_session(
    state: SessionState | None, session_id: str, agent_name: str, workspace_id: str = ""
) -> SessionState:
    """Return the session if it is active and as the caller says; raises IdentityError."""
    if state is None or state.state != "active":
        raise IdentityError(
            "identity_stale",
            f'agent session "{session_id}" is unknown or not active',
            "register the session again",
        )
    if state.agent_name != agent_name:
        raise IdentityError(
            "identity_mismatch",
            f'agent "{agent_name}" is not the agent of session "{session_id}"',
            "send the agent name the session was registered with",
        )
    if workspace_id and workspace_id != state.workspace_id:
        raise IdentityError(
            "identity_unauthorized",
            f'agent session "{session_id}" does not belong to workspace "{workspace_id}"',
            "use a session of that workspace",
        )
    return state


def claiming_session(command: ClaimNext, plan: Plan, offered: tuple[str, ...]) -> SessionState:
    """Return the claiming session, registering an unknown one unless sessions are strict."""
    known = plan.session(command.session_id)
    if known is None and not plan.policy.strict_sessions:
        return _register_claimer(command, plan, offered)
    session = verify_session(
        known, command.session_id, command.agent_name, command.header_workspace_id
    )
    asked = command.workspace_id.strip()
    if asked and asked != session.workspace_id:
        message = f'session "{session.id}" may not claim in workspace "{asked}"'
        raise PermissionDeniedError(message)
    missing = [name for name in offered if name not in session.capabilities]
    if session.declared and missing:
        message = f'session "{session.id}" is not registered for capability "{missing[0]}"'
        raise PermissionDeniedError(message)
    return session


def _register_claimer(command: ClaimNext, plan: Plan, offered: tuple[str, ...]) -> SessionState:
    asked = command.header_workspace_id or command.workspace_id.strip()
    if {command.header_workspace_id, command.workspace_id.strip()} - {"", asked}:
        message = f'session "{command.session_id}" may not claim in another workspace'
        raise PermissionDeniedError(message)
    workspace_id = plan.world.workspace_of_ref(asked) if asked else ""
    if workspace_id is None or workspace_id != asked:
        raise IdentityError(
            "identity_unauthorized",
            f'workspace "{asked}" is not registered',
            "register the workspace, or send its id",
        )
    fact = SessionRegistered(
        session_id=fields.identifier(command.session_id, "session_id"),
        agent_name=fields.identifier(command.agent_name, "agent_name"),
        workspace_id=workspace_id,
        capabilities=offered,
    )
    plan.emit(session_stream(command.session_id), fact)
    registered = plan.session(command.session_id)
    assert registered is not None
    return registered


def register_session(command: RegisterSession, plan: Plan) -> Reply:
    """Make a session known, or replace what is known about it; it is active by that."""
    session_id = fields.required(command.session_id, "session.id", limit=ID_BYTES)
    agent_name = fields.required(command.agent_name, "session.agent_name", limit=ID_BYTES)
    ref = fields.identifier(command.workspace, "session.workspace")
    workspace_id = plan.world.workspace_of_ref(ref) if ref else ""
    if workspace_id is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    before = plan.session(session_id)
    for reached in (workspace_id, before.workspace_id if before else workspace_id):
        plan.check_reach(reached, f'session "{session_id}"')
    fact = SessionRegistered(
        session_id=session_id,
        agent_name=agent_name,
        workspace_id=workspace_id,
        channel=fields.channel(command.channel, "session.channel"),
        name=fields.identifier(command.name, "session.name"),
        capabilities=fields.capabilities(command.capabilities, "session.capabilities"),
        declared=True,
    )
    plan.emit(session_stream(session_id), fact)
    return Reply(session_id=session_id)


def stop_session(command: StopSession, plan: Plan) -> Reply:
    """End a session; its leases run out by themselves."""
    session = plan.session(command.session_id)
    if session is None:
        raise SessionNotFoundError(f'"{command.session_id}"')
    plan.check_reach(session.workspace_id, f'session "{session.id}"')
    if session.state == "active":
        plan.emit(session_stream(session.id), SessionStopped(session_id=session.id))
    return Reply(session_id=session.id)
