"""Answers as of a moment are the bytes that the endpoint gave at that moment."""

from collections.abc import Iterator

import pytest

from domain.instants import rfc3339
from tests.api.live import LiveServer, error_of, serving
from tests.machine.gates import START, STEP
from tests.replay.audited import STORY

PATHS = (
    "/api/tasks",
    "/api/tasks?status=ready",
    "/api/tasks/a",
    "/api/tasks/b",
    "/api/tasks/a/tree",
    "/api/tasks/a/runs",
    "/api/tasks/a/timeline",
    "/api/tasks/b/timeline?before_sequence=1000&limit=2",
    "/api/timeline",
    "/api/timeline?type=task.created&limit=2",
    "/api/timeline?before_sequence=1000&limit=3",
    "/api/scheduler",
    "/api/scheduler/backlog",
    "/api/observe/tasks/inbox",
    "/api/observe/tasks/dashboard",
)


class Stepping:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class Told:
    """A server with a history, and what it answered after each event."""

    def __init__(self, server: LiveServer, clock: Stepping) -> None:
        self.server = server
        self.clock = clock
        self.answers: dict[tuple[int, str], tuple[int, bytes]] = {}
        self.times: dict[int, int] = {}
        for method, path, body in STORY:
            clock.now += STEP
            server.client.http.request(method, path, json=body)
            head = server.services.ledger.head
            self.times[head] = clock.now
            for each in PATHS:
                self.answers[head, each] = self.answer(each)
        clock.now += 3600 * 1000 * STEP

    def answer(self, path: str, as_of: str = "") -> tuple[int, bytes]:
        """Return status and body of an answer."""
        if as_of:
            path = f"{path}{'&' if '?' in path else '?'}as_of={as_of}"
        answer = self.server.client.http.get(path)
        return answer.status_code, answer.content


@pytest.fixture(name="told", scope="module")
def _told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    clock = Stepping()
    with serving(tmp_path_factory.mktemp("past"), clock=clock) as server:  # type: ignore[arg-type]
        yield Told(server, clock)


def test_answers_as_of_each_sequence_are_those_given_then(told: Told) -> None:
    for (sequence, path), expected in told.answers.items():
        assert told.answer(path, str(sequence)) == expected, (sequence, path)


def test_answers_as_of_a_time_are_those_given_then(told: Told) -> None:
    for sequence, now in told.times.items():
        for path in PATHS:
            expected = told.answers[sequence, path]
            assert told.answer(path, rfc3339(now)) == expected, (sequence, path)


@pytest.mark.parametrize("text", ["100000", "yesterday", "-3", "", "2026-02-30T00:00:00Z"])
@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/a", "/api/scheduler"])
def test_a_moment_that_is_not_there_is_refused(told: Told, path: str, text: str) -> None:
    complaint = error_of(told.server.client.get(path, params={"as_of": text}), 422)

    assert f"from 0 to {told.server.services.ledger.head} (the head)" in complaint
    assert "RFC 3339" in complaint


@pytest.mark.parametrize("text", ["100000", "9" * 30])
def test_a_sequence_beyond_the_head_is_called_that(told: Told, text: str) -> None:
    complaint = error_of(told.server.client.get("/api/tasks", params={"as_of": text}), 422)

    assert f'"{text}" lies beyond the head' in complaint


@pytest.mark.parametrize(
    "path",
    ["/api/tasks/a/inspect", "/api/tasks/a/stream", "/api/stream"],
)
def test_what_is_told_of_now_alone_does_not_pretend_otherwise(told: Told, path: str) -> None:
    refused = told.server.client.get(path, params={"as_of": "3"})

    assert refused.status_code in {400, 422}
    assert "as_of: this is told of now alone" in refused.json()["error"]


def test_before_the_first_event_there_was_nothing(told: Told) -> None:
    tasks = told.server.client.get("/api/tasks", params={"as_of": "0"})

    assert tasks.json() == {"tasks": []}
    assert told.answer("/api/tasks/a", "0")[0] == 404
