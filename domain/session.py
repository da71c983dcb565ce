"""Agent sessions: registration, and whether a caller is who it says (task API, identity)."""

from msgspec.structs import replace

from domain import fields
from domain.commands import Claim, RegisterSession, Reply, StopSession
from domain.errors import (
    ActiveLeaseError,
    IdentityError,
    PermissionDeniedError,
    SessionNotFoundError,
    WorkspaceNotFoundError,
)
from domain.events import SessionRegistered, SessionStopped
from domain.recorded import session_stream
from domain.registry import SessionState
from domain.task.leases import active_leases
from domain.values import ID_BYTES, MAX_CLAIMS
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


def claiming_session(
    command: Claim, plan: Plan, offered: tuple[str, ...], most: int
) -> SessionState:
    """Return the claiming session, which asks for up to `most` leases.

    An unknown one is registered unless sessions are strict; one that nobody registered but itself
    may ask for more leases later.
    """
    known = plan.session(command.session_id)
    if known is None and not plan.policy.strict_sessions:
        return _register_claimer(command, plan, offered, most)
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
    if most > session.concurrency and not session.declared:
        return _registered(plan, replace(session, concurrency=most))
    return session


def _register_claimer(
    command: Claim, plan: Plan, offered: tuple[str, ...], most: int
) -> SessionState:
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
    claimer = SessionState(
        id=fields.identifier(command.session_id, "session_id"),
        agent_name=fields.identifier(command.agent_name, "agent_name"),
        workspace_id=workspace_id,
        capabilities=offered,
        concurrency=most,
    )
    return _registered(plan, claimer)


def _registered(plan: Plan, claimer: SessionState) -> SessionState:
    """Note the registration of a session that claims, and return the session."""
    fact = SessionRegistered(
        session_id=claimer.id,
        agent_name=claimer.agent_name,
        workspace_id=claimer.workspace_id,
        capabilities=claimer.capabilities,
        concurrency=claimer.concurrency,
    )
    plan.emit(session_stream(claimer.id), fact)
    registered = plan.session(claimer.id)
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
    concurrency = fields.at_least_one(command.concurrency, "session.concurrency", MAX_CLAIMS)
    _keep_leases(plan, before, concurrency)
    fact = SessionRegistered(
        session_id=session_id,
        agent_name=agent_name,
        workspace_id=workspace_id,
        channel=fields.channel(command.channel, "session.channel"),
        name=fields.identifier(command.name, "session.name"),
        capabilities=fields.capabilities(command.capabilities, "session.capabilities"),
        declared=True,
        concurrency=concurrency,
        soul_digest=fields.identifier(command.soul_digest, "session.soul_digest"),
        soul_snapshot_id=fields.identifier(command.soul_snapshot_id, "session.soul_snapshot_id"),
    )
    plan.emit(session_stream(session_id), fact)
    return Reply(session_id=session_id)


def _keep_leases(plan: Plan, session: SessionState | None, concurrency: int) -> None:
    """Raise ActiveLeaseError when the session holds more leases than it shall hold at most."""
    if session is None or concurrency >= session.concurrency:
        return
    held = active_leases(plan, session.id)
    if held > concurrency:
        message = f'session "{session.id}" holds {held}; session.concurrency must not be less'
        raise ActiveLeaseError(message)


def stop_session(command: StopSession, plan: Plan) -> Reply:
    """End a session; its leases run out by themselves."""
    session = plan.session(command.session_id)
    if session is None:
        raise SessionNotFoundError(f'"{command.session_id}"')
    plan.check_reach(session.workspace_id, f'session "{session.id}"')
    if session.state == "active":
        plan.emit(session_stream(session.id), SessionStopped(session_id=session.id))
    return Reply(session_id=session.id)
