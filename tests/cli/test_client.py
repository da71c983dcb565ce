import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import pytest

from api.client.backoff import delays, retry_after
from api.client.errors import ApiError, ClientError, ProtocolError, UnreachableError
from api.client.http import Connection, LedgerClient
from api.client.stream import EventStream
from tests.cli.scripted import Script, event_stream, frame, response, scripted_server

Action = Callable[[LedgerClient], Awaitable[object]]
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


def play(action: Action, *answers: bytes, patience: float = 10) -> tuple[object, Script]:
    async def played() -> tuple[object, Script]:
        async with scripted_server(*answers) as (script, connection):
            patient = Connection(server=connection.server, token="s3cret", retry_seconds=patience)
            async with LedgerClient(patient) as client:
                try:
                    return await action(client), script
                except ClientError as error:
                    return error, script

    return asyncio.run(played())


def test_an_answer_is_decoded_and_the_token_is_sent() -> None:
    answer, script = play(
        lambda client: client.get("/api/tasks", limit=2, status=None, include_drafts=True),
        response("200 OK", '{"tasks":[]}'),
    )

    assert answer == {"tasks": []}
    assert script.requests[0].startswith("GET /api/tasks?limit=2&include_drafts=true HTTP/1.1")
    assert "authorization: bearer s3cret" in script.requests[0].lower()


def test_an_empty_answer_is_none() -> None:
    answer, _ = play(lambda client: client.delete("/x"), response("204 No Content"))

    assert answer is None


def test_a_refusal_keeps_status_text_and_diagnostic() -> None:
    body = '{"error":"Reason required: pause","diagnostic":{"code":"force_op_requires_reason"}}'
    error, _ = play(lambda client: client.post("/x"), response("422 Unprocessable", body))

    assert isinstance(error, ApiError)
    assert (error.status, error.code) == (422, "force_op_requires_reason")
    assert str(error) == "Reason required: pause (HTTP 422)"


def test_a_refusal_without_json_is_told_by_its_phrase() -> None:
    error, _ = play(lambda client: client.get("/x"), response("404 Not Found", "404 page"))

    assert re.fullmatch(
        r"GET http://127.0.0.1:\d+/x did not answer as taskledger does: Not Found \(HTTP 404\)",
        str(error),
    )


def test_an_answer_that_is_no_json_is_a_protocol_error() -> None:
    error, _ = play(lambda client: client.get("/x"), response("200 OK", "<html>"))

    assert isinstance(error, ProtocolError)


def test_an_unavailable_server_is_asked_again_after_the_time_it_names() -> None:
    begin = time.monotonic()
    answer, script = play(
        lambda client: client.post("/x"),
        response("503 Service Unavailable", "{}", Retry_After="1"),
        response("200 OK", "1"),
    )

    assert answer == 1
    assert len(script.requests) == 2
    assert time.monotonic() - begin >= 1


def test_a_server_that_stays_unavailable_is_given_up() -> None:
    error, script = play(
        lambda client: client.get("/x"),
        response("503 Service Unavailable", '{"error":"store unavailable"}', Retry_After="60"),
    )

    assert isinstance(error, ApiError)
    assert not error.refused
    assert len(script.requests) == 1


def test_a_repeatable_request_is_sent_again_when_the_connection_breaks() -> None:
    answer, script = play(
        lambda client: client.post("/x", repeatable=True), b"", response("200 OK", "1")
    )

    assert answer == 1
    assert len(script.requests) == 2


def test_a_request_that_may_have_been_done_is_not_sent_again() -> None:
    error, script = play(lambda client: client.post("/x"), b"", response("200 OK", "1"))

    assert isinstance(error, UnreachableError)
    assert len(script.requests) == 1


def test_a_closed_port_is_unreachable() -> None:
    async def ask() -> None:
        async with LedgerClient(Connection(server="http://127.0.0.1:1", retry_seconds=0)) as client:
            await client.get("/x")

    with pytest.raises(UnreachableError, match=r"cannot reach http://127.0.0.1:1: .+"):
        asyncio.run(ask())


def collect(count: int, after: int = 0, patience: float = 5) -> Action:
    async def collected(client: LedgerClient) -> list[int]:
        stream = EventStream(client, after=after, patience=patience)
        found: list[int] = []
        async with aclosing(aiter(stream)) as items:  # type: ignore[type-var]
            async for item in items:
                found.append(item["sequence"])
                if len(found) == count:
                    break
        return found

    return collected


def test_a_stream_that_breaks_anywhere_is_resumed_without_loss_or_repeat() -> None:
    frames = ": hello\n\n" + "".join(map(frame, (3, 5, 8)))
    cut = frames.index("id: 8") + 20
    found, script = play(
        collect(4),
        event_stream(frames[:cut]),
        response("503 Service Unavailable", "{}"),
        event_stream("".join(map(frame, (5, 8)))),
        event_stream("".join(map(frame, (8, 9)))),
    )

    assert found == [3, 5, 8, 9]
    resumed = [
        line.partition(": ")[2]
        for request in script.requests
        for line in request.split("\r\n")
        if line.lower().startswith("last-event-id")
    ]
    assert resumed == ["0", "5", "5", "8"]


def test_a_stream_resumes_at_the_checkpoint_it_has_passed() -> None:
    checkpoint = 'id: 20\nevent: checkpoint\ndata: {"sequence":20}\n\n'
    found, script = play(collect(2), event_stream(frame(3) + checkpoint), event_stream(frame(21)))

    assert found == [3, 21]
    assert "last-event-id: 20\r\n" in script.requests[1].lower()


def test_frames_without_an_id_are_not_events_of_the_ledger() -> None:
    found, _ = play(collect(1, after=4), event_stream("event: note\ndata: x\n\n" + frame(6)))

    assert found == [6]


def test_a_refused_stream_ends() -> None:
    error, _ = play(collect(1), response("404 Not Found", '{"error":"task: task not found"}'))

    assert str(error) == "task: task not found (HTTP 404)"


def test_an_answer_that_is_no_stream_is_a_protocol_error() -> None:
    error, _ = play(collect(1), response("200 OK", "{}"))

    assert isinstance(error, ProtocolError)


def test_a_stream_gives_up_a_server_that_stays_away() -> None:
    error, _ = play(collect(1, patience=0.3), b"", b"", b"", b"", b"", b"", b"", b"")

    assert isinstance(error, UnreachableError)


def test_delays_grow_up_to_the_longest() -> None:
    waits = delays(first=1, longest=4)
    drawn = [next(waits) for _ in range(6)]

    assert all(
        limit / 2 <= wait <= limit for wait, limit in zip(drawn, [1, 2, 4, 4, 4, 4], strict=True)
    )


@pytest.mark.parametrize(
    ("asked", "answered_at", "seconds"),
    [
        ("7", None, 7.0),
        (" 0 ", None, 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", DATE, 30.0),
        ("Wed, 21 Oct 2026 07:27:30 GMT", DATE, 0.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, 0.0),
        ("soon", DATE, 0.0),
        (None, DATE, 0.0),
    ],
)
def test_retry_after_is_a_duration_or_a_date(
    asked: str | None, answered_at: str | None, seconds: float
) -> None:
    assert retry_after(asked, answered_at) == seconds
