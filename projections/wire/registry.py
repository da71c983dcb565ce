"""Agent sessions, workspaces and access tokens as clients see them."""

from msgspec import Struct

from domain.registry import SessionState, TokenState, WorkspaceState
from domain.values import Actor
from projections.wire.times import DateTime, date_time, optional_time


class Session(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registered agent session."""

    session_id: str
    agent_name: str
    state: str
    workspace_id: str = ""
    channel: str = ""
    name: str = ""
    capabilities: tuple[str, ...] = ()
    declared: bool = False
    concurrency: int
    soul_digest: str = ""
    soul_snapshot_id: str = ""
    created_at: DateTime
    updated_at: DateTime


class Workspace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A registered workspace."""

    id: str
    name: str = ""
    path: str = ""
    created_at: DateTime
    updated_at: DateTime


class Token(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token without its secret."""

    id: str
    name: str = ""
    scopes: tuple[str, ...]
    actor: Actor
    workspace_id: str = ""
    created_at: DateTime
    revoked_at: DateTime | None = None


def session_view(session: SessionState) -> Session:
    """Return an agent session."""
    return Session(
        session_id=session.id,
        agent_name=session.agent_name,
        state=session.state,
        workspace_id=session.workspace_id,
        channel=session.channel,
        name=session.name,
        capabilities=session.capabilities,
        declared=session.declared,
        concurrency=session.concurrency,
        soul_digest=session.soul_digest,
        soul_snapshot_id=session.soul_snapshot_id,
        created_at=date_time(session.created_at),
        updated_at=date_time(session.updated_at),
    )


def workspace_view(workspace: WorkspaceState) -> Workspace:
    """Return a workspace."""
    return Workspace(
        id=workspace.id,
        name=workspace.name,
        path=workspace.path,
        created_at=date_time(workspace.created_at),
        updated_at=date_time(workspace.updated_at),
    )


def token_view(token: TokenState) -> Token:
    """Return an access token without its secret."""
    return Token(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        actor=token.actor,
        workspace_id=token.workspace_id,
        created_at=date_time(token.created_at),
        revoked_at=optional_time(token.revoked_at),
    )
