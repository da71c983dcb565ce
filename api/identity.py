"""Who calls: derived from the access token and the agent headers (task API, caller identity)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import Struct

from api.access import States
from domain.errors import IdentityError
from domain.recorded import session_stream
from domain.registry import SessionState, TokenState
from domain.session import verify_session
from domain.values import LOCAL_USER, Actor, ActorKind, Origin, OriginKind

SESSION: Final = b"x-agh-session-id"
AGENT: Final = b"x-agh-agent"
WORKSPACE: Final = b"x-agh-workspace-id"

_ORIGIN_KIND: Final[Mapping[ActorKind, OriginKind]] = {
    "human": "http",
    "agent_session": "http",
    "automation": "automation",
    "extension": "extension",
    "network_peer": "network",
    "daemon": "daemon",
}


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls. `workspace_limit` is the one workspace the caller's token reaches, if bound."""

    actor: Actor
    workspace_limit: str = ""
    session_id: str = ""
    agent_name: str = ""
    workspace_id: str = ""

    def origin(self, action: str) -> Origin:
        """Return through which door an action of this caller comes in."""
        return origin_of(_ORIGIN_KIND[self.actor.kind], action)


LOCAL: Final = Caller(actor=LOCAL_USER)


@lru_cache(maxsize=1024)
def origin_of(kind: OriginKind, action: str) -> Origin:
    """Return an origin; the few there are get shared."""
    return Origin(kind, action)


def caller_of(
    headers: Mapping[bytes, bytes],
    token: TokenState | None,
    states: States,
    *,
    agent_required: bool = False,
    may_register: bool = False,
) -> Caller:
    """Return the caller of a request.

    Without agent headers it is the actor of the token, or the local user. With `may_register` the
    session need not be known yet: claiming registers it. Raises IdentityError.
    """
    if SESSION not in headers and AGENT not in headers and not agent_required:
        return _holder_of(token)
    session_id, agent_name, workspace_id = (
        headers.get(name, b"").decode("utf-8", "replace").strip()
        for name in (SESSION, AGENT, WORKSPACE)
    )
    if not session_id and not agent_name and not agent_required:
        return _holder_of(token)
    _require(session_id, "agent session id", "X-AGH-Session-ID")
    _require(agent_name, "agent name", "X-AGH-Agent")
    _check_binding(token, session_id)
    if not may_register:
        state = states.state(session_stream(session_id))
        known = state if isinstance(state, SessionState) else None
        verify_session(known, session_id, agent_name, workspace_id)
    return Caller(
        actor=Actor("agent_session", session_id),
        workspace_limit=token.workspace_id if token else "",
        session_id=session_id,
        agent_name=agent_name,
        workspace_id=workspace_id,
    )


def _holder_of(token: TokenState | None) -> Caller:
    if token is None:
        return LOCAL
    return Caller(actor=token.actor, workspace_limit=token.workspace_id)


def _require(value: str, what: str, header: str) -> None:
    if not value:
        raise IdentityError("identity_required", f"{what} is required", f"send {header}")


def _check_binding(token: TokenState | None, session_id: str) -> None:
    """Refuse a token of one agent session in the hands of another."""
    if token is None or token.actor.kind != "agent_session" or token.actor.ref == session_id:
        return
    raise IdentityError(
        "identity_unauthorized",
        f'the access token belongs to another agent session than "{session_id}"',
        "use the token of this session",
    )
