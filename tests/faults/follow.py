"""Followers of event streams, and a proxy that cuts their connections."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw, Struct

from tests.faults.client import LOST, Client, until

HOST: Final = "127.0.0.1"
_PAUSE: Final = 0.01
_RESET: Final = struct.pack("ii", 1, 0)


class Framed(Struct, frozen=True):
    """What of a frame says whom it may concern."""

    sequence: int
    event_type: str
    actor: dict[str, str]
    task: dict[str, object] = {}
    payload: dict[str, object] = {}

    @property
    def task_id(self) -> str:
        """The task of the event, empty when it has none."""
        return str(self.task.get("id", ""))

    @property
    def workspace_id(self) -> str:
        """The workspace of the task, empty when it has none."""
        return str(self.task.get("workspace_id", ""))


class Event(Struct, frozen=True):
    """One event of a stream, with all of its bytes."""

    sequence: int
    type: str
    block: bytes


def recorded(client: Client) -> list[tuple[Framed, Event]]:
    """Return every event of the ledger, as the timeline gives it and as streams have to."""
    reply = client.call("GET", "/api/timeline")
    assert reply.status == 200, reply
    frames = msgspec.json.decode(reply.body, type=_Timeline).timeline
    return [(framed, _event(framed, raw)) for raw in frames for framed in (_framed(raw),)]


class _Timeline(Struct):
    timeline: list[Raw]


_framed = msgspec.json.Decoder(Framed).decode


def _event(framed: Framed, raw: Raw) -> Event:
    name = framed.event_type.encode()
    block = b'id: %d\nevent: %b\ndata: {"sequence":%d,"type":"%b","timeline":%b}' % (
        framed.sequence,
        name,
        framed.sequence,
        name,
        bytes(raw),
    )
    return Event(framed.sequence, framed.event_type, block)


class Follower(threading.Thread):
    """Follows a stream, comes back after every cut, and keeps all it was given."""

    def __init__(
        self, port: int, path: str, *, pause: float = 0.0, piece: int = 1 << 16, buffer: int = 0
    ) -> None:
        """Read `piece` bytes at a time with a `pause` between, through a small receive buffer."""
        super().__init__(name=f"follower of {path}", daemon=True)
        self.path = path
        self.events: list[Event] = []
        self.connections = 0
        self.comments = 0
        self.checkpoints: list[int] = []
        self.broken = ""
        self.goal = 0
        self.stopping = threading.Event()
        self.hurry = threading.Event()
        self._pause = pause
        self._port = port
        self._piece = piece
        self._buffer = buffer
        self.position = 0

    def run(self) -> None:
        """Follow until the goal is reached."""
        try:
            while not self._over():
                with contextlib.suppress(*LOST):
                    self._follow()
                time.sleep(_PAUSE)
        except BaseException:
            self.broken = traceback.format_exc()

    def reach(self, goal: int) -> list[Event]:
        """Wait until the event of a sequence has come, and return all that lead up to it."""
        self.goal = goal
        until(lambda: not self.is_alive(), f"{self.name} stands at {self.position}, not {goal}", 60)
        assert not self.broken, self.broken
        return [event for event in self.events if event.sequence <= goal]

    def _over(self) -> bool:
        return self.stopping.is_set() or 0 < self.goal <= self.position

    def _follow(self) -> None:
        with socket.socket() as connection:
            if self._buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            connection.settimeout(30)
            connection.connect((HOST, self._port))
            resume = f"Last-Event-ID: {self.position}\r\n" if self.position else ""
            head = f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n{resume}\r\n"
            connection.sendall(head.encode())
            answer = http.client.HTTPResponse(connection)
            with contextlib.closing(answer):
                answer.begin()
                assert answer.status == 200, answer.status
                self.connections += 1
                self._read(answer)

    def _read(self, answer: http.client.HTTPResponse) -> None:
        unfinished = b""
        while not self._over():
            piece = answer.read1(self._piece)
            if not piece:
                return
            *blocks, unfinished = (unfinished + piece).split(b"\n\n")
            for block in blocks:
                self._take(block)
            if self._pause:
                self.hurry.wait(self._pause)

    def _take(self, block: bytes) -> None:
        if block.startswith(b":"):
            self.comments += 1
            return
        lines = dict(line.split(b": ", 1) for line in block.split(b"\n"))
        self.position = int(lines[b"id"])
        kind = lines[b"event"].decode()
        if kind == "checkpoint":
            self.checkpoints.append(self.position)
        else:
            self.events.append(Event(self.position, kind, block))


class CuttingProxy:
    """Passes connections on to a port, and cuts each one after some bytes of the answer."""

    def __init__(self, port: int, *, seed: int, most: int) -> None:
        """Let up to `most` bytes of each answer through."""
        self.cuts = 0
        self._upstream = port
        self._chance = random.Random(seed)
        self._most = most
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "CuttingProxy":
        self._acceptor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._acceptor, *self._threads):
            thread.join(60)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                budget = self._chance.randrange(self._most)
                arguments = (connection, budget, self._chance.random() < 0.5)
                thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _serve(self, client: socket.socket, budget: int, reset: bool) -> None:
        with client, contextlib.suppress(OSError), socket.socket() as server:
            client.settimeout(30)
            server.settimeout(30)
            server.connect((HOST, self._upstream))
            server.sendall(client.recv(1 << 16))
            for piece in _pieces(server, budget):
                client.sendall(piece)
            self.cuts += 1
            if reset:
                for end in (client, server):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _pieces(server: socket.socket, budget: int) -> Iterator[bytes]:
    while budget:
        piece = server.recv(min(budget, 1 << 14))
        if not piece:
            return
        budget -= len(piece)
        yield piece
