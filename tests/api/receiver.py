"""A receiver of webhooks: a real HTTP server that does what it is told to."""

import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Request:
    """What came in."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def delivery_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)

    def signed_with(self, secret: str) -> bool:
        """Whether the signature holds, worked out without the code of the server."""
        assert secret.startswith("whsec_")
        key = base64.b64decode(secret[len("whsec_") :])
        stamp = self.headers["webhook-timestamp"]
        assert abs(int(stamp) - time.time()) < 60
        content = f"{self.delivery_id}.{stamp}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split()


class Receiver:
    """`behave` gives the status of each request; it may take its time."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.location = ""
        self.port = 0
        self.behave: Callable[[Request], int] = lambda _: 204
        self.released = threading.Event()
        self.most_at_once = 0
        self._now = 0
        self._changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, request: Request) -> int:
        with self._changed:
            self.requests.append(request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self._changed.notify_all()
        try:
            return self.behave(request)
        finally:
            with self._changed:
                self._now -= 1

    def hang(self, _: Request) -> int:
        """Answer only when released."""
        self.released.wait(30)
        return 204

    def wait_for(self, count: int, seconds: float = 60) -> list[Request]:
        """Return the requests as soon as there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, seconds), (
                f"{len(self.requests)} of {count} requests"
            )
            return list(self.requests)

    def to(self, peer_id: str) -> list[Request]:
        """Return the requests meant for somebody."""
        return [each for each in self.requests if each.document["data"]["peer_id"] == peer_id]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


@contextmanager
def receiving(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Give a receiver that listens."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = receiver.take(Request(self.path, headers, body))
            self.send_response(status)
            if receiver.location:
                self.send_header("location", receiver.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", port), Handler)
    receiver.port = server.server_address[1]
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
