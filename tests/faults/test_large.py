"""A log of 100 MB and an artifact of 1 GB: the server's memory stays as it was."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from msgspec import Struct

from tests.faults.serving import Site
from tests.support.places import key_file_in, place_in
from tests.support.server import Server, resident_bytes

MEGABYTE: Final = 1 << 20
CLIENTS: Final = 16
PIECE: Final = MEGABYTE
ALLOWED: Final = 96 * MEGABYTE
"""Far less than what goes through, and more than what caches take."""
PEAK_SECONDS: Final = 0.05
HEADERS: Final = {"content-type": "application/json"}


class Amount(Struct, frozen=True, kw_only=True):
    """How much goes through: calls that each append a line of so many bytes, and an artifact."""

    calls: int
    line: int
    artifact: int


AMOUNTS: Final = {
    "sqlite": Amount(calls=10_000, line=10_000, artifact=1 << 30),
    # As many bytes in fewer lines, too long for events; and still much more than is allowed.
    "postgresql": Amount(calls=400, line=250_000, artifact=1 << 28),
}


class Peak:
    """The most memory that a process occupied while it was watched."""

    def __init__(self, server: Server) -> None:
        self._pid = server.process.pid
        self._done = threading.Event()
        self.bytes = resident_bytes(self._pid)
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(PEAK_SECONDS):
            self.bytes = max(self.bytes, resident_bytes(self._pid))

    def end(self) -> int:
        self._done.set()
        self._thread.join()
        return self.bytes


class Run:
    """A run of PostHog in a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.http = httpx2.Client(base_url=server.url, timeout=120, trust_env=False, verify=False)
        self.ok("PUT", "/api/workspaces/1", {})
        tasks = "/api/projects/1/tasks"
        task = self.ok("POST", f"{tasks}/", {"title": "large"})
        run = self.ok("POST", f"{tasks}/{task['id']}/runs/", {"status": "in_progress"})
        self.path = f"{tasks}/{task['id']}/runs/{run['id']}"
        self.log_url: str = run["log_url"]

    def ok(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        response = self.http.request(method, path, json=body)
        assert response.is_success, response.text
        return dict(response.json())

    @contextmanager
    def answer(self, method: str, url: str, *sent: Any) -> Iterator[HTTPResponse]:
        """Give an answer to the plainest client there is, so that the time is the server's."""
        with closing(HTTPConnection("127.0.0.1", self.server.port)) as connection:
            connection.request(method, url.removeprefix(self.server.url), *sent)
            with closing(connection.getresponse()) as response:
                yield response


@pytest.fixture(name="kind", params=list(AMOUNTS))
def _kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="amount")
def _amount(kind: str) -> Amount:
    return AMOUNTS[kind]


@pytest.fixture(name="run")
def _run(tmp_path: Path, kind: str) -> Iterator[Run]:
    place, key_file = place_in(tmp_path, kind), key_file_in(tmp_path, kind)
    with Site(tmp_path, place=place, secret_key_file=key_file).serving() as server:
        run = Run(server)
        yield run
        run.http.close()


def peak_of(run: Run, work: Callable[[], None]) -> int:
    """Return how much more memory the server occupied at most while this was done."""
    before = resident_bytes(run.server.process.pid)
    peak = Peak(run.server)
    try:
        work()
    finally:
        most = peak.end()
    return most - before


def test_a_log_of_100_megabytes_is_flat(run: Run, amount: Amount) -> None:
    numbers = count()
    text = "x" * amount.line

    def append(calls: int) -> None:
        with closing(HTTPConnection("127.0.0.1", run.server.port)) as connection:
            for _ in range(calls):
                body = f'{{"entries":[{{"n":{next(numbers)},"text":"{text}"}}]}}'
                connection.request("POST", f"{run.path}/append_log/", body, HEADERS)
                with closing(connection.getresponse()) as response:
                    assert response.status == HTTPStatus.OK, response.read()
                    response.read()

    warm_up = amount.calls % CLIENTS + 10 * CLIENTS
    append(warm_up)

    def work() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            calls = (amount.calls - warm_up) // CLIENTS
            for done in [pool.submit(append, calls) for _ in range(CLIENTS)]:
                done.result()

    assert peak_of(run, work) < ALLOWED
    found: list[bytes] = []

    def read() -> None:
        for url in (f"{run.path}/logs", run.log_url):
            with run.answer("GET", url) as response:
                found.append(response.read())

    assert peak_of(run, read) < ALLOWED
    whole, linked = found
    assert whole == linked
    seen = [json.loads(line)["n"] for line in whole.splitlines()]
    assert len(whole) > amount.calls * amount.line
    assert sorted(seen) == list(range(amount.calls))


def test_an_artifact_of_a_gigabyte_is_flat_both_ways(run: Run, amount: Amount) -> None:
    wish = {"name": "large.bin", "type": "artifact", "size": amount.artifact}
    (prepared,) = run.ok("POST", f"{run.path}/artifacts/prepare_upload", {"artifacts": [wish]})[
        "artifacts"
    ]

    def content() -> Iterator[bytes]:
        for number in range(amount.artifact // PIECE):
            yield number.to_bytes(8) * (PIECE // 8)

    def form() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nx\r\n'
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
        yield from content()
        yield b"\r\n--b--\r\n"

    def upload() -> None:
        kind = {"content-type": "multipart/form-data; boundary=b"}
        with run.answer("POST", prepared["presigned_post"]["url"], form(), kind) as response:
            assert response.status == HTTPStatus.NO_CONTENT, response.read()

    assert peak_of(run, upload) < ALLOWED
    end = {name: prepared[name] for name in ("id", "name", "type", "storage_path")}
    (stored,) = run.ok("POST", f"{run.path}/artifacts/finalize_upload", {"artifacts": [end]})[
        "artifacts"
    ]
    assert stored["size"] == amount.artifact

    def download() -> None:
        body = json.dumps({"storage_path": prepared["storage_path"]})
        path = f"{run.path}/artifacts/download"
        with run.answer("POST", path, body, HEADERS) as response:
            for expected in content():
                assert response.read(PIECE) == expected
            assert response.read() == b""

    assert peak_of(run, download) < ALLOWED
