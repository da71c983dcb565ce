"""A server that answers each connection with the next bytes of a script, then hangs up."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from api.client.http import Connection


class Script:
    """What the server was asked so far: the raw head of each request."""

    def __init__(self, answers: Iterable[bytes]) -> None:
        self.requests: list[str] = []
        self._answers = list(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, send the next answer as it stands, hang up."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.decode())
        if self._answers:
            writer.write(self._answers.pop(0))
            await writer.drain()
        writer.close()


@asynccontextmanager
async def scripted_server(*answers: bytes) -> AsyncIterator[tuple[Script, Connection]]:
    """Yield the script and a connection to the server that plays it."""
    script = Script(answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield script, Connection(server=f"http://127.0.0.1:{port}", retry_seconds=10)


def response(status: str, body: str = "", **headers: str) -> bytes:
    """Return a whole response with a JSON body; `_` in header names stands for `-`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", "Connection: close", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()


def event_stream(frames: str) -> bytes:
    """Return a stream of these frames, which ends when the connection does."""
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    return (head + frames).encode()


def frame(sequence: int, event_type: str = "task.updated") -> str:
    """Return the frame of an event as the server writes it."""
    item = f'{{"sequence":{sequence},"event_type":"{event_type}"}}'
    data = f'{{"sequence":{sequence},"type":"{event_type}","timeline":{item}}}'
    return f"id: {sequence}\nevent: {event_type}\ndata: {data}\n\n"
