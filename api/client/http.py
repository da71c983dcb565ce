"""Requests to the server, repeated while it cannot be reached or says that it is unavailable."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from api.client.backoff import delays, retry_after
from api.client.documents import JsonObject, JsonValue
from api.client.errors import ClientError, ProtocolError, UnreachableError, error_of

DEFAULT_SERVER = "http://127.0.0.1:8420"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
UNAVAILABLE = 503
NO_CONTENT = 204
FIRST_ERROR = 400
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# The request cannot have reached the server, so sending it again cannot do anything twice.
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server is, how to be let in, and how long to keep trying (seconds)."""

    server: str = DEFAULT_SERVER
    token: str = ""
    retry_seconds: float = 3.0
    headers: dict[str, str] = {}


class LedgerClient:
    """An asynchronous client; use it as `async with LedgerClient(connection) as client`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        address = urlsplit(connection.server)
        local = address.hostname in LOOPBACK
        authorization = {"Authorization": f"Bearer {connection.token}"} if connection.token else {}
        self._http = httpx2.AsyncClient(
            base_url=connection.server,
            headers={"Accept": "application/json"} | authorization | connection.headers,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A proxy that the environment names cannot lead to this machine itself.
            trust_env=not local,
            # Reading what all authorities signed takes longer than a plain request to it.
            verify=SSLContext(PROTOCOL_TLS_CLIENT) if local and address.scheme == "http" else True,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._http)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def http(self) -> httpx2.AsyncClient:
        """The connection pool, with address and credentials set."""
        return self._http

    async def get(self, path: str, **query: JsonValue) -> JsonValue:
        """Return the decoded answer; query members that are None are left out."""
        return await self.request("GET", path, query=query, repeatable=True)

    async def post(
        self, path: str, body: JsonObject | None = None, *, repeatable: bool = False
    ) -> JsonValue:
        """Return the decoded answer to a POST, None for an empty one.

        `repeatable` says that sending it twice does no more than once; only then is it sent again
        after a connection that broke before the answer came.
        """
        return await self.request("POST", path, body=body or {}, repeatable=repeatable)

    async def put(self, path: str, body: JsonObject) -> JsonValue:
        """Return the decoded answer to a PUT."""
        return await self.request("PUT", path, body=body, repeatable=True)

    async def delete(self, path: str) -> JsonValue:
        """Return the decoded answer to a DELETE, None for an empty one."""
        return await self.request("DELETE", path, repeatable=True)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        query: Mapping[str, JsonValue] | None = None,
        repeatable: bool,
        patience: float | None = None,
        answer_seconds: float | None = ANSWER_SECONDS,
    ) -> JsonValue:
        """Return the decoded answer, trying again for `patience` seconds.

        Raises ApiError when the server refuses, UnreachableError when it cannot be reached and
        ProtocolError when the answer is not one of this API.
        """
        limit = self.connection.retry_seconds if patience is None else patience
        give_up = time.monotonic() + limit
        waits = delays()
        request = self._build(method, path, body, query, answer_seconds)
        while True:
            asked = 0.0
            try:
                return decoded(await self._http.send(request))
            except httpx2.TransportError as error:
                failure: ClientError = self._unreachable(error)
                again = repeatable or isinstance(error, NEVER_SENT)
            except httpx2.RequestError as error:
                raise ProtocolError(f"{method} {path}: {error}") from error
            except Unavailable as error:
                failure, again, asked = error.failure, True, error.wait
            left = give_up - time.monotonic()
            if not again or left <= asked:
                raise failure
            # The last try is at the very end of the time there is.
            await asyncio.sleep(max(asked, min(next(waits), left)))

    def _build(
        self,
        method: str,
        path: str,
        body: JsonObject | None,
        query: Mapping[str, JsonValue] | None,
        answer_seconds: float | None,
    ) -> httpx2.Request:
        return self._http.build_request(
            method,
            path,
            params=dict(pairs(query or {})),
            content=None if body is None else msgspec.json.encode(body),
            headers=None if body is None else {"Content-Type": "application/json"},
            timeout=httpx2.Timeout(answer_seconds, connect=CONNECT_SECONDS),
        )

    def _unreachable(self, error: httpx2.TransportError) -> UnreachableError:
        return unreachable(self.connection.server, error)


class Unavailable(Exception):  # noqa: N818 - a signal to try again, not an error of its own
    """The server asks to come back later, in `wait` seconds."""

    def __init__(self, failure: ClientError, wait: float) -> None:
        self.failure = failure
        self.wait = wait
        super().__init__(str(failure))


def unreachable(server: str, error: httpx2.TransportError) -> UnreachableError:
    """Return the error that a failed exchange with this server stands for."""
    return UnreachableError(server, str(error) or type(error).__name__)


def decoded(response: httpx2.Response) -> JsonValue:
    """Return the JSON of a good answer, None when it has no body.

    Raises ApiError for a refusal, Unavailable for 503 and ProtocolError for anything unexpected.
    """
    if response.status_code >= FIRST_ERROR:
        raise refusal(response)
    if response.status_code == NO_CONTENT or not response.content:
        return None
    try:
        return msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        where = f"{response.request.method} {response.request.url}"
        raise ProtocolError(f"{where} did not answer with JSON: {error}") from error


def refusal(response: httpx2.Response) -> Exception:
    """Return what to raise for a response whose body has been read and whose status is an error."""
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        body = None
    request = response.request
    phrase = f"{request.method} {request.url} did not answer as taskledger does"
    if response.reason_phrase:
        phrase += f": {response.reason_phrase}"
    failure = error_of(response.status_code, phrase, body)
    if response.status_code == UNAVAILABLE:
        headers = response.headers
        return Unavailable(failure, retry_after(headers.get("Retry-After"), headers.get("Date")))
    return failure


def pairs(query: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """Yield the query members that say something, as text."""
    for name, value in query.items():
        if value is None or value == "" or value is False:
            continue
        yield name, "true" if value is True else str(value)
