"""A log of 100 MB and an artifact of 1 GB: the server's memory stays as it was."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from http import HTTPStatus
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from tests.faults.serving import Site
from tests.support.server import Server, resident_bytes

MEGABYTE: Final = 1 << 20
CALLS: Final = 10_000
CLIENTS: Final = 16
WARM_UP: Final = 400
LINE: Final = 10_000
ARTIFACT: Final = 1 << 30
PIECE: Final = 1 << 20
ALLOWED: Final = 96 * MEGABYTE
"""Far less than what goes through, and more than what caches take."""
PEAK_SECONDS: Final = 0.05


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
        self.http = httpx2.Client(base_url=server.url, timeout=120, trust_env=False)
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


@pytest.fixture(name="run")
def _run(tmp_path: Path) -> Iterator[Run]:
    with Site(tmp_path).serving() as server:
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


def test_a_log_of_100_megabytes_in_10000_calls_is_flat(run: Run) -> None:
    numbers = count()
    headers = {"content-type": "application/json"}

    def append(calls: int) -> None:
        text = "x" * (LINE - 30)
        # The plainest client there is, so that the time is the server's.
        with closing(HTTPConnection("127.0.0.1", run.server.port)) as connection:
            for _ in range(calls):
                body = f'{{"entries":[{{"n":{next(numbers)},"text":"{text}"}}]}}'
                connection.request("POST", f"{run.path}/append_log/", body, headers)
                with closing(connection.getresponse()) as response:
                    assert response.status == HTTPStatus.OK, response.read()
                    response.read()

    append(WARM_UP)

    def work() -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            calls = (CALLS - WARM_UP) // CLIENTS
            for done in [pool.submit(append, calls) for _ in range(CLIENTS)]:
                done.result()

    grown = peak_of(run, work)
    assert grown < ALLOWED
    seen: list[int] = []

    def read() -> None:
        size = 0
        with run.http.stream("GET", f"{run.path}/logs") as response:
            for line in response.iter_lines():
                size += len(line) + 1
                seen.append(json.loads(line)["n"])
        assert size > CALLS * (LINE - 30)
        with httpx2.stream("GET", run.log_url, timeout=120) as linked:
            assert sum(map(len, linked.iter_bytes())) == size

    assert peak_of(run, read) < ALLOWED
    assert sorted(seen) == list(range(CALLS))


def test_an_artifact_of_a_gigabyte_is_flat_both_ways(run: Run) -> None:
    wish = {"name": "large.bin", "type": "artifact", "size": ARTIFACT}
    (prepared,) = run.ok("POST", f"{run.path}/artifacts/prepare_upload", {"artifacts": [wish]})[
        "artifacts"
    ]
    sent, received = sha256(), sha256()

    def form() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="key"\r\n\r\nx\r\n'
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for number in range(ARTIFACT // PIECE):
            piece = number.to_bytes(8) * (PIECE // 8)
            sent.update(piece)
            yield piece
        yield b"\r\n--b--\r\n"

    def upload() -> None:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        url = prepared["presigned_post"]["url"]
        response = run.http.post(url, content=form(), headers=headers)
        assert response.status_code == 204, response.text

    assert peak_of(run, upload) < ALLOWED
    end = {name: prepared[name] for name in ("id", "name", "type", "storage_path")}
    (stored,) = run.ok("POST", f"{run.path}/artifacts/finalize_upload", {"artifacts": [end]})[
        "artifacts"
    ]
    assert stored["size"] == ARTIFACT

    def download() -> None:
        body = {"storage_path": prepared["storage_path"]}
        with run.http.stream("POST", f"{run.path}/artifacts/download", json=body) as response:
            for piece in response.iter_bytes():
                received.update(piece)

    assert peak_of(run, download) < ALLOWED
    assert received.digest() == sent.digest()
