"""What clients send: lenient where nothing is lost, refused with a reason otherwise."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.live import Client, error_of

DECODE = "task: validation failed: httpapi: decode create task request: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected an object, got nothing"),
        (b" \n", "expected an object, got nothing"),
        (b"{", "Input data was truncated"),
        (b"nul", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b'"x"', "Expected `object`, got `str`"),
        (b'{"title": 1}', "Expected `str`, got `int` - at `$.title`"),
        (b'{"draft": "yes"}', "Expected `bool`, got `str` - at `$.draft`"),
        (b'{"max_attempts": 1.5}', "Expected `int`, got `float` - at `$.max_attempts`"),
        (b'{"max_attempts": 1e999}', "Number out of range - at `$.max_attempts`"),
        (b'{"max_attempts": 99999999999999999999}', "at `$.max_attempts`"),
        (b'{"max_attempts": ' + b"9" * 5000 + b"}", "at `$.max_attempts`"),
        (b'{"owner": "me"}', "Expected `object`, got `str` - at `$.owner`"),
        (b'{"owner": {"kind": 1}}', "Expected `str`, got `int` - at `$.owner.kind`"),
        (b'{"title": "\xff"}', "JSON is not valid UTF-8 (byte 11)"),
        (b'{"title": "\\ud800"}', "lone surrogate in a string"),
        (b'{"title": "\\ud800", "unknown": "a longer text"}', "lone surrogate in a string"),
        (b'{"metadata": {"\\udc00\\ud800": 1}}', "lone surrogate in a string"),
        (b'{"title": "a\x00"}', "JSON is malformed"),
        (b"\xef\xbb\xbf{}", "JSON is malformed"),
        (b'{"unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_cannot_be_decoded_says_where(
    client: Client, body: bytes, message: str
) -> None:
    text = error_of(client.post("/api/tasks", content=body), 422)

    assert text.startswith(DECODE)
    assert message in text


@pytest.mark.parametrize(
    "raw",
    [
        b'"\xff"',
        b'"\\ud800"',
        b"1e999",
        b"tru",
        b"[" * 5000 + b"]" * 5000,
        b"9" * 5000,
        b'{"a": "\xc3\x28"}',
    ],
)
def test_a_member_of_any_json_is_refused_when_it_is_none(client: Client, raw: bytes) -> None:
    body = b'{"scope": "global", "title": "t", "metadata": ' + raw + b"}"

    response = client.post("/api/tasks", content=body)
    assert response.status_code in {422, 201}, response.text
    if response.status_code == 201:
        assert client.get(f"/api/tasks/{response.json()['task']['id']}").status_code == 200


def test_only_the_first_json_value_counts(client: Client) -> None:
    for rest in (b" trailing", b'{"title": 1}', b"\xff\xfe", b"}"):
        body = b'{"scope": "global", "title": "t"}' + rest

        assert client.post("/api/tasks", content=body).status_code == 201


def test_null_is_an_empty_object(client: Client) -> None:
    path = f"/api/tasks/{client.create()['id']}"

    assert "is required" in error_of(client.post("/api/tasks", content=b" null "), 422)
    assert client.post(f"{path}/start", content=b"null").status_code == 201
    assert client.post(f"{path}/start", content=b" ").status_code == 201


def test_the_content_type_does_not_matter(client: Client) -> None:
    body = b'{"scope": "global", "title": "t"}'
    response = client.post("/api/tasks", content=body, headers={"Content-Type": "text/plain"})

    assert response.status_code == 201


def test_a_body_that_is_too_large_is_refused_however_it_comes(client: Client) -> None:
    body = json.dumps({"scope": "global", "title": "t" * (4 * 1024 * 1024)}).encode()
    declared = client.post("/api/tasks", content=body)
    chunked = client.post("/api/tasks", content=iter([body[:100], body[100:]]))

    for response in (declared, chunked):
        assert response.status_code == 413
        assert response.json() == {"error": "request body too large"}


def test_a_body_may_come_in_pieces(client: Client) -> None:
    body = [b'{"scope": "glo', b'bal", "title"', b': "t"}']

    assert client.post("/api/tasks", content=iter(body)).status_code == 201


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=-1", "limit must not be negative: -1"),
        ("limit=1.0", 'limit must be an integer: "1.0"'),
        ("limit=ten", "limit must be an integer"),
        ("limit=2147483648", "limit must be <= 2147483647: 2147483648"),
        (f"limit={'9' * 5000}", "limit must be an integer"),
        ("include_drafts=maybe", 'include_drafts must be true or false: "maybe"'),
        ("include_drafts=yes", "include_drafts must be true or false"),
        ("status=done", 'status must be "draft"'),
        ("priority=soon", "priority must be"),
        ("scope=here", "scope must be"),
        ("owner_kind=daemon", "owner_kind must be"),
        ("approval_state=x", "approval_state must be"),
        ("network_channel=No!", "network_channel must match"),
        ("scope=global&workspace=w", "task: invalid scope binding"),
        ("scope=workspace", "task: invalid scope binding"),
        ("query=a%00b", "query must not contain the NUL character"),
    ],
)
def test_a_bad_parameter_is_named(client: Client, query: str, text: str) -> None:
    assert text in error_of(client.get(f"/api/tasks?{query}"), 422)


def test_parameters_are_trimmed_and_the_first_counts(client: Client) -> None:
    task = client.create(title="found only here", priority="urgent", draft=True)
    query = (
        "query=%20ONLY%20here%20&priority=%20URGENT&include_drafts=T&include_drafts=x&limit=+5&z=1"
    )
    found = client.ok("GET", f"/api/tasks?{query}")["tasks"]

    assert [each["id"] for each in found] == [task["id"]]
    assert client.ok("GET", "/api/tasks?query=only%25here")["tasks"] == []
    assert client.ok("GET", "/api/tasks?query=found+only&include_drafts=F")["tasks"] == []
    assert client.get("/api/tasks?workspace=nowhere").status_code == 404


def test_runs_are_filtered(client: Client) -> None:
    task = client.create()
    client.enqueue(task["id"])
    path = f"/api/tasks/{task['id']}/runs"

    assert len(client.ok("GET", path)["runs"]) == 1
    assert client.ok("GET", f"{path}?status=failed")["runs"] == []
    assert client.ok("GET", f"{path}?session_id=s")["runs"] == []
    error_of(client.get(f"{path}?status=late"), 422)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    ["id", "scope", "title", "owner", "metadata", "max_attempts", "draft", "priority", "workspace"]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(MEMBERS, ANY_JSON))
def test_no_json_body_breaks_the_server(client: Client, body: dict[str, object]) -> None:
    assert client.post("/api/tasks", body).status_code in {201, 404, 409, 413, 422}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60), path=st.sampled_from(["", "/task-x/pause", "/task-x/runs"]))
def test_no_bytes_break_the_server(client: Client, body: bytes, path: str) -> None:
    assert client.post(f"/api/tasks{path}", content=body).status_code in {404, 422}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(["/api/tasks", "/api/scheduler/backlog", "/api/timeline"]),
    query=st.dictionaries(
        st.sampled_from(["limit", "status", "query", "scope", "type", "actor", "after_sequence"]),
        st.text(max_size=20),
    ),
)
def test_no_query_breaks_the_server(client: Client, path: str, query: dict[str, str]) -> None:
    assert client.get(path, params=query).status_code in {200, 404, 422}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        [
            "X-AGH-Session-ID",
            "X-AGH-Agent",
            "Origin",
            "Authorization",
            "Last-Event-ID",
            "traceparent",
        ]
    ),
    value=st.binary(max_size=30).map(
        lambda raw: raw.translate(None, bytes(range(32)) + b"\x7f").strip()
    ),
)
def test_no_header_breaks_the_server(client: Client, name: str, value: bytes) -> None:
    response = client.send(
        "GET", "/api/scheduler", headers={name: value.decode("latin-1").encode("latin-1")}
    )

    assert response.status_code in {200, 401, 403, 422}
