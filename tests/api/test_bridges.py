"""Bridges and subscriptions over HTTP: the rows of the tables, and their refusals."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from api.tokens import create_token
from tests.api.live import Client, LiveServer, error_of, serving
from tests.support.places import place_in

URL = "https://hooks.example/tasks"
OLD = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("bridges")) as server:
        client = server.client
        client.ok("PUT", "/api/workspaces/w1", {"name": "main"})
        client.ok("PUT", "/api/bridges/b", {"url": URL})
        client.ok("PUT", "/api/bridges/wb", {"url": URL, "workspace": "main"})
        client.create(id="t")
        client.create(id="wt", scope="workspace", workspace="w1")
        yield server


def body(**more: Any) -> dict[str, Any]:
    usual = {"bridge_instance_id": "b", "scope": "global", "peer_id": "ann"}
    return {**usual, "delivery_mode": "reply", **more}


def path(task_id: str = "t", subscription_id: str = "") -> str:
    found = f"/api/tasks/{task_id}/notifications/bridges"
    return f"{found}/{subscription_id}" if subscription_id else found


def test_a_new_bridge_shows_its_secret_once(client: Client) -> None:
    made = client.ok("PUT", "/api/bridges/new", {"url": URL, "name": "Chat"}, 200)

    assert made["bridge"] | {"created_at": "", "updated_at": ""} == {
        "id": "new",
        "url": URL,
        "scope": "global",
        "name": "Chat",
        "enabled": True,
        "created_at": "",
        "updated_at": "",
    }
    key = base64.b64decode(made["secret"].removeprefix("whsec_"), validate=True)
    assert len(key) == 32
    again = client.ok("PUT", "/api/bridges/new", {"enabled": False})
    assert "secret" not in again
    assert again["bridge"]["enabled"] is False
    found = client.ok("GET", "/api/bridges/new")
    assert found == {"bridge": again["bridge"], "secret_available": True}
    listed = client.ok("GET", "/api/bridges")["bridges"]
    assert again["bridge"] in listed
    client.ok("DELETE", "/api/bridges/new", status=204)
    error_of(client.get("/api/bridges/new"), 404)


def test_a_secret_may_be_given_and_changed(client: Client) -> None:
    given = client.ok("PUT", "/api/bridges/given", {"url": URL, "secret": OLD})
    assert given["secret"] == OLD
    rotated = client.ok("PUT", "/api/bridges/given", {"rotate_secret": True})
    assert rotated["secret"] not in {"", OLD}


def test_no_event_shows_address_or_secret(client: Client) -> None:
    secret = client.ok("PUT", "/api/bridges/quiet", {"url": URL})["secret"]

    told = client.get("/api/timeline").text
    assert '"bridge.configured"' in told
    assert URL not in told
    assert secret.removeprefix("whsec_") not in told
    assert "sec-" not in told


BAD_BRIDGES: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "task: validation failed: bridge.url is required"),
    ({"url": "nowhere"}, 422, "task: validation failed: bridge.url must be an http or https URL"),
    ({"url": "http://10.0.0.1/"}, 422, "task: validation failed: bridge.url must lead to a public"),
    ({"url": "http://169.254.169.254/"}, 422, "task: validation failed: bridge.url must lead"),
    ({"url": "http://[::ffff:10.0.0.1]/"}, 422, "task: validation failed: bridge.url must lead"),
    ({"url": URL, "secret": "hunter2"}, 422, "task: validation failed: bridge.secret must be"),
    ({"url": URL, "secret": "whsec_QQ=="}, 422, "task: validation failed: bridge.secret must be"),
    ({"url": URL, "secret": "whsec_QQ="}, 422, "task: validation failed: bridge.secret must be"),
    ({"url": 7}, 422, "task: validation failed: httpapi: decode put bridge request: Expected"),
    ({"url": URL, "scope": "workspace"}, 422, "task: invalid scope binding: bridge.scope"),
    ({"url": URL, "workspace": "nowhere"}, 404, 'workspace not found: "nowhere"'),
    ({"url": URL + "?" + "x" * 2048}, 413, "task: payload too large: bridge.url exceeds 2048"),
]


@pytest.mark.parametrize(("sent", "status", "text"), BAD_BRIDGES)
def test_a_bad_bridge_is_refused(
    client: Client, sent: dict[str, Any], status: int, text: str
) -> None:
    refused = error_of(client.send("PUT", "/api/bridges/bad", json=sent), status)

    assert refused.startswith(text)
    for value in sent.values():
        if isinstance(value, str) and value.startswith(("whsec_", "hunter")):
            assert value not in refused
    error_of(client.get("/api/bridges/bad"), 404)


def test_other_refusals_of_bridges(client: Client) -> None:
    moved = client.send("PUT", "/api/bridges/b", json={"workspace": "w1"})
    assert error_of(moved, 409).startswith('task: conflict: bridge "b" belongs to the global')
    unnamed = client.send("PUT", "/api/bridges/a%20b", json={"url": URL})
    assert error_of(unnamed, 422).startswith("task: validation failed: bridge.id must be 1 to 128")
    text = 'bridge: bridge instance not found: "none"'
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/subscriptions")):
        assert error_of(client.send(method, f"/api/bridges/none{rest}"), 404) == text
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/subscriptions")):
        error_of(client.send(method, f"/api/bridges/%20{rest}"), 404)
    refused = error_of(client.send("PUT", "/api/bridges/%20", json={"url": URL}), 422)
    assert refused == "task: validation failed: bridge id is required"


def test_this_machine_may_be_told_only_while_nobody_else_reaches_the_server() -> None:
    from api.bridges.targets import Targets  # noqa: PLC0415
    from domain.errors import ValidationError  # noqa: PLC0415

    Targets(loopback=True, private=False).check("http://127.0.0.1:9/x")
    Targets(loopback=True, private=False).check("http://localhost/x")
    for url in ("http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://0.0.0.0/"):
        with pytest.raises(ValidationError):
            Targets(loopback=False, private=False).check(url)
        Targets(loopback=False, private=True).check(url)


def test_a_subscription_is_made_shown_listed_and_ended(client: Client) -> None:
    sent = body(subscription_id="s1", thread_id="42", delivery_mode="direct")
    made = client.ok("POST", path(), sent, 201)["subscription"]

    assert made | {"created_at": "", "updated_at": ""} == {
        "subscription_id": "s1",
        "task_id": "t",
        "bridge_instance_id": "b",
        "scope": "global",
        "peer_id": "ann",
        "thread_id": "42",
        "delivery_mode": "direct-send",
        "cursor": {
            "consumer_id": "bridge_task_subscription:s1",
            "stream_name": "task_events",
            "subject_id": "t",
            "last_sequence": 0,
        },
        "created_by": {"kind": "human", "ref": "local-user"},
        "created_at": "",
        "updated_at": "",
    }
    assert client.ok("GET", path("t", "s1"))["subscription"] == made
    assert made in client.ok("GET", path())["subscriptions"]
    assert made in client.ok("GET", "/api/bridges/b/subscriptions")["subscriptions"]
    assert client.ok("DELETE", path("t", "s1"), status=204) == {}
    error_of(client.get(path("t", "s1")), 404)


def test_a_subscription_without_an_id_gets_one_and_may_be_changed(client: Client) -> None:
    made = client.ok("POST", path(), body(), 201)["subscription"]
    name = made["subscription_id"]
    assert name.startswith("bts-")

    changed = client.ok("POST", path(), body(subscription_id=name, group_id="g"), 201)
    assert changed["subscription"]["group_id"] == "g"
    assert changed["subscription"]["created_at"] == made["created_at"]


def test_lists_are_filtered_and_cut(client: Client) -> None:
    client.create(id="many")
    for name in ("x", "y", "z"):
        client.ok("POST", path("many"), body(subscription_id=f"many-{name}"), 201)

    def listed(query: str) -> list[str]:
        found = client.ok("GET", f"{path('many')}?{query}")["subscriptions"]
        return [each["subscription_id"] for each in found]

    assert listed("") == ["many-z", "many-y", "many-x"]
    assert listed("limit=2") == ["many-z", "many-y"]
    assert listed("limit=-3") == listed("limit=0") == listed("")
    assert listed("bridge_instance_id=b&scope=global") == listed("")
    assert listed("bridge_instance_id=wb") == listed("scope=workspace") == []
    assert listed("workspace_id=w1") == []
    found = client.ok("GET", "/api/bridges/b/subscriptions?limit=1")["subscriptions"]
    assert len(found) == 1


BAD_SUBSCRIPTIONS: list[tuple[str, dict[str, Any], int, str]] = [
    ("none", {}, 404, 'task: task not found: task "none"'),
    ("t", {"scope": "workspace"}, 400, "task: invalid scope binding: subscription.scope"),
    ("t", {"scope": "here"}, 400, "task: validation failed: subscription.scope must be"),
    (
        "wt",
        {"scope": "workspace", "workspace_id": "w2"},
        400,
        "task: invalid scope binding: subscription.workspace_id must be that of the task",
    ),
    ("t", {"delivery_mode": ""}, 400, "task: validation failed: subscription.delivery_mode is"),
    ("t", {"delivery_mode": "x"}, 400, "task: validation failed: subscription.delivery_mode must"),
    ("t", {"peer_id": "", "thread_id": "1"}, 400, "task: validation failed: subscription.peer_id"),
    ("t", {"bridge_instance_id": "none"}, 404, 'bridge: bridge instance not found: "none"'),
    ("t", {"bridge_instance_id": ""}, 400, "task: validation failed: subscription.bridge_instan"),
    ("t", {"bridge_instance_id": "wb"}, 400, 'task: invalid scope binding: bridge "wb" is bound'),
    ("wt", {"scope": ""}, 400, 'task: invalid scope binding: bridge "b" is bound to another'),
    ("t", {"subscription_id": "a/b"}, 400, "task: validation failed: subscription.subscription_"),
    ("t", {"peer_id": 7}, 400, "task: validation failed: httpapi: decode create task bridge"),
    ("t", {"peer_id": "x" * 2000}, 413, "task: payload too large: subscription.peer_id exceeds"),
]


@pytest.mark.parametrize(("task_id", "members", "status", "text"), BAD_SUBSCRIPTIONS)
def test_a_bad_subscription_is_refused(
    client: Client, task_id: str, members: dict[str, Any], status: int, text: str
) -> None:
    before = client.ok("GET", "/api/timeline?limit=1")["head"]

    assert error_of(client.post(path(task_id), body(**members)), status).startswith(text)
    assert client.ok("GET", "/api/timeline?limit=1")["head"] == before


def test_a_body_that_is_no_json_is_refused_after_the_task_was_looked_up(client: Client) -> None:
    for sent in (b"{", b"", b"[1]"):
        assert "decode create task bridge" in error_of(client.post(path(), content=sent), 400)
        assert "task not found" in error_of(client.post(path("none"), content=sent), 404)


def test_a_subscription_does_not_move_to_another_task(client: Client) -> None:
    client.create(id="other")
    client.ok("POST", path(), body(subscription_id="mine"), 201)

    refused = client.post(path("other"), body(subscription_id="mine"))
    text = 'task: conflict: subscription "mine" belongs to another task'
    assert error_of(refused, 409) == text


def test_what_is_not_there_is_not_found(client: Client) -> None:
    client.create(id="third")
    client.ok("POST", path(), body(subscription_id="here"), 201)

    text = 'bridge: task subscription not found: "here" of task "third"'
    for method in ("GET", "DELETE"):
        assert error_of(client.send(method, path("third", "here")), 404) == text
        missing = error_of(client.send(method, path("none", "here")), 404)
        assert missing == 'task: task not found: task "none"'
        error_of(client.send(method, path("t", "%20")), 404)
    assert "task not found" in error_of(client.get(path("none")), 404)
    for query, text in (
        ("limit=x", 'task: validation failed: limit must be an integer: "x"'),
        ("scope=here", "task: validation failed: scope must be"),
    ):
        assert error_of(client.get(f"{path()}?{query}"), 400).startswith(text)


def test_bridges_need_the_scope_admin_and_stay_in_the_workspace_of_the_token(
    tmp_path: Path,
) -> None:
    tokens: dict[str, str] = {}

    def prepare(services: Services) -> None:
        for name, scopes, workspace in (
            ("admin", ("admin",), ""),
            ("writer", ("task:read", "task:write"), ""),
        ):
            made = create_token(services, name=name, scopes=scopes, workspace=workspace)
            tokens[name] = made.text

    with serving(tmp_path, prepare=prepare) as server:

        def speaking(name: str) -> Client:
            return server.client.like(Authorization=f"Bearer {tokens[name]}")

        admin, writer = speaking("admin"), speaking("writer")
        admin.ok("PUT", "/api/workspaces/w1", {})
        admin.ok("PUT", "/api/bridges/b", {"url": URL})
        admin.ok("PUT", "/api/bridges/wb", {"url": URL, "workspace": "w1"})
        for method, rest in (("GET", ""), ("GET", "/b"), ("DELETE", "/b"), ("PUT", "/b")):
            refused = writer.send(method, f"/api/bridges{rest}", content=b"{}")
            assert "needs scope admin" in error_of(refused, 403)
        writer.create(id="t")
        writer.ok("POST", path(), body(), 201)
        bound = create_token(server.services, name="bound", scopes=("admin",), workspace="w1")
        tokens["bound"] = bound.text
        inside = speaking("bound")
        listed = inside.ok("GET", "/api/bridges")["bridges"]
        assert [each["id"] for each in listed] == ["wb"]
        for method, where in (("GET", "/api/bridges/b"), ("GET", path()), ("POST", path())):
            refused = inside.send(method, where, content=json.dumps(body()))
            assert "the token is bound to workspace" in error_of(refused, 403)


def test_a_configured_key_file_has_to_be_one(tmp_path: Path) -> None:
    from api.settings import SettingsError  # noqa: PLC0415

    key = tmp_path / "key"
    for content in (None, "short"):
        if content:
            key.write_text(content)
        with (
            pytest.raises(SettingsError, match=r"secret_key_file .* must hold 32 bytes"),
            serving(tmp_path, secret_key_file=str(key)),
        ):
            pass
    key.write_bytes(base64.urlsafe_b64encode(b"k" * 32) + b"\n")
    store = place_in(tmp_path, "sqlite")
    with serving(tmp_path, store=store, secret_key_file=str(key)) as server:
        server.client.ok("PUT", "/api/bridges/b", {"url": URL})
    assert not (tmp_path / "ledger.db.key").exists()
