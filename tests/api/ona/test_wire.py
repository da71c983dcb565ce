"""The forms in which calls come in and answers go out."""

import gzip
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.api.live import Client
from tests.api.ona.support import PATH, call, create, new_environment, refused

JSON = "application/json"
PROTO = "application/proto"
BIG = 5 * 1024 * 1024
NOBODY = "0190c2b5-5d6e-7e1a-8c6b-999999999999"


def raw(client: Client, method: str, content: bytes, kind: str = JSON, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(PATH + method, content=content, headers={"content-type": kind, **named})


def code(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == JSON
    return str(answer.json()["code"])


@pytest.mark.parametrize("kind", ["", "text/plain", "application/connect+proto", "json"])
def test_other_content_types_are_refused_without_a_body(client: Client, kind: str) -> None:
    answer = raw(client, "ListTasks", b"{}", kind)
    assert (answer.status_code, answer.content) == (415, b"")
    assert answer.headers["accept-post"] == "application/json, application/proto"


def test_the_answer_has_the_codec_of_the_request(client: Client) -> None:
    for kind in (JSON, "Application/JSON; charset=utf-8"):
        assert raw(client, "ListTasks", b"{}", kind).headers["content-type"] == JSON
    answer = raw(client, "ListTasks", b"", PROTO, connect_protocol_version="1")
    assert answer.headers["content-type"] == PROTO


def test_an_empty_answer_is_an_empty_object_or_no_bytes(client: Client) -> None:
    task_id = create(client, new_environment(), "a")
    sent = b"\x0a\x24" + task_id.encode()
    answer = raw(client, "UpdateTask", sent, PROTO)
    assert (answer.content, answer.headers["content-type"]) == (b"", PROTO)
    answer = raw(client, "UpdateTask", json.dumps({"id": task_id}).encode())
    assert answer.json() == {}


def test_an_empty_body_is_an_empty_message(client: Client) -> None:
    assert raw(client, "ListTasks", b" ").is_success
    assert code(raw(client, "GetTask", b""), 400) == "invalid_argument"
    assert code(raw(client, "GetTask", b"", PROTO), 400) == "invalid_argument"


def test_refusals_are_json_in_every_codec(client: Client) -> None:
    sent = b"\x0a\x24" + NOBODY.encode()
    assert code(raw(client, "GetTask", sent, PROTO), 404) == "not_found"


@pytest.mark.parametrize("sent", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff", b"\x0b" * 300])
def test_what_is_no_binary_message_is_refused(client: Client, sent: bytes) -> None:
    assert code(raw(client, "GetTask", sent, PROTO), 400) == "invalid_argument"


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b"[]",
        b"7",
        b'"x"',
        b"null",
        b'{"id": 1}',
        b'{"id": "\\ud800"}',
        b'{"id": "\xff"}',
        b'{"id": {"a": 1}}',
        b'{"id": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_message_is_refused(client: Client, sent: bytes) -> None:
    assert code(raw(client, "GetTask", sent), 400) == "invalid_argument"


def test_half_of_a_pair_is_told_as_such(client: Client) -> None:
    answer = raw(client, "GetTask", b'{"id": "\\ud800"}')
    assert "lone surrogate in a string" in answer.json()["message"]


def test_a_time_out_of_range_is_refused_in_both_codecs(client: Client) -> None:
    body = {"environmentId": NOBODY, "metadata": {"createdAt": "12026-01-01T00:00:00Z"}}
    assert code(raw(client, "CreateTask", json.dumps(body).encode()), 400) == "invalid_argument"
    # metadata { created_at { seconds: 2**62 } }
    sent = b"\x12\x0c\x22\x0a\x08" + b"\x80" * 8 + b"\x40"
    assert code(raw(client, "CreateTask", sent, PROTO), 400) == "invalid_argument"


def test_bodies_may_be_compressed(client: Client) -> None:
    body = b'{"pagination":{"pageSize":1}}'
    answer = raw(client, "ListTasks", gzip.compress(body), content_encoding="gzip")
    assert answer.is_success
    assert raw(client, "ListTasks", body, content_encoding="identity").is_success
    for broken in (body, gzip.compress(body)[:-9]):
        answer = raw(client, "ListTasks", broken, content_encoding="gzip")
        assert code(answer, 400) == "invalid_argument"
    answer = raw(client, "ListTasks", body, content_encoding="br")
    assert code(answer, 501) == "unimplemented"


def test_large_bodies_are_refused_however_small_they_come(client: Client) -> None:
    body = b'{"id": "%b"}' % (b"x" * BIG)
    assert code(raw(client, "GetTask", body), 413) == "resource_exhausted"
    answer = raw(client, "GetTask", gzip.compress(body), content_encoding="gzip")
    assert code(answer, 413) == "resource_exhausted"


def test_what_only_reads_may_be_called_by_get(client: Client) -> None:
    environment = new_environment()
    task_id = create(client, environment, "a")
    expected = call(client, "GetTask", {"id": task_id})
    message = json.dumps({"id": task_id})
    packed = urlsafe_b64encode(gzip.compress(message.encode())).rstrip(b"=").decode()
    for query in (
        {"connect": "v1", "encoding": "json", "message": message},
        {"encoding": "json", "message": packed, "base64": "1", "compression": "gzip"},
    ):
        answer = client.get(f"{PATH}GetTask", params=query)
        assert (answer.status_code, answer.json()) == (200, expected)
    binary = urlsafe_b64encode(b"\x0a\x24" + task_id.encode()).decode()
    query = {"encoding": "proto", "message": binary, "base64": "1"}
    answer = client.get(f"{PATH}GetTask", params=query)
    assert answer.headers["content-type"] == PROTO
    assert task_id.encode() in answer.content

    answer = client.get(f"{PATH}ListTasks", params={"encoding": "json"})
    assert answer.json()["tasks"]
    assert client.get(f"{PATH}ListTasks", params={"encoding": "xml"}).status_code == 415
    query = {"encoding": "json", "message": "é", "base64": "1"}
    assert code(client.get(f"{PATH}ListTasks", params=query), 400) == "invalid_argument"


def test_unknown_methods_and_verbs_are_told_in_the_same_way(client: Client) -> None:
    assert code(raw(client, "UpdateService", b"{}"), 404) == "unimplemented"
    answer = client.send("GET", f"{PATH}CreateTask")
    assert code(answer, 405) == "unimplemented"
    assert answer.headers["allow"] == "POST"
    answer = client.send("DELETE", f"{PATH}ListTasks")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_slash_too_many_makes_another_method(client: Client, method: str) -> None:
    headers = {"content-type": JSON}
    answer = client.http.request(method, f"{PATH}ListTasks/", content=b"{}", headers=headers)
    assert code(answer, 404) == "unimplemented"


def test_a_message_may_have_what_a_later_version_knows(client: Client) -> None:
    # A field of the number 99 with the value 1.
    answer = raw(client, "ListTasks", b"\x98\x06\x01", PROTO)
    assert answer.is_success
    assert refused(client, "GetTask", {"id": "x", "later": 1}, "invalid_argument", 400)
