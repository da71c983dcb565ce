"""Whatever is sent, the answer is a documented refusal, and nothing is written because of it."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from msgspec import Struct

from tests.faults.client import Client, Reply
from tests.faults.raw import ask
from tests.faults.serving import Site
from tests.support.verify import verify

TASK, RUN, SESSION, WORKSPACE = "the-task", "the-run", "the-session", "the-workspace"
TOO_LARGE: Final = 5 << 20
AGENT_HEADERS: Final = {"X-AGH-Session-ID": SESSION, "X-AGH-Agent": "coder"}
PATHS: Final = {
    "/api/tasks": TASK,
    "/api/task-runs": RUN,
    "/api/sessions": SESSION,
    "/api/workspaces": WORKSPACE,
}

FACADES: Final = frozenset({"posthog", "ona", "tempest"})
"""The operations of other APIs refuse in words of their own, which are tested beside them."""

BODIES: Final = {
    "nothing": b"",
    "blanks": b" \n\t",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "a truth": b"true",
    "half an object": b'{"title":',
    "no JSON": b"title=x",
    "a trailing comma": b'{"title":"x",}',
    "a missing quote": b'{"title:1}',
    "no UTF-8": b'{"title":"\xff\xfe","reason":"\xff\xfe"}',
    "half a character": b'{"title":"\xe2\x98',
    "UTF-16": '{"title":"x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"title":"x"}',
    "a list 100k deep": b"[" * 100_000 + b"]" * 100_000,
    "an object 100k deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "100k open lists": b"[" * 100_000,
    "NUL": b"\x00",
    "not a number": b'{"max_attempts":NaN}',
    "infinity": b'{"max_attempts":1e999}',
}
INSIDE: Final = {
    "no UTF-8": {"title", "reason"},
    "not a number": {"max_attempts"},
    "infinity": {"max_attempts"},
}
TEXTS: Final = {
    "a lone surrogate": b'"\\ud800"',
    "surrogates the wrong way round": b'"\\udc00\\ud800"',
    "a NUL": b'"a\\u0000b"',
}
WRONG: Final[dict[str, list[Any]]] = {
    "string": [1, 1.5, True, {}, [], ["x"]],
    "integer": ["x", "1", 1.5, True, {}, [], 10**30, -(10**30), 1e300],
    "boolean": ["x", "true", 0, 1, 1.5, {}, []],
    "array": [1, "x", True, {}, [1], [None], [[]], [{}]],
    "object": [1, "x", True, [], [{}], {"kind": 1}, {"ref": []}],
}
UNREAD: Final = {"idempotency_key", "created_at", "updated_at"}
"""Members that may hold anything, since nothing is done with them."""
QUERIES: Final = (
    "x",
    "-1",
    "0x10",
    "1.5",
    "1e3",
    "99999999999999999999999",
    "-99999999999999999999999",
    "9223372036854775808",
    "2147483648",
    "%00",
    "%FF%FE",
    "%ED%A0%80",
    "%",
    "%zz",
    "%E2%98%83",
    "'%20OR%201=1--",
    "%25%25%5F",
    "x" * 10_000,
)
IDS: Final = (
    "%2F",
    "a%2Fb",
    "..",
    "%2e%2e%2fetc",
    "%E2%98%83",
    "%F0%9F%98%80",
    "%00",
    "a%00b",
    "%FF",
    "%ED%A0%80",
    "%zz",
    "%",
    "%20",
    "%0d%0aX-Injected:%201",
    "'",
    "%22",
    "x" * 10_000,
    "%E2%98%83" * 2_000,
)


_POST: Final = b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\n"
NO_REQUESTS: Final = (
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /api/tasks HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"\x00" * 1_000,
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /api/tasks HTTP/1.1\r\n" + b"X-Filler: x\r\n" * 20_000 + b"\r\n",
    _POST + b"Content-Length: abc\r\n\r\n{}",
    _POST + b"Content-Length: -1\r\n\r\n{}",
    _POST + b"Content-Length: 1_0\r\n\r\n{}",
    _POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    _POST + b"Content-Length: 9\r\n\r\n{",
    _POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    _POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
)


class Operation(Struct, frozen=True, kw_only=True):
    """What the server says about one method of one path."""

    method: str
    path: str
    statuses: frozenset[int]
    members: dict[str, Any]
    required: tuple[str, ...]
    parameters: dict[str, Any]
    agent: bool
    tag: str

    @property
    def refusal(self) -> int:
        """The status of a request that is not acceptable."""
        return 422 if 422 in self.statuses else 400

    @property
    def where(self) -> str:
        """A path with ids in it."""
        known = next((name for start, name in PATHS.items() if self.path.startswith(start)), RUN)
        return (
            self.path.replace("{depends_on_id}", "other")
            .replace("{id}", known)
            .replace("{run_id}", RUN)
        )

    def body(self, **members: Any) -> dict[str, Any]:
        """Return a usable body with some members replaced."""
        # Some need a reason, though only deciding says so.
        names = {*self.required, "reason"} & self.members.keys()
        usual = {name: _usual(name, self.members[name]) for name in sorted(names)}
        return {**usual, **members}


def _usual(name: str, schema: dict[str, Any]) -> Any:
    if name == "task_id":
        return TASK
    text = str(schema["enum"][0]) if "enum" in schema else f"a-{name}".replace("_", "-")
    if schema.get("type") == "array":
        return [text]
    return {} if "$ref" in schema else text


def _has_own_outcomes(operation: Operation, value: Any) -> bool:
    """Whether the items of a list are refused one by one."""
    return operation.path.endswith("/report") and isinstance(value, list)


class Target:
    """A server, what it says about itself, and one raw request after the other."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.client = Client(site.port)
        self.document = self.client.get("/openapi.json")
        known = list(self._operations())
        self.operations = [each for each in known if each.tag not in FACADES]
        self.of_facades = [each for each in known if each.tag in FACADES]

    def close(self) -> None:
        self.client.close()

    def head(self) -> int:
        """Return the last sequence of the ledger."""
        head: int = self.client.get("/api/timeline?limit=1")["head"]
        return head

    def having(self, *methods: str) -> list[Operation]:
        """Return the operations of these methods below /api."""
        return [each for each in self.operations if each.method in methods]

    def send(self, operation: Operation, where: str = "", body: bytes | None = None) -> Reply:
        """Return the answer, checked for what holds for every answer."""
        before = self.head()
        headers = AGENT_HEADERS if operation.agent else {}
        reply = ask(self.site.port, operation.method, where or operation.where, body, headers)
        self.check(operation, reply, before)
        return reply

    def check(self, operation: Operation, reply: Reply, before: int) -> None:
        """Check that a status is documented, and that a refusal has a text and no effect."""
        assert reply.status < 500, reply
        assert reply.status in operation.statuses, (operation.method, operation.path, reply)
        if reply.status >= 400:
            assert self.head() == before, "a refused request was written"
        if reply.status >= 400 and operation.tag not in FACADES:
            assert reply.headers["content-type"] == "application/json"
            assert reply.json["error"].strip()

    def _operations(self) -> Iterator[Operation]:
        for path, methods in self.document["paths"].items():
            for method, described in methods.items() if path.startswith("/api/") else ():
                schema = self._body(described)
                yield Operation(
                    method=method.upper(),
                    path=path,
                    statuses=frozenset(map(int, described["responses"])),
                    members=schema.get("properties", {}),
                    required=tuple(schema.get("required", ())),
                    parameters={
                        each["name"]: each["schema"]
                        for each in described.get("parameters", ())
                        if each["in"] == "query"
                    },
                    agent=path.startswith("/api/agent/"),
                    tag=described["tags"][0],
                )

    def _body(self, described: Any) -> Any:
        content = described.get("requestBody", {}).get("content", {})
        return self.resolve(content.get("application/json", {}).get("schema", {}))

    def resolve(self, schema: Any) -> Any:
        """Return what a schema refers to."""
        for option in schema.get("anyOf", ()):
            if "$ref" in option:
                schema = option
        if "$ref" not in schema:
            return schema
        return self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]

    def ignores(self, schema: Any, value: Any) -> bool:
        """Return whether an object has no member that is known."""
        known = self.resolve(schema).get("properties", {})
        return isinstance(value, dict) and bool(value) and not value.keys() & known.keys()

    def kind(self, schema: Any) -> str:
        """Return the JSON type of a member; empty when it may be anything."""
        kind = self.resolve(schema).get("type", "")
        return kind if isinstance(kind, str) else str(kind[0])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    site = Site(tmp_path_factory.mktemp("bad"), claim_wait_seconds=0.1)
    with site.serving(), closing(Target(site)) as target:
        client = target.client
        for task_id in (TASK, "other"):
            client.post("/api/tasks", {"id": task_id, "scope": "global", "title": "Title"})
        registered = client.call("PUT", f"/api/sessions/{SESSION}", {"agent_name": "coder"})
        assert registered.status == 200, registered
        yield target
    verify(site.store)
    assert not site.complaints()


def test_no_body_makes_an_operation_fail(target: Target) -> None:
    for operation in target.having("POST", "PUT", "PATCH"):
        for name, body in BODIES.items():
            reply = target.send(operation, body=body)
            # What stands in a member that the operation does not know is not looked at.
            ignored = name in INSIDE and not INSIDE[name] & set(operation.members)
            usable = name in {"nothing", "blanks"} or not operation.members or ignored
            assert usable or reply.status in {413, operation.refusal}, (operation.path, name, reply)


def test_nothing_odd_makes_an_operation_of_another_api_fail(target: Target) -> None:
    assert {each.tag for each in target.of_facades} == FACADES
    for operation in target.of_facades:
        for body in BODIES.values() if operation.method != "GET" else ():
            target.send(operation, body=body)
        start, value, end = operation.path.partition("{")
        for odd in IDS if value else ():
            where = f"{start}{odd}{end.partition('}')[2].replace('{', '').replace('}', '')}"
            target.send(operation, where, None if operation.method == "GET" else b"{}")


def test_a_member_of_a_wrong_type_is_named(target: Target) -> None:
    for operation in target.having("POST", "PUT", "PATCH"):
        for name, schema in operation.members.items():
            for value in WRONG.get(target.kind(schema), ()):
                body = json.dumps(operation.body(**{name: value})).encode()
                reply = target.send(operation, body=body)
                if _has_own_outcomes(operation, value) or target.ignores(schema, value):
                    continue
                assert reply.status == operation.refusal, (operation.path, name, value, reply)
                assert name in reply.json["error"], (operation.path, value, reply)


def test_texts_that_are_no_texts_are_refused(target: Target) -> None:
    for operation in target.having("POST", "PUT", "PATCH"):
        for name, schema in operation.members.items():
            if target.kind(schema) != "string":
                continue
            for text in TEXTS.values():
                body = json.dumps(operation.body(**{name: "@"})).encode().replace(b'"@"', text)
                reply = target.send(operation, body=body)
                # Items have an outcome of their own.
                refused = reply.status >= 400 or b'"error"' in reply.body
                assert refused or name in UNREAD, (operation, name, reply)


def test_free_json_may_be_anything_but_broken_deep_or_long(target: Target) -> None:
    deep = b"[" * 8_000 + b"]" * 8_000
    for operation in target.having("POST", "PUT", "PATCH"):
        for name, schema in operation.members.items():
            if target.kind(schema):
                continue
            for value in (deep, b'"\\ud800"', b'"\xff"', b"{]", b"1e999999", b"[" * 9_000):
                body = json.dumps(operation.body(**{name: "@"})).encode().replace(b'"@"', value)
                reply = target.send(operation, body=body)
                assert reply.status != 413, (operation.path, value, reply)
            long = json.dumps(operation.body(**{name: "x" * 70_000})).encode()
            reply = target.send(operation, body=long)
            assert reply.status == 413 or b"payload too large" in reply.body


def test_a_body_over_the_limit_is_refused_whether_its_length_is_told_or_not(
    target: Target,
) -> None:
    large = b'{"title":"' + b"x" * TOO_LARGE + b'"}'
    for operation in target.having("POST", "PUT", "PATCH"):
        if not operation.members:
            continue
        headers = AGENT_HEADERS if operation.agent else {}
        before = target.head()
        for chunked in (False, True):
            reply = ask(
                target.site.port,
                operation.method,
                operation.where,
                large,
                headers,
                chunked=chunked,
            )
            assert reply.status == 413, (operation.path, chunked, reply)
            target.check(operation, reply, before)


def test_query_parameters_of_any_content_are_answered_or_refused(target: Target) -> None:
    for operation in target.having("GET"):
        for name, schema in operation.parameters.items():
            kind = target.kind(schema)
            for value in QUERIES:
                reply = target.send(operation, f"{operation.where}?{name}={value}")
                strict = kind in {"integer", "boolean"} or "enum" in target.resolve(schema)
                missing = reply.status == 404
                fits = kind == "integer" and value == "-1" and schema.get("minimum", 0) < 0
                if strict and not missing and not fits:
                    refused = reply.status == operation.refusal and name in reply.json["error"]
                    assert refused or value == "2147483648", (operation.path, name, value, reply)
            target.send(operation, f"{operation.where}?{name}=1&{name}=x&{name}=&{name}")
            target.send(operation, f"{operation.where}?{name}")


def test_ids_of_any_characters_are_answered_or_refused(target: Target) -> None:
    for operation in target.operations:
        if "{" not in operation.path:
            continue
        start, _, end = operation.path.partition("{")
        _, _, end = end.partition("}")
        for odd in IDS:
            where = f"{start}{odd}{end.replace('{depends_on_id}', odd)}"
            body = json.dumps(operation.body()).encode() if operation.members else None
            target.send(operation, where, body)


def test_odd_agent_headers_are_answered_or_refused(target: Target) -> None:
    operation = next(each for each in target.operations if each.path.endswith("/claim-next"))
    for odd in ("", " ", "x" * 10_000, "\xff\xfe", "é", "a,b", "a\tb", "/", "'"):
        for name in AGENT_HEADERS:
            before = target.head()
            headers = {**AGENT_HEADERS, name: odd}
            reply = ask(target.site.port, "POST", operation.path, b"{}", headers)
            target.check(operation, reply, before)


@pytest.mark.parametrize(
    "task_id", ["a/b", "..", "%2F", "é☃😀", "a?b#c", "\x01\x1f", " inner blank", "'\"", "x" * 1_000]
)
def test_a_task_with_an_odd_id_can_be_used_like_any_other(target: Target, task_id: str) -> None:
    task_id = task_id.strip()
    client = target.client
    client.post("/api/tasks", {"id": task_id, "scope": "global", "title": "Odd"})
    where = f"/api/tasks/{quote(task_id, safe='')}"
    run = client.post(f"{where}/runs")["run"]

    assert client.get(where)["task"]["task"]["id"] == task_id
    assert client.get(f"{where}/tree")["tree"]["root"]["task"]["id"] == task_id
    assert [each["id"] for each in client.get(f"{where}/runs")["runs"]] == [run["id"]]
    timeline = client.get(f"{where}/timeline")["timeline"]
    assert {each["task"]["id"] for each in timeline} == {task_id}
    assert client.get(f"/api/task-runs/{run['id']}")["run"]["run"]["task_id"] == task_id
    client.post(f"{where}/cancel")
    assert client.call("DELETE", where).status == 204


def test_what_is_no_request_at_all_does_not_disturb_the_server(target: Target) -> None:
    before = target.head()
    for sent in NO_REQUESTS:
        address = ("127.0.0.1", target.site.port)
        with (
            socket.create_connection(address, timeout=60) as connection,
            contextlib.suppress(ConnectionError),
        ):
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4_096):
                pass
    assert target.head() == before


def test_a_store_that_met_all_this_is_sound(target: Target) -> None:
    assert len(verify(Path(target.site.store))) == target.head()
