"""A server on a thread, and a client that holds every answer against the served document."""

import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx2
from jsonschema import Draft202012Validator
from msgspec.structs import replace
from starlette.routing import BaseRoute

from api.server import Server, listen
from api.services import Services, build, now
from api.settings import Settings
from tests.support.places import key_file_in, place_in

START_SECONDS: Final = 20
HANG_SECONDS: Final = 120
"""Nothing takes so long, however busy the machine is: who waits for it waits for ever."""
NEVER: Final = 86_400
"""So many seconds are longer than any test."""

JsonObject = dict[str, Any]


class Clock:
    """The real time, which tests may let jump ahead."""

    def __init__(self) -> None:
        self._ahead = 0

    def __call__(self) -> int:
        return now() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += round(seconds * 1_000_000)


class StoppedClock(Clock):
    """A time that goes on only as tests let it."""

    def __init__(self) -> None:
        super().__init__()
        self._start = now()

    def __call__(self) -> int:
        return self._start + self._ahead


class Document:
    """The served OpenAPI document, as a judge of answers."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self._schemas = document["components"]
        self._validators: dict[str, Draft202012Validator] = {}
        self._operations = [
            (method.upper(), _pattern(path), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def operation(self, method: str, path: str) -> JsonObject | None:
        """Return the operation that a request is meant for; literal paths go first."""
        found = [
            (pattern, operation)
            for known, pattern, operation in self._operations
            if known == method and pattern.fullmatch(path)
        ]
        return min(found, key=lambda each: each[0].pattern.count("["), default=(None, None))[1]

    def check(self, response: httpx2.Response) -> None:
        """Assert that the answer is one the document announces."""
        request = response.request
        path = request.url.raw_path.decode().split("?")[0]
        # Facades take a slash at the end of a path, which the document does not mention.
        operation = self.operation(request.method, path.removesuffix("/"))
        if operation is None:
            return
        announced = operation["responses"].get(str(response.status_code))
        assert announced is not None, f"{response.status_code} is not announced: {response.text}"
        content = announced.get("content", {})
        kind = response.headers.get("content-type", "").partition(";")[0]
        assert content.keys() & {kind, "*/*"} or not (content or response.content), (
            kind,
            response.text,
        )
        if kind == "application/json" and kind in content:
            self.check_value(response.json(), content[kind]["schema"])

    def check_value(self, value: Any, schema: JsonObject) -> None:
        """Assert that a JSON value is as its schema says."""
        known = json.dumps(schema)
        if known not in self._validators:
            whole = {**schema, "components": self._schemas}
            self._validators[known] = Draft202012Validator(whole)
        self._validators[known].validate(value)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{[^}]+\}", "[^/]*", path))


class Client:
    """Sends requests; each answer is checked against the document."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        # Without the certificates of authorities, which are many to read for every client.
        self.http = httpx2.Client(base_url=url, timeout=HANG_SECONDS, trust_env=False, verify=False)
        self.document: Document | None = None

    def close(self) -> None:
        self.http.close()

    def like(self, **headers: str) -> "Client":
        """Return a client that sends these headers as well; `_` stands for `-`."""
        other = copy(self)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        other.headers = {**self.headers, **named}
        return other

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Return the checked answer; `json` is the body, `content` a raw one."""
        if self.document is None:
            self.document = Document(self.http.get("/openapi.json").json())
        headers = {**self.headers, **options.pop("headers", {})}
        response = self.http.request(method, path, headers=headers, **options)
        self.document.check(response)
        return response

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        if body is not None:
            options["json"] = body
        return self.send("POST", path, **options)

    def ok(self, method: str, path: str, body: Any = None, status: int = 0) -> JsonObject:
        """Return the JSON of a success, the one expected when `status` is given."""
        options = {} if body is None else {"json": body}
        response = self.send(method, path, **options)
        assert response.status_code == status or (not status and response.is_success), (
            response.status_code,
            response.text,
        )
        return dict(response.json()) if response.content else {}

    def create(self, **fields: Any) -> JsonObject:
        """Return a new task."""
        body = {"scope": "global", "title": "a task", **fields}
        return dict(self.ok("POST", "/api/tasks", body, 201)["task"])

    def enqueue(self, task_id: str, **fields: Any) -> JsonObject:
        """Return a new run of a task."""
        return dict(self.ok("POST", f"/api/tasks/{task_id}/runs", fields, 201)["run"])

    def agent(self, session_id: str = "s1", name: str = "coder") -> "Client":
        """Return a client that speaks for an agent session."""
        return self.like(X_AGH_Session_ID=session_id, X_AGH_Agent=name)


class LiveServer:
    """A server that runs until `stop`."""

    def __init__(self, services: Services, routes: Iterable[BaseRoute] = ()) -> None:
        self.services = services
        self.settings = services.settings
        self._routes = routes
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.client = Client(self.url)

    @contextmanager
    def running(self, listener: Any) -> Iterator["LiveServer"]:
        server = self._server = Server(self.services, self._routes)
        thread = self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            give_up = time.monotonic() + START_SECONDS
            while not server.started and thread.is_alive() and time.monotonic() < give_up:
                time.sleep(0.01)
            assert server.started
            yield self
        finally:
            self.stop()
            self.client.close()
            self.services.close()

    @property
    def connections(self) -> int:
        """How many clients are connected, as far as the server knows."""
        return len(self._server.server_state.connections)

    def stop(self) -> None:
        """End the server; twice is no error."""
        self._server.should_exit = True
        self._thread.join()


@contextmanager
def serving(
    folder: Path,
    *,
    clock: Clock | None = None,
    prepare: Any = None,
    routes: Iterable[BaseRoute] = (),
    **settings: Any,
) -> Iterator[LiveServer]:
    """Give a running server over a store in `folder`; `prepare` gets its services before."""
    usual = {"port": 0, "store": place_in(folder), "secret_key_file": key_file_in(folder)}
    wanted = Settings(**{**usual, **settings})
    with listen(wanted) as listener:
        services = build(replace(wanted, port=listener.getsockname()[1]), clock or now)
        if prepare is not None:
            prepare(services)
        with LiveServer(services, routes).running(listener) as server:
            yield server


def time_of(text: str) -> datetime:
    """Return a time that was told; texts do not compare, as zeros at their ends are left out."""
    return datetime.fromisoformat(text)


def error_of(response: httpx2.Response, status: int) -> str:
    """Return the text of a refusal with this status."""
    assert response.status_code == status, (response.status_code, response.text)
    return str(json.loads(response.content)["error"])
