"""Bad input, foreign tokens and broken reports, each told in the API's own form."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from api.tokens import create_token
from domain.tempest.values import actor_of
from tests.api.live import Client, LiveServer, error_of, serving
from tests.api.tempest.asking import ask, named, operation, path_of
from tests.api.tempest.client import BUCKET, Store, TempestCli, changed, listed, resource

APP = {"app_id": "store", "version": "v1"}
NEXT, REPORT = "apps.operations.next", "apps.operations.report"
CONNECT, HEALTH = "apps.version.connect", "apps.versions.health"


def told(answer: Any, status: int) -> str:
    """Return the text of a refusal; its form has been looked at by the client."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    return str(answer.json()["error"])


@pytest.mark.parametrize("path", [NEXT, REPORT, CONNECT, HEALTH])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b"\xff", b"{}", b"[" * 9999])
def test_what_is_no_request_is_refused(cli: TempestCli, path: str, body: bytes) -> None:
    assert told(cli.post(path, body), 400)


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        (NEXT, {"app_id": "store"}, "version is required"),
        (NEXT, {**APP, "app_id": 1}, "Expected `str`, got `int` - at `$.app_id`"),
        (NEXT, {**APP, "app_id": "a:b"}, "app_id must not contain"),
        (CONNECT, APP, "resources is required"),
        (CONNECT, {**APP, "resources": {}}, "Expected `array`"),
        (CONNECT, {**APP, "resources": [{}]}, "missing required field"),
        (CONNECT, {**APP, "resources": [{**BUCKET, "type": " "}]}, "resources[0].type is required"),
        (CONNECT, {**APP, "resources": [BUCKET, BUCKET]}, "must not name a type twice"),
        (
            CONNECT,
            {**APP, "resources": [{**BUCKET, "create_input_schema": 3}]},
            "resources[0].create_input_schema must be an object",
        ),
        (HEALTH, APP, "health_reports is required"),
        (HEALTH, {**APP, "health_reports": [{"type": "bucket", "status": "ill"}]}, "Invalid enum"),
        (REPORT, {"status": "ok", "response": None}, "task_id is required"),
        (REPORT, {"task_id": "x" * 1025, "status": "ok"}, "task_id exceeds 1024 bytes"),
        (REPORT, {"task_id": "r", "status": "ok", "response": {}}, "missing required field"),
        (REPORT, {"task_id": "r", "status": "ok", "response": {"response_type": "x"}}, "Invalid"),
    ],
)
def test_members_have_to_be_right(cli: TempestCli, path: str, body: Any, text: str) -> None:
    assert text in told(cli.post(path, body), 400)


def test_unknown_operations_are_unknown(client: Client, cli: TempestCli) -> None:
    assert "no operation" in told(cli.report_error("run-9", "no"), 404)
    task = client.create()
    run = client.enqueue(task["id"])
    assert "no operation" in told(cli.report_error(run["id"], "no"), 404)


def test_a_report_has_to_fit_the_operation(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    asked = ask(client, cli)
    found = cli.next()
    assert found is not None
    task_id = found["task_id"]
    nothing = {"task_id": task_id, "status": "ok", "response": None}
    assert "response is required" in told(cli.post(REPORT, nothing), 400)
    assert "response.response_type must be" in told(cli.report(task_id, listed()), 400)
    bare = {"response_type": "execute_resource_operation", "resource": None}
    assert "response.resource is required" in told(cli.report(task_id, bare), 400)
    odd = changed(resource("b-1", properties=[1]))
    assert "response.resource.properties must be an object" in told(cli.report(task_id, odd), 400)
    wrong = {"task_id": task_id, "status": "done", "response": None}
    assert 'status must be "ok" or "error"' in told(cli.post(REPORT, wrong), 400)
    assert operation(client, asked["task_id"])["status"] == "claimed"
    assert cli.report(task_id, changed(resource("b-1"))).status_code == 200


def test_quirks_are_taken(client: Client, cli: TempestCli) -> None:
    cli.connect({**BUCKET, "actions": None, "links": {"links": None}, "made_up": 1})
    asked = ask(client, cli)
    found = cli.next()
    assert found is not None
    broken = {"links": [{"title": "", "url": "", "type": "LINK_TYPE_UNSPECIFIED"}]}
    report = {
        "task_id": found["task_id"],
        "status": "ok",
        "message": None,
        "response": changed(resource("b-1", links=broken, created_at="yesterday")),
        "more": True,
    }
    assert cli.post(REPORT, report, headers={"content-type": "POST"}).status_code == 200
    response = operation(client, asked["task_id"])["response"]
    assert response["resource"]["links"]["links"][0]["type"] == "unspecified"


@pytest.mark.parametrize("path", ["none", f"{NEXT}/more", "none/"])
def test_unknown_paths_are_told_in_the_same_form(cli: TempestCli, path: str) -> None:
    assert told(cli.post(path, {}), 404) == "Not Found"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [NEXT, REPORT, CONNECT, HEALTH])
def test_a_slash_too_many_makes_another_path(server: LiveServer, method: str, path: str) -> None:
    answer = server.client.http.request(method, f"/api/v1/{path}/", json=APP)
    assert told(answer, 404) == "Not Found"
    assert answer.json()["status"] == "error"


def test_only_post_is_answered(server: LiveServer) -> None:
    answer = server.client.get(f"/api/v1/{NEXT}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json() == {"status": "error", "error": "method not allowed"}


def test_bodies_are_bounded(cli: TempestCli) -> None:
    assert "too large" in told(cli.post(NEXT, b" " * (4 << 20) + b"{}"), 413)
    assert "too large" in told(cli.post(REPORT, b" " * (16 << 20) + b"{}"), 413)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 422, "operation is required"),
        ({"operation": "burn"}, 422, "operation must be"),
        ({"operation": "create"}, 422, "resource is required"),
        ({"operation": "create", "resource": {"type": "queue"}}, 422, 'types of app "'),
        ({"operation": "read", "resource": {"type": "bucket"}}, 422, "external_id is required"),
        ({"operation": "action", "resource": {"type": "bucket"}}, 422, "action is required"),
        (
            {"operation": "action", "action": "empty", "resource": {"type": "bucket"}},
            422,
            "action must be one of those declared",
        ),
        (
            {"operation": "create", "resource": {"type": "bucket"}, "next": "p"},
            422,
            "next must be absent to create",
        ),
        (
            {"operation": "create", "action": "a", "resource": {"type": "bucket"}},
            422,
            "action must be absent to create",
        ),
        (
            {"operation": "list", "resource": {"type": "bucket"}, "input": {}},
            422,
            "input must be absent to list",
        ),
        ({"operation": "create", "resource": {"type": "bucket"}, "input": 1}, 422, "input must be"),
        (
            {"operation": "create", "resource": {"type": "bucket"}, "workspace": "none"},
            404,
            "workspace not found",
        ),
        (
            {
                "operation": "create",
                "resource": {"type": "bucket"},
                "environment_variables": [{"name": "A", "value": "x" * 70_000}],
            },
            422,
            "environment_variables must not exceed",
        ),
        (
            {
                "operation": "create",
                "resource": {"type": "bucket"},
                "environment_variables": [{"name": "A", "value": "a"}, {"name": "A", "value": "b"}],
            },
            422,
            'must not name "A" twice',
        ),
        (
            {"operation": "list", "resource": {"type": "bucket"}, "metadata": {"a": "x" * 20_000}},
            413,
            "must not exceed 16384 bytes",
        ),
    ],
)
def test_only_what_can_be_done_is_queued(
    client: Client, cli: TempestCli, body: Any, status: int, text: str
) -> None:
    cli.connect(BUCKET)
    assert text in error_of(client.post(path_of(cli), body), status)
    assert cli.next() is None


def test_unknown_apps_and_operations_are_not_found(client: Client, cli: TempestCli) -> None:
    body = {"operation": "create", "resource": {"type": "bucket"}}
    assert "was never connected" in error_of(client.post(path_of(cli), body), 404)
    assert error_of(client.get("/api/tempest/apps/none/v1"), 404)
    assert error_of(client.get("/api/tempest/operations/none"), 404)
    task = client.create()
    assert "no operation" in error_of(client.get(f"/api/tempest/operations/{task['id']}"), 404)


def test_a_key_is_for_one_request(client: Client, cli: TempestCli) -> None:
    cli.connect(BUCKET)
    first = ask(client, cli, idempotency_key=f"k-{cli.app['app_id']}")
    again = client.post(
        path_of(cli),
        {
            "operation": "create",
            "resource": {"type": "bucket"},
            "idempotency_key": f"k-{cli.app['app_id']}",
        },
    )
    assert again.json()["operation"]["run_id"] == first["run_id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = {"operation": "update", "resource": named("b-1")}
    key = {"idempotency_key": f"k-{cli.app['app_id']}"}
    assert "another request" in error_of(client.post(path_of(cli), {**other, **key}), 409)


class Tokens:
    """The tokens of these tests, by name."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def make(self, services: Services) -> None:
        from domain.commands import RegisterWorkspace  # noqa: PLC0415
        from domain.values import LOCAL_USER, Origin  # noqa: PLC0415

        for workspace in ("w1", "w2"):
            services.committer.execute(
                RegisterWorkspace(workspace_id=workspace),
                services.context(LOCAL_USER, Origin("cli", "test")),
            )
        given: dict[str, dict[str, Any]] = {
            "admin": {"scopes": ("admin",)},
            "writer": {},
            "reader": {"scopes": ("task:read",)},
            "app": {"actor": "extension:tempest/store"},
            "version": {"actor": "extension:tempest/store:v1"},
            "w1": {"workspace": "w1"},
            "w2": {"workspace": "w2"},
        }
        for name, how in given.items():
            self.texts[name] = create_token(services, name=name, **how).text


@pytest.fixture(name="tokens", scope="module")
def _tokens() -> Tokens:
    return Tokens()


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory, tokens: Tokens) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("tempest-guarded")
    with serving(folder, prepare=tokens.make) as server:
        yield server


def holder(server: LiveServer, text: str, app_id: str, version: str = "v1") -> TempestCli:
    return TempestCli(f"{server.url}/api/v1", text, app_id, version)


def test_without_a_token_nobody_gets_in(guarded: LiveServer) -> None:
    for text in ("", "tl_x"):
        cli = holder(guarded, text, "store")
        assert told(cli.post(NEXT, cli.app), 401)
        assert cli.answers[0].headers["www-authenticate"] == "Bearer"
        assert told(cli.post("none", {}), 401)
        cli.close()


def test_reading_is_not_enough(guarded: LiveServer, tokens: Tokens) -> None:
    cli = holder(guarded, tokens.texts["reader"], "store")
    for path in (NEXT, REPORT, CONNECT, HEALTH):
        assert "task:write" in told(cli.post(path, {}), 403)
    cli.close()


def test_the_token_of_an_app_is_good_for_it_alone(guarded: LiveServer, tokens: Tokens) -> None:
    person = guarded.client.like(Authorization=f"Bearer {tokens.texts['writer']}")
    for name, version, passes in (("app", "v2", True), ("version", "v2", False)):
        cli = holder(guarded, tokens.texts[name], "store", version)
        other = holder(guarded, tokens.texts[name], "queue")
        for path, more in (
            (NEXT, {}),
            (HEALTH, {"health_reports": None}),
            (CONNECT, {"resources": None}),
        ):
            assert (cli.post(path, {**cli.app, **more}).status_code < 300) is passes
            assert 'is not for app "queue" v1' in told(other.post(path, {**other.app, **more}), 403)
        body = {"operation": "create", "resource": {"type": "bucket"}}
        asking = guarded.client.like(Authorization=f"Bearer {tokens.texts[name]}")
        assert asking.post("/api/tempest/apps/queue/v1/operations", body).status_code == 403
        cli.close()
        other.close()
    own = holder(guarded, tokens.texts["version"], "store")
    own.connect(BUCKET)
    asked = ask(person, own)
    found = own.next()
    assert found is not None
    assert own.report(found["task_id"], changed(resource("b-1"))).status_code == 200
    items = person.ok("GET", f"/api/tasks/{asked['task_id']}/timeline")["timeline"]
    assert items[-1]["actor"]["ref"] == actor_of("store", "v1").ref
    taken = taken_by(guarded, tokens, "store", "v2")
    assert "is not for app" in told(own.report_error(taken, "no"), 403)
    own.close()


def taken_by(guarded: LiveServer, tokens: Tokens, app_id: str, version: str) -> str:
    """Connect an app, ask something of it and let it take that; return the run id."""
    person = guarded.client.like(Authorization=f"Bearer {tokens.texts['writer']}")
    cli = holder(guarded, tokens.texts["writer"], app_id, version)
    cli.connect(BUCKET)
    run_id = ask(person, cli)["run_id"]
    assert cli.next() is not None
    cli.close()
    return str(run_id)


def test_an_app_of_a_workspace_is_of_no_other(guarded: LiveServer, tokens: Tokens) -> None:
    own = holder(guarded, tokens.texts["w1"], "shop")
    other = holder(guarded, tokens.texts["w2"], "shop")
    own.connect(BUCKET)
    person = guarded.client.like(Authorization=f"Bearer {tokens.texts['w1']}")
    stranger = guarded.client.like(Authorization=f"Bearer {tokens.texts['w2']}")
    asked = ask(person, own)
    assert asked["workspace_id"] == "w1"
    body = {"operation": "create", "resource": {"type": "bucket"}}
    for path, more in (
        (NEXT, {}),
        (HEALTH, {"health_reports": None}),
        (CONNECT, {"resources": None}),
    ):
        assert "bound to workspace" in told(other.post(path, {**other.app, **more}), 403)
    assert stranger.post(path_of(own), body).status_code == 403
    assert stranger.get("/api/tempest/apps/shop/v1").status_code == 403
    assert stranger.get(f"/api/tempest/operations/{asked['task_id']}").status_code == 403
    assert stranger.get("/api/tempest/operations?workspace=w1").status_code == 403
    assert stranger.ok("GET", "/api/tempest/operations")["operations"] == []
    known = [app["app_id"] for app in stranger.ok("GET", "/api/tempest/apps")["apps"]]
    assert "shop" not in known
    found = own.next()
    assert found is not None
    assert "bound to workspace" in told(other.report_error(found["task_id"], "no"), 403)
    assert own.serve(Store()) == []
    assert json.loads(own.answers[0].content)["status"] == "ok"
    own.close()
    other.close()
