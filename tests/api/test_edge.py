"""The edge of the API: unknown routes, browsers, headers, pages and the document itself."""

import json
import re
from pathlib import Path
from typing import Final

import pytest
from openapi_spec_validator import validate
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.errors import CODES, status_of
from api.operations import Operation
from api.routes import OPERATIONS
from api.services import Services
from api.tokens import IssuedToken, create_token
from domain import errors
from tests.api.live import Client, LiveServer, error_of, serving
from tests.support.obstacles import drop_table

JSON_OF_AN_AGENT: Final = {
    "Content-Type": "application/json",
    "X-AGH-Session-ID": "nobody",
    "X-AGH-Agent": "coder",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/nothing"),
        ("GET", "/api"),
        ("POST", "/api/tasks/x/y/z"),
        ("GET", "/elsewhere"),
        ("GET", "/api/tasks%2Fx"),
    ],
)
def test_an_unknown_route_is_plain_text(client: Client, method: str, path: str) -> None:
    response = client.send(method, path)

    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/plain")
    assert response.text == ("" if method == "HEAD" else "404 page not found")
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/tasks", "GET, POST"),
        ("HEAD", "/api/tasks", "GET, POST"),
        ("GET", "/api/tasks/x/publish", "POST"),
        ("TRACE", "/healthz", "GET"),
    ],
)
def test_a_route_names_its_methods_to_others(
    client: Client, method: str, path: str, allowed: str
) -> None:
    response = client.http.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("method", "path", "status", "location"),
    [
        ("GET", "/api/tasks/?limit=1", 301, "/api/tasks?limit=1"),
        ("POST", "/api/tasks/", 307, "/api/tasks"),
        ("GET", "/api/tasks/x/tree/", 301, "/api/tasks/x/tree"),
    ],
)
def test_a_slash_too_many_leads_to_the_route(
    client: Client, method: str, path: str, status: int, location: str
) -> None:
    response = client.http.request(method, path)

    assert (response.status_code, response.headers["location"]) == (status, location)


@pytest.mark.parametrize(
    "operation",
    [each for each in OPERATIONS if "{" in each.path],
    ids=lambda operation: operation.operation_id,
)
def test_a_path_with_the_nul_character_is_refused(client: Client, operation: Operation) -> None:
    path = re.sub(r"\{\w+\}", "a%00b", operation.path)

    response = client.http.request(operation.method, path, headers=JSON_OF_AN_AGENT, content=b"{}")

    assert 400 <= response.status_code < 500
    assert "path must not contain the NUL character" in response.text


def test_every_answer_has_the_same_guards(client: Client) -> None:
    for path in ("/api/tasks", "/api/tasks/none", "/api/nothing"):
        headers = client.get(path).headers

        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["vary"] == "Origin"
        assert headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE, OPTIONS"
        assert headers["access-control-allow-headers"] == "Content-Type, Last-Event-ID, Accept"
        assert "server" not in headers


def test_an_own_origin_is_admitted_and_echoed(server: LiveServer, client: Client) -> None:
    for origin in (server.url, server.url.upper().replace("HTTP", "http")):
        response = client.get("/api/tasks", headers={"Origin": origin})

        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == origin
    forwarded = {"Origin": "https://localhost", "Host": "localhost", "X-Forwarded-Proto": "https"}
    assert client.get("/api/tasks", headers=forwarded).status_code == 200
    assert client.http.options("/api/tasks", headers={"Origin": server.url}).status_code == 204


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x://[", ""]
)
def test_a_foreign_origin_is_refused(client: Client, origin: str) -> None:
    response = client.send("POST", "/api/tasks", headers={"Origin": origin}, json={})

    if origin:
        assert error_of(response, 403) == "origin not allowed"
        assert client.http.options("/api/tasks", headers={"Origin": origin}).status_code == 403
    else:
        assert response.status_code == 422


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8420", 403),
        ("localhost.evil.example", 403),
        ("[", 403),
        ("LOCALHOST:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:9", 200),
        ("127.0.0.9", 200),
    ],
)
def test_a_foreign_host_is_refused(client: Client, host: str, status: int) -> None:
    assert client.get("/api/tasks", headers={"Host": host}).status_code == status
    assert client.get("/", headers={"Host": host}).status_code == status


def test_whoever_runs_a_server_behind_another_name_is_told_how(client: Client) -> None:
    response = client.get("/api/tasks", headers={"Host": "ledger.example"})

    assert error_of(response, 403) == "host not allowed; --allowed-hosts says which are"


def test_a_configured_host_is_admitted(tmp_path: Path) -> None:
    with serving(tmp_path, allowed_hosts=("Ledger.Example",)) as server:
        for host in ("ledger.example", "ledger.example:8080"):
            assert server.client.get("/api/tasks", headers={"Host": host}).status_code == 200


def test_a_person_finds_the_way(client: Client) -> None:
    response = client.get("/")

    assert response.status_code == 200
    assert "/openapi.json" in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert client.http.head("/").status_code == 200
    assert client.ok("GET", "/healthz") == {"status": "ok", "reasons": [], "notices": []}
    assert client.ok("GET", "/readyz") == {"status": "ok", "reasons": [], "notices": []}


def test_the_document_is_valid_and_names_every_operation_once(client: Client) -> None:
    document = client.ok("GET", "/openapi.json")
    validate(document)
    ids = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]

    assert len(ids) == len(set(ids)) == len(OPERATIONS)
    for operation in (each for methods in document["paths"].values() for each in methods.values()):
        assert operation["summary"]
    create = document["components"]["schemas"]["TaskCreateRequest"]
    assert create["required"] == ["scope", "title"]
    assert create["properties"]["scope"]["enum"] == ["global", "workspace"]
    assert create["properties"]["max_attempts"]["type"] == ["integer", "null"]


def subclasses(kind: type[errors.DomainError]) -> set[type[errors.DomainError]]:
    """Return every refusal there is."""
    found = set(kind.__subclasses__())
    return found.union(*(subclasses(each) for each in found)) if found else found


def test_every_refusal_has_a_status() -> None:
    special = {errors.IdentityError, errors.LeaseRejectedError}
    codes = {kind.code for kind in subclasses(errors.DomainError) - special}

    assert codes == CODES
    assert status_of(errors.ValidationError("x"), (400, 404)) == 400
    assert status_of(errors.ValidationError("x"), ()) == 422
    assert status_of(errors.IdentityError("identity_lookup_unavailable", "m", "h"), ()) == 503


async def _echo(request: Request) -> Response:
    if request.url.path == "/facade/broken":
        raise RuntimeError("token agh_claim_secret leaked")
    return PlainTextResponse(await request.body())


def test_other_routes_get_the_same_guards(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    routes = [Route("/facade/{what}", _echo, methods=["GET", "POST"])]
    with serving(tmp_path, routes=routes) as server:
        echoed = server.client.post("/facade/echo", content=b"hello")
        foreign = server.client.get("/facade/echo", headers={"Host": "evil.example"})
        broken = server.client.get("/facade/broken")

    assert (echoed.text, echoed.headers["x-content-type-options"]) == ("hello", "nosniff")
    assert foreign.status_code == 403
    assert broken.status_code == 500
    assert "agh_claim_[REDACTED]" in caplog.text
    assert "agh_claim_secret" not in caplog.text


def test_other_routes_need_a_token_as_well(tmp_path: Path) -> None:
    issued: list[IssuedToken] = []

    def prepare(services: Services) -> None:
        issued.append(create_token(services, name="reader", scopes=("task:read",)))

    routes = [Route("/facade/{what}", _echo, methods=["GET", "POST"])]
    with serving(tmp_path, routes=routes, prepare=prepare) as server:
        client = server.client.like(Authorization=f"Bearer {issued[0].text}")

        assert server.client.get("/facade/echo").status_code == 401
        assert client.get("/facade/echo").status_code == 200
        assert client.post("/facade/echo").status_code == 403


def test_a_trace_id_is_kept_with_the_events(tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with serving(tmp_path) as server:
        for value in (f"00-{trace}-b7ad6b7169203331-01", "nonsense", ""):
            body = {"scope": "global", "title": "t"}
            server.client.post("/api/tasks", body, headers={"traceparent": value})
        server.stop()
        recorded = server.services.ledger.read(0, 10)

    assert [event.correlation_id for event in recorded] == [trace, "", ""]


def test_what_nobody_expected_is_a_500_that_tells_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(tmp_path) as server:
        task = server.client.create()
        drop_table(server.services, "runs")
        response = server.client.get(f"/api/tasks/{task['id']}/runs")

    assert json.loads(response.content) == {"error": "Internal Server Error"}
    assert response.status_code == 500
    assert re.search("no such table: runs|relation .runs. does not exist", caplog.text)
