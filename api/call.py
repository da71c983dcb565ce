"""One request on its way through an operation: its body, parameters, caller and context."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect

from api.answers import REPLAYED, Answer
from api.identity import Caller
from api.operations import Operation
from api.parsing import MAX_BODY, Body, BodyReader, Query, QueryReader
from domain.commands import Command
from domain.errors import DomainError, PermissionDeniedError, ValidationError
from domain.world import Context

if TYPE_CHECKING:
    from api.services import Services
    from replay.committer import Outcome

B = TypeVar("B", bound=Body)
Q = TypeVar("Q", bound=Query)

_TRACE_PARTS: Final = 4
_encode: Final = msgspec.json.Encoder().encode


class BodyTooLargeError(Exception):
    """The body is longer than the server takes."""


class Prepared:
    """An operation with its readers, made once."""

    __slots__ = ("body", "operation", "query")

    def __init__(self, operation: Operation) -> None:
        """Prepare the readers that the operation needs."""
        self.operation = operation
        self.body = (
            BodyReader(operation.body, operation.what, required=operation.body_required)
            if operation.body
            else None
        )
        self.query = QueryReader(operation.query) if operation.query else None


class Call:
    """A request that was routed and let in."""

    __slots__ = ("_prepared", "caller", "headers", "receive", "scope", "services", "values")

    def __init__(
        self,
        *,
        services: "Services",
        prepared: Prepared,
        scope: Any,
        receive: Any,
        headers: Mapping[bytes, bytes],
        values: list[str],
        caller: Caller,
    ) -> None:
        """Keep what handlers need."""
        self.services = services
        self.scope = scope
        self.receive = receive
        self.headers = headers
        self.values = values
        self.caller = caller
        self._prepared = prepared

    @property
    def id(self) -> str:
        """The first value in the path; raises ValidationError when blank."""
        return self.value(0)

    def value(self, position: int) -> str:
        """Return a value in the path; raises ValidationError when blank."""
        value = self.values[position]
        if not value:
            label = self._prepared.operation.labels[position]
            raise ValidationError(f"{label} is required")
        return value

    async def read(self, kind: type[B]) -> B:
        """Return the body; raises ValidationError, BodyTooLargeError or ClientDisconnect."""
        reader = self._prepared.body
        assert reader is not None
        body = reader.read(await self.body())
        assert isinstance(body, kind)
        return body

    async def body(self) -> bytes:
        """Return the body as it was sent; raises BodyTooLargeError or ClientDisconnect."""
        return await read_body(self.receive, self._prepared.operation.max_body)

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes in; raises as `body` does."""
        return body_chunks(self.receive, self._prepared.operation.max_body)

    def query(self, kind: type[Q]) -> Q:
        """Return the query parameters; raises ValidationError."""
        reader = self._prepared.query
        assert reader is not None
        query = reader.read(self.scope["query_string"])
        assert isinstance(query, kind)
        return query

    def context(self) -> Context:
        """Return who commands, when, and the ids to use."""
        services = self.services
        return Context(
            actor=self.caller.actor,
            origin=self.caller.origin(self._prepared.operation.action),
            now=services.clock(),
            command_id=services.new_id("cmd"),
            new_id=services.new_id,
            correlation_id=_trace_id(self.headers.get(b"traceparent")),
            workspace_limit=self.caller.workspace_limit,
            policy=services.policy,
        )

    async def submit(
        self, command: Command, *, gone: Callable[[], bool] | None = None
    ) -> "Outcome":
        """Return the outcome of a command once it is durable; raises DomainError.

        With `gone` it raises AbandonedError when that says so before the command is decided.
        """
        return await self.services.committer.submit(command, self.context(), gone=gone)

    async def submit_together(self, commands: Iterable[Command]) -> "list[Outcome | DomainError]":
        """Return what each of at least one command came to; what was accepted is one commit."""
        return await self.services.committer.submit_together(commands, self.context())

    def reply(self, reply: msgspec.Struct, *, replayed: bool = False) -> Answer:
        """Return the answer of a success."""
        operation = self._prepared.operation
        if not replayed:
            return Answer(operation.success, _encode(reply))
        status = operation.repeated_success or operation.success
        return Answer(status, _encode(reply), REPLAYED)

    def require_workspace(self, workspace_id: str, what: str) -> None:
        """Let a read pass that stays inside the token's workspace; raises PermissionDenied."""
        limit = self.caller.workspace_limit
        if limit and workspace_id != limit:
            message = f'the token is bound to workspace "{limit}"; {what} is outside it'
            raise PermissionDeniedError(message)


async def read_body(receive: Any, most: int = MAX_BODY) -> bytes:
    """Return the whole body; raises BodyTooLargeError or ClientDisconnect."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if len(body) <= most and not message.get("more_body") and message["type"] == "http.request":
        return body
    chunks, size = [body], len(body)
    while message.get("more_body") and size <= most:
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
    if size > most:
        raise BodyTooLargeError
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return b"".join(chunks)


async def body_chunks(receive: Any, most: int) -> AsyncIterator[bytes]:
    """Yield the body as it comes in; raises BodyTooLargeError or ClientDisconnect."""
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise BodyTooLargeError
        if chunk:
            yield chunk
        more = message.get("more_body", False)


def _trace_id(traceparent: bytes | None) -> str:
    """Return the trace id of a traceparent header, empty when there is none."""
    if not traceparent:
        return ""
    parts = traceparent.decode("latin-1").strip().split("-")
    well_formed = len(parts) >= _TRACE_PARTS and len(parts[1]) == 32  # noqa: PLR2004
    return parts[1].lower() if well_formed and parts[1].isalnum() else ""
