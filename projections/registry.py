"""The current state of agent sessions, workspaces and access tokens, and how to find them."""

from typing import Final, TypeVar

import msgspec

from domain.events import (
    SessionRegistered,
    SessionStopped,
    TokenCreated,
    TokenRevoked,
    WorkspaceRegistered,
    WorkspaceRemoved,
)
from domain.registry import OpsState, SessionState, TokenState, WorkspaceState
from domain.world import Change
from projections.rows import Reader, Rows
from projections.schema import define

SESSIONS: Final = define(
    "sessions",
    key={"session_id": "TEXT"},
    values={"workspace_id": "TEXT", "state": "TEXT", "created_at": "INTEGER", "doc": "BLOB"},
    indexes={"created": "(created_at, session_id)"},
    clustered=False,
)
WORKSPACES: Final = define(
    "workspaces",
    key={"workspace_id": "TEXT"},
    values={"created_at": "INTEGER", "doc": "BLOB"},
    clustered=False,
)
TOKENS: Final = define(
    "tokens",
    key={"token_id": "TEXT"},
    values={"secret_hash": "TEXT", "created_at": "INTEGER", "doc": "BLOB"},
    indexes={"secret": "(secret_hash)"},
    clustered=False,
)

_ENCODE: Final = msgspec.json.Encoder().encode
_Kept = TypeVar("_Kept", SessionState, WorkspaceState, TokenState)


class RegistryProjector:
    """Keeps the rows of sessions, workspaces and tokens."""

    name = "registry"
    version = 1
    separable = True
    facts = frozenset(
        {
            SessionRegistered,
            SessionStopped,
            TokenCreated,
            TokenRevoked,
            WorkspaceRegistered,
            WorkspaceRemoved,
        }
    )
    tables = (SESSIONS, WORKSPACES, TOKENS)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the row of a session or workspace, or those of the tokens, up to date."""
        match change.after:
            case SessionState() as session:
                row = (
                    session.id,
                    session.workspace_id,
                    session.state,
                    session.created_at,
                    _ENCODE(session),
                )
                rows.put(SESSIONS, row)
            case WorkspaceState(removed=True) as workspace:
                rows.delete(WORKSPACES, (workspace.id,))
            case WorkspaceState() as workspace:
                rows.put(WORKSPACES, (workspace.id, workspace.created_at, _ENCODE(workspace)))
            case OpsState() as ops:
                known = change.before.tokens if isinstance(change.before, OpsState) else {}
                for token in ops.tokens.values():
                    if token != known.get(token.id):
                        head = (token.id, token.secret_hash, token.created_at)
                        rows.put(TOKENS, (*head, _ENCODE(token)))
            case _:
                pass


def session_of(reader: Reader, session_id: str) -> SessionState | None:
    """Return an agent session, also a stopped one."""
    found = _found(
        reader, SessionState, "SELECT doc FROM sessions WHERE session_id = ?", session_id
    )
    return found[0] if found else None


def sessions(reader: Reader) -> list[SessionState]:
    """Return every agent session, oldest first."""
    return _found(reader, SessionState, "SELECT doc FROM sessions ORDER BY created_at, session_id")


def active_sessions(
    reader: Reader, workspace_id: str | None = None, limit: int = -1
) -> list[SessionState]:
    """Return the active sessions, oldest first; those of one workspace when it is given."""
    of_workspace = "" if workspace_id is None else " AND workspace_id = ?"
    given = () if workspace_id is None else (workspace_id,)
    at_most = "" if limit < 0 else f" LIMIT {limit:d}"
    return _found(
        reader,
        SessionState,
        f"SELECT doc FROM sessions WHERE state = 'active'{of_workspace}"
        f" ORDER BY created_at, session_id{at_most}",
        *given,
    )


def workspace_of(reader: Reader, workspace_id: str) -> WorkspaceState | None:
    """Return a workspace."""
    found = _found(
        reader, WorkspaceState, "SELECT doc FROM workspaces WHERE workspace_id = ?", workspace_id
    )
    return found[0] if found else None


def workspaces(reader: Reader) -> list[WorkspaceState]:
    """Return every workspace, oldest first."""
    return _found(
        reader, WorkspaceState, "SELECT doc FROM workspaces ORDER BY created_at, workspace_id"
    )


def token_of_secret(reader: Reader, secret_hash: str) -> TokenState | None:
    """Return the access token whose secret has this hash, also a revoked one."""
    found = _found(reader, TokenState, "SELECT doc FROM tokens WHERE secret_hash = ?", secret_hash)
    return found[0] if found else None


def tokens(reader: Reader) -> list[TokenState]:
    """Return every access token, also revoked ones, oldest first."""
    return _found(reader, TokenState, "SELECT doc FROM tokens ORDER BY created_at, token_id")


def _found(reader: Reader, kind: type[_Kept], statement: str, *parameters: str) -> list[_Kept]:
    return [msgspec.json.decode(row[0], type=kind) for row in reader.select(statement, parameters)]
