"""Keys, scopes and requests that are none, each refused in the words of PostHog."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.services import Services
from api.tokens import create_token
from domain.commands import RegisterWorkspace
from domain.values import LOCAL_USER, Origin
from tests.api.live import Client, LiveServer, serving
from tests.api.posthog.project import Project
from tests.support.obstacles import lose_the_key

KEYS: dict[str, str] = {}


def _prepare(services: Services) -> None:
    for workspace_id in ("1", "2"):
        command = RegisterWorkspace(workspace_id=workspace_id)
        services.committer.execute(command, services.context(LOCAL_USER, Origin("cli", "test")))
    for name, scopes, workspace in (
        ("reader", ("task:read",), ""),
        ("writer", ("task:read", "task:write"), ""),
        ("only", ("task:write",), ""),
        ("admin", ("admin",), ""),
        ("bound", ("task:write", "task:read"), "1"),
    ):
        issued = create_token(services, name=name, scopes=scopes, workspace=workspace)
        KEYS[name] = issued.text


@pytest.fixture(name="guarded", scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serving(tmp_path_factory.mktemp("guarded"), prepare=_prepare) as server:
        yield server


def project(server: LiveServer, name: str = "", ref: str = "1") -> Project:
    client = server.client
    return Project(client.like(Authorization=f"Bearer {KEYS[name]}") if name else client, ref)


def test_a_key_is_needed_and_has_to_be_known(guarded: LiveServer) -> None:
    nobody = project(guarded)
    refused = ("authentication_error", "not_authenticated", None)
    assert nobody.refused(401, "GET") == refused
    assert nobody.refused(401, "POST", "", {}) == refused
    assert nobody.refused(401, "GET", "/x/y/z") == refused
    assert nobody.send("GET").headers["www-authenticate"] == "Bearer"
    stranger = Project(guarded.client.like(Authorization="Bearer phx_unknown"), "1")
    assert stranger.refused(401, "GET")[1] == "authentication_failed"


def test_scopes_are_named(guarded: LiveServer) -> None:
    task = project(guarded, "writer").task()
    run = project(guarded, "admin").run(task)
    reader = project(guarded, "reader")

    assert reader.ok("GET", reader.of(run))["id"] == run["id"]
    for method, path in (
        ("POST", ""),
        ("PATCH", f"/{task['id']}"),
        ("POST", f"/{task['id']}/run"),
        ("POST", f"{reader.of(run)}/append_log"),
        ("POST", f"{reader.of(run)}/artifacts"),
    ):
        response = reader.send(method, path, {})
        error = response.json()
        assert response.status_code == 403
        assert (error["type"], error["code"]) == ("authentication_error", "permission_denied")
        assert error["detail"] == "API key missing required scope 'task:write'"
    # Reading calls, although they are POST.
    for operation in ("presign", "download"):
        response = reader.send(
            "POST", f"{reader.of(run)}/artifacts/{operation}", {"storage_path": "x"}
        )
        assert response.status_code == 404


def test_who_may_write_may_read_here(guarded: LiveServer) -> None:
    only = project(guarded, "only")
    run = only.run(only.task())

    assert only.ok("GET", only.of(run))["id"] == run["id"]
    # The task API tells the two apart.
    assert only.client.get("/api/tasks").status_code == 403


def test_a_key_of_one_project_reaches_no_other(guarded: LiveServer) -> None:
    bound, elsewhere = project(guarded, "bound"), project(guarded, "bound", "2")
    task = bound.task()

    assert project(guarded, "bound", "@current").ok("GET", f"/{task['id']}") == bound.ok(
        "GET", f"/{task['id']}"
    )
    for method, body in (("GET", None), ("POST", {})):
        refused = elsewhere.refused(403, method, "", body)
        assert refused == ("authentication_error", "permission_denied", None)
    assert project(guarded, "writer", "2").refused(404, "GET", f"/{task['id']}")[1] == "not_found"


BAD: list[tuple[int, str, str, dict[str, Any], tuple[str, str]]] = [
    (405, "DELETE", "", {}, ("invalid_request", "method_not_allowed")),
    (405, "PUT", "/x/runs/y", {}, ("invalid_request", "method_not_allowed")),
    (404, "GET", "/x/runs/y/z", {}, ("invalid_request", "not_found")),
    (404, "GET", "/x", {}, ("invalid_request", "not_found")),
    (400, "POST", "", {"content": b"{"}, ("invalid_request", "parse_error")),
    (400, "POST", "", {"content": b"\xff"}, ("invalid_request", "parse_error")),
    (400, "POST", "", {"content": b"[" * 100_000}, ("invalid_request", "parse_error")),
    (400, "POST", "", {"content": b"[]"}, ("validation_error", "invalid_input")),
    (400, "POST", "", {"content": b"null"}, ("validation_error", "invalid_input")),
    (
        415,
        "POST",
        "",
        {"content": b"a=b", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        ("invalid_request", "unsupported_media_type"),
    ),
    (
        413,
        "POST",
        "",
        {"content": b" " * 5_000_000},
        ("invalid_request", "request_entity_too_large"),
    ),
]


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_request_is_told_in_the_same_form(project: Project, bad: Any) -> None:
    status, method, path, options, error = bad
    assert project.refused(status, method, path, **options) == (*error, None)


def test_half_of_a_pair_is_told_as_such(project: Project) -> None:
    for text in (b"\\ud800", b"\\udc00\\ud800", b"\\ud800 and more behind it"):
        answer = project.send("POST", "", content=b'{"title": "%b"}' % text)
        detail = answer.json()["detail"]
        assert detail == "JSON parse error - JSON is malformed: lone surrogate in a string"


@pytest.mark.parametrize("path", ["//", "/x//"])
def test_no_path_leads_to_another_one(project: Project, path: str) -> None:
    assert project.refused(404, "GET", path)[1] == "not_found"


def test_other_words_below_the_prefix_are_refused_alike(client: Client) -> None:
    response = client.get("/api/projects/1/feature_flags/")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    response = client.get("/api/projects/1/tasks", headers={"host": "evil.example"})
    assert (response.status_code, response.json()["type"]) == (403, "authentication_error")


def test_an_empty_body_needs_no_type(project: Project) -> None:
    headers = {"content-type": "application/json"}
    assert project.send("POST", "", content=b"", headers=headers).status_code == 201
    assert project.send("POST", "", content=b'{"title":"a"}').status_code == 201


def test_addresses_are_those_that_the_client_used(project: Project) -> None:
    headers = {"x-forwarded-proto": "https", "host": "tasks.localhost:8443"}
    task = project.task()
    run = project.run(task)
    shown = project.client.http.get(f"{project.path}{project.of(run)}", headers=headers).json()

    assert shown["log_url"].startswith("https://tasks.localhost:8443/api/projects/")


def test_without_a_key_for_signing_there_are_no_addresses(tmp_path: Path) -> None:
    with serving(tmp_path, prepare=_without_key) as server:
        known = Project(server.client, "1")
        task = known.task()
        run = known.run(task)
        of_run = known.of(run)
        body = {"artifacts": [{"name": "x", "type": "plan", "content": "x"}]}
        (artifact,) = known.ok("POST", f"{of_run}/artifacts", body)["artifacts"]
        seen = [
            run,
            known.ok("GET", of_run),
            known.ok("GET", f"/{task['id']}")["latest_run"],
            *known.ok("GET", f"/{task['id']}/runs")["results"],
        ]
        wish = {"artifacts": [{"name": "x", "type": "plan", "size": 1}]}
        path = {"storage_path": artifact["storage_path"]}
        refused = [
            known.send("POST", f"{of_run}/artifacts/prepare_upload", wish),
            known.send("POST", f"{of_run}/artifacts/presign", path),
        ]
        # Both can be read with a key all the same.
        assert known.send("POST", f"{of_run}/artifacts/download", path).content == b"x"
        assert known.send("GET", f"{of_run}/logs").status_code == 200
        forged = known.send("GET", f"{of_run}/log?expires=9999999999&signature=00")

    assert [each["log_url"] for each in seen] == [None] * 4
    for answer in refused:
        assert (answer.status_code, answer.json().keys()) == (400, {"error"})
        assert "secret_key_file" in answer.json()["error"]
    assert forged.status_code == 403


def _without_key(services: Services) -> None:
    lose_the_key(services)
    _prepare_one(services)


def _prepare_one(services: Services) -> None:
    command = RegisterWorkspace(workspace_id="1")
    services.committer.execute(command, services.context(LOCAL_USER, Origin("cli", "test")))
