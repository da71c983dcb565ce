"""Access tokens: once there is one, nobody gets in without, and each reaches as far as it says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.facades.posthog.errors import DIALECT as POSTHOG
from api.operations import Operation
from api.routes import OPERATIONS
from api.services import Services, build
from api.settings import Settings
from api.tokens import IssuedToken, create_token, list_tokens, revoke_token
from domain.errors import TokenNotFoundError, ValidationError, WorkspaceNotFoundError
from tests.api.events import following
from tests.api.live import Client, LiveServer, error_of, serving


class Tokens:
    """The tokens that these tests use."""

    reader: IssuedToken
    depositor: IssuedToken
    writer: IssuedToken
    admin: IssuedToken
    bound: IssuedToken
    session: IssuedToken

    def make(self, services: Services) -> None:
        """Make all of them."""
        self.reader = create_token(services, name="reader", scopes=("task:read",))
        self.depositor = create_token(services, name="depositor", scopes=("task:write",))
        self.writer = create_token(services, name="writer", actor="automation:deploy")
        self.admin = create_token(services, name="boss", scopes=("admin",))
        self.session = create_token(services, name="agent", actor="agent_session:s1")


@pytest.fixture(name="tokens", scope="module")
def _tokens() -> Tokens:
    return Tokens()


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    with serving(folder, prepare=tokens.make, keep_alive_seconds=0.1) as server:
        yield server


def holding(server: LiveServer, token: IssuedToken) -> Client:
    """Return a client that shows a token."""
    return server.client.like(Authorization=f"Bearer {token.text}")


def test_nobody_gets_in_without_a_token(guarded: LiveServer, tokens: Tokens) -> None:
    wrong = tokens.admin.text[:-1] + ("A" if tokens.admin.text[-1] != "A" else "B")
    for value in ("", "Bearer", "Bearer x", f"Basic {tokens.admin.text}", f"Bearer {wrong}"):
        for method, path in (("GET", "/api/tasks"), ("POST", "/api/tasks"), ("GET", "/api/none")):
            response = guarded.client.send(method, path, headers={"Authorization": value})

            error_of(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
    for path in ("/", "/healthz", "/readyz", "/openapi.json"):
        assert guarded.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if not each.public],
    ids=lambda operation: operation.operation_id,
)
def test_every_operation_needs_a_token_with_its_scope(
    guarded: LiveServer, tokens: Tokens, operation: Operation
) -> None:
    path = re.sub(r"\{\w+\}", "x", operation.path)
    other = {"task:read": tokens.depositor, "task:write": tokens.reader, "admin": tokens.writer}

    nobody = guarded.client.send(operation.method, path)
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    lacking = holding(guarded, other[operation.scope]).send(operation.method, path)
    implied = operation.scope == "task:read" and operation.dialect is POSTHOG
    assert (lacking.status_code == 403) is not implied


def test_a_token_in_the_address_is_not_looked_at(guarded: LiveServer, tokens: Tokens) -> None:
    response = guarded.client.get(f"/api/tasks?token={tokens.admin.text}&access_token=x")

    assert response.status_code == 401


def test_a_token_reaches_as_far_as_its_scopes(guarded: LiveServer, tokens: Tokens) -> None:
    reader, writer, admin = (
        holding(guarded, token) for token in (tokens.reader, tokens.writer, tokens.admin)
    )

    assert reader.get("/api/tasks").status_code == 200
    text = error_of(reader.post("/api/tasks", {"scope": "global", "title": "t"}), 403)
    assert text == "the access token needs scope task:write; it has task:read"
    assert writer.get("/api/scheduler").status_code == 200
    for method, path in (
        ("POST", "/api/scheduler/pause"),
        ("PUT", "/api/sessions/s2"),
        ("DELETE", "/api/workspaces/w"),
    ):
        error_of(writer.send(method, path, content=b"{}"), 403)
    assert admin.post("/api/scheduler/resume").status_code == 200
    assert admin.create()["created_by"] == {"kind": "human", "ref": "boss"}


def test_a_token_acts_as_its_actor(guarded: LiveServer, tokens: Tokens) -> None:
    task = holding(guarded, tokens.writer).create()

    assert task["created_by"] == {"kind": "automation", "ref": "deploy"}
    assert task["origin"] == {"kind": "automation", "ref": "tasks.create"}


def test_a_token_of_a_session_serves_no_other(guarded: LiveServer, tokens: Tokens) -> None:
    client = holding(guarded, tokens.session)

    assert client.agent("s1").post("/api/agent/tasks/claim-next").status_code == 204
    response = client.agent("s2").post("/api/agent/tasks/claim-next")
    assert response.status_code == 403
    assert response.json()["diagnostic"]["code"] == "identity_unauthorized"


def test_a_token_may_be_bound_to_a_workspace(guarded: LiveServer, tokens: Tokens) -> None:
    admin = holding(guarded, tokens.admin)
    for name in ("inside", "outside"):
        admin.ok("PUT", f"/api/workspaces/{name}", {}, 200)
    mine, other = (
        admin.create(scope="workspace", workspace=name) for name in ("inside", "outside")
    )
    beside = build(Settings(store=guarded.settings.store))
    bound = create_token(beside, name="bound", workspace="inside")
    beside.close()
    client = holding(guarded, bound)

    assert [task["id"] for task in client.ok("GET", "/api/tasks")["tasks"]] == [mine["id"]]
    for path in ("", "/tree", "/runs", "/reviews", "/timeline", "/stream"):
        text = error_of(client.get(f"/api/tasks/{other['id']}{path}"), 403)
        assert 'bound to workspace "inside"' in text
    for path in (
        "tasks?workspace=outside",
        "tasks?scope=global",
        "timeline?workspace=outside",
        "stream?workspace=outside",
        "scheduler/backlog?workspace=outside",
        "workspaces/outside",
    ):
        error_of(client.get(f"/api/{path}"), 403)
    assert client.post("/api/tasks", {"scope": "global", "title": "t"}).status_code == 403
    assert client.post(f"/api/tasks/{other['id']}/start").status_code == 403
    assert client.post(f"/api/tasks/{mine['id']}/start").status_code == 201
    timeline = client.ok("GET", "/api/timeline?type=task.created")["timeline"]
    assert [item["task"]["id"] for item in timeline] == [mine["id"]]
    with following(client, "/api/stream?type=task.created") as stream:
        assert stream.next().data["timeline"]["task"]["id"] == mine["id"]
    assert len(client.ok("GET", "/api/workspaces")["workspaces"]) == 1
    assert client.ok("GET", "/api/sessions")["sessions"] == []


def test_a_token_made_or_revoked_beside_the_server_counts_at_once(tmp_path: Path) -> None:
    first: list[IssuedToken] = []
    with serving(
        tmp_path, prepare=lambda services: first.append(create_token(services, name="first"))
    ) as server:
        beside = build(Settings(store=server.settings.store))
        second = create_token(beside, name="second")
        assert holding(server, second).get("/api/tasks").status_code == 200
        revoke_token(beside, second.text)
        assert holding(server, second).get("/api/tasks").status_code == 401
        assert holding(server, first[0]).get("/api/tasks").status_code == 200
        beside.close()


def test_a_stream_ends_with_its_token(tmp_path: Path) -> None:
    with serving(tmp_path, poll_seconds=0.05) as server:
        beside = build(Settings(store=server.settings.store))
        stays, ends = (create_token(beside, name=name) for name in ("stays", "ends"))
        with (
            following(holding(server, stays), "/api/stream") as going_on,
            following(holding(server, ends), "/api/stream") as ending,
        ):
            assert ending.take(2) == going_on.take(2)
            revoke_token(beside, ends.id)
            assert "ops.token_created" not in "".join(ending.rest())
            assert going_on.next().name == "ops.token_revoked"
            holding(server, stays).create()
            assert going_on.next().name == "task.created"
        beside.close()


def test_a_stream_without_a_token_ends_when_tokens_are_needed(tmp_path: Path) -> None:
    with serving(tmp_path, poll_seconds=0.05) as server:
        beside = build(Settings(store=server.settings.store))
        server.client.create()
        with following(server.client, "/api/stream") as stream:
            assert stream.next().name == "task.created"
            create_token(beside, name="first")
            assert "task.created" not in "".join(stream.rest())
        beside.close()


def test_a_token_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    services = build(Settings(store=f"sqlite:{tmp_path}/ledger.db"))
    issued = create_token(services, name="ann", scopes=("task:read", "task:read", " "))
    kept = list_tokens(services)
    revoke_token(services, issued.id)

    assert [(token.name, token.scopes, token.actor.label) for token in kept] == [
        ("ann", ("task:read",), "human:ann")
    ]
    assert list_tokens(services)[0].revoked_at
    assert not services.access.required
    services.close()
    secret = issued.text.split("_", 2)[2].encode()
    for file in tmp_path.iterdir():
        assert secret not in file.read_bytes()


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"name": " "}, ValidationError),
        ({"name": "n", "scopes": ("root",)}, ValidationError),
        ({"name": "n", "scopes": ()}, ValidationError),
        ({"name": "n", "actor": "robot:x"}, ValidationError),
        ({"name": "n", "actor": "human:"}, ValidationError),
        ({"name": "n", "actor": "daemon:scheduler"}, ValidationError),
        ({"name": "n", "workspace": "nowhere"}, WorkspaceNotFoundError),
    ],
)
def test_an_unusable_token_is_not_made(
    tmp_path: Path, wanted: dict[str, Any], error: type[Exception]
) -> None:
    services = build(Settings(store=f"sqlite:{tmp_path}/ledger.db"))
    with pytest.raises(error):
        create_token(services, **wanted)
    with pytest.raises(TokenNotFoundError):
        revoke_token(services, "tl_0123456789abcdef_x")
    services.close()
