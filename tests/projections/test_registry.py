"""Sessions, workspaces and access tokens."""

from typing import Any

import msgspec

from domain import events as e
from domain.recorded import OPS_STREAM, session_stream, workspace_stream
from domain.values import Actor
from projections import registry
from projections.wire import session_view, token_view, workspace_view
from tests.projections.support import Ledger


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def create_token(ledger: Ledger, token_id: str) -> None:
    fact = e.TokenCreated(
        token_id=token_id,
        name="CI",
        scopes=("task:read",),
        token_actor=Actor("automation", "ci"),
        workspace_id="ws-1",
        secret_hash=f"hash of {token_id}",
    )
    ledger.step(lambda plan: plan.emit(OPS_STREAM, fact))


def test_a_session_is_found_with_all_it_registered(ledger: Ledger) -> None:
    ledger.session("s", workspace_id="ws-1", channel="room", name="Ann's", capabilities=("go",))

    found = registry.session_of(ledger.store, "s")

    assert found is not None
    assert shown(session_view(found)) == {
        "session_id": "s",
        "agent_name": "coder",
        "state": "active",
        "workspace_id": "ws-1",
        "channel": "room",
        "name": "Ann's",
        "capabilities": ["go"],
        "concurrency": 1,
        "created_at": "2026-05-03T03:09:38Z",
        "updated_at": "2026-05-03T03:09:38Z",
    }
    assert registry.session_of(ledger.store, "unknown") is None


def test_a_stopped_session_stays_known(ledger: Ledger) -> None:
    ledger.session("s")
    stopped = e.SessionStopped(session_id="s")
    ledger.step(lambda plan: plan.emit(session_stream("s"), stopped))
    ledger.session("a")

    found = [(session.id, session.state) for session in registry.sessions(ledger.store)]

    assert found == [("s", "stopped"), ("a", "active")]


def test_stopping_an_unknown_session_leaves_no_row(ledger: Ledger) -> None:
    stopped = e.SessionStopped(session_id="s")
    ledger.step(lambda plan: plan.emit(session_stream("s"), stopped))

    assert registry.sessions(ledger.store) == []


def test_a_workspace_is_listed_until_it_is_removed(ledger: Ledger) -> None:
    ledger.workspace("ws-2", name="second")
    ledger.workspace("ws-1", path="/src")

    assert [workspace.id for workspace in registry.workspaces(ledger.store)] == ["ws-2", "ws-1"]
    found = registry.workspace_of(ledger.store, "ws-1")
    assert found is not None
    assert shown(workspace_view(found)) == {
        "id": "ws-1",
        "path": "/src",
        "created_at": "2026-05-03T03:09:39Z",
        "updated_at": "2026-05-03T03:09:39Z",
    }

    removed = e.WorkspaceRemoved(workspace_id="ws-1")
    ledger.step(lambda plan: plan.emit(workspace_stream("ws-1"), removed))
    assert registry.workspace_of(ledger.store, "ws-1") is None
    assert [workspace.id for workspace in registry.workspaces(ledger.store)] == ["ws-2"]


def test_a_token_is_found_by_the_hash_of_its_secret(ledger: Ledger) -> None:
    create_token(ledger, "token-1")

    found = registry.token_of_secret(ledger.store, "hash of token-1")

    assert found is not None
    assert shown(token_view(found)) == {
        "id": "token-1",
        "name": "CI",
        "scopes": ["task:read"],
        "actor": {"kind": "automation", "ref": "ci"},
        "workspace_id": "ws-1",
        "created_at": "2026-05-03T03:09:38Z",
    }
    assert registry.token_of_secret(ledger.store, "other") is None


def test_a_revoked_token_shows_when(ledger: Ledger) -> None:
    create_token(ledger, "token-1")
    create_token(ledger, "token-2")
    writes = ledger.store.writes

    revoked = e.TokenRevoked(token_id="token-1")
    ledger.step(lambda plan: plan.emit(OPS_STREAM, revoked))

    tokens = registry.tokens(ledger.store)
    assert [(token.id, token.revoked_at != 0) for token in tokens] == [
        ("token-1", True),
        ("token-2", False),
    ]
    # The token and the frame of the event; the other token is left alone.
    assert ledger.store.writes == writes + 2
