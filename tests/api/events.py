"""Reads server-sent events from a live stream."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from msgspec import Struct

from tests.api.live import Client


class Event(Struct, frozen=True):
    """One event of a stream."""

    id: int
    name: str
    data: dict[str, Any]


class EventStream:
    """The events of one connection, and how many comments came between them."""

    def __init__(self, response: httpx2.Response, client: Client) -> None:
        self.response = response
        self.comments = 0
        self._lines = response.iter_lines()
        self._client = client

    def next(self) -> Event:
        """Return the next event, held against the document."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                return self._event(fields)
        raise EOFError("the stream has ended")

    def _event(self, fields: dict[str, str]) -> Event:
        assert set(fields) == {"id", "event", "data"}
        event = Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
        assert event.data["sequence"] == event.id
        if event.name != "checkpoint":
            document = self._client.document
            assert document is not None
            operation = document.operation("GET", self.response.request.url.path)
            assert operation is not None
            content = operation["responses"]["200"]["content"]["text/event-stream"]
            document.check_value(event.data, content["schema"])
            assert event.data["type"] == event.name == event.data["timeline"]["event_type"]
        return event

    def take(self, count: int) -> list[Event]:
        """Return so many events."""
        return [self.next() for _ in range(count)]

    def wait_for_comment(self) -> None:
        """Return when another comment has come."""
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
                return

    def rest(self) -> Iterator[str]:
        """Yield the lines until the server ends the stream."""
        return self._lines


@contextmanager
def following(client: Client, path: str, **headers: str) -> Iterator[EventStream]:
    """Give an open stream."""
    client.ok("GET", "/healthz")
    sent = {**client.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    with client.http.stream("GET", path, headers=sent) as response:
        assert response.status_code == 200, response.read()
        yield EventStream(response, client)
