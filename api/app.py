"""The application: one table of operations behind guards, everything else through Starlette."""

import logging
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from api.access import ForbiddenError, UnauthorizedError, allow
from api.answers import (
    CROSS_ORIGIN,
    NO_CONTENT,
    NO_STORE,
    RETRY,
    SECURITY,
    Answer,
    Headers,
    Stream,
    send_answer,
    send_stream,
)
from api.call import BodyTooLargeError, Call, Prepared
from api.dialects import Dialect, Refused
from api.errors import error_body, phrase_of, status_of
from api.identity import LOCAL, caller_of
from api.numbers import UNKNOWN
from api.openapi import document
from api.operations import Operation
from api.past import REWINDING, Pasts, wanted
from api.redaction import log_failure, redact_text
from api.routes import OPERATIONS
from api.routing import Router
from api.services import Services
from domain.errors import DomainError, ValidationError
from domain.registry import TokenState
from replay.errors import StoreUnavailableError

_LOG: Final = logging.getLogger("taskledger")
_CHALLENGE: Final[Headers] = ((b"www-authenticate", b"Bearer"),)
_SAFE: Final = frozenset({"GET", "HEAD"})
TOKEN_KEY: Final = "taskledger.token"

Found = tuple[Prepared, list[str]] | None


class AnsweredError(Exception):
    """The request is answered at the door."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        self.answer = answer
        super().__init__(answer.status)


class RefusedError(Exception):
    """The request is refused at the door."""

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        """Keep what to say."""
        self.status = status
        self.headers = headers
        super().__init__(text)


class Application(Starlette):
    """Lets requests in, finds the operation, and turns what comes back into an answer.

    Operations are found here, without middleware; other routes go through Starlette with the same
    guards in front. The token a request was let in with is `scope["taskledger.token"]`.
    """

    def __init__(self, services: Services, extra_routes: Iterable[BaseRoute] = ()) -> None:
        """Build the tables once."""
        super().__init__(routes=[*extra_routes], lifespan=_lifespan)
        self.router.default = _not_found
        self.state.services = services
        services.document = _document()
        self._services = services
        self._numbers = services.numbers
        self._pasts = Pasts(services)
        self._guard = services.guard
        self._access = services.access
        self._router = Router(map(Prepared, OPERATIONS))
        dialects = (operation.dialect for operation in OPERATIONS)
        self._dialects = {each.prefix: each for each in dialects if each}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        extra = ((b"access-control-allow-origin", origin),) if origin else ()
        found: Found = None
        begin = perf_counter()
        try:
            found = self._find(scope)
            token = self._let_in(scope, headers, found)
            if found is None:
                scope[TOKEN_KEY] = token
                await self._pass_on(scope, receive, send, extra)
                return
            answer = await self._operate(found, scope, receive, headers, token)
        except ClientDisconnect:
            return
        except Exception as error:
            answer = _refused(error, found, self._dialect_of(scope, found))
        name = found[0].operation.operation_id if found else UNKNOWN
        if isinstance(answer, Stream):
            self._numbers.answered(name, HTTPStatus.OK)
            self._numbers.streams += 1
            until = self._access.until_refused(token) if answer.follows else None
            try:
                await _send_stream(answer, receive, send, extra, until)
            finally:
                self._numbers.streams -= 1
        else:
            self._numbers.answered(name, answer.status)
            self._numbers.took(name, perf_counter() - begin)
            await send_answer(answer, send, extra)

    def _find(self, scope: Scope) -> Found:
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        found = self._router.find(method, path)
        if found is not None:
            return found
        if method == "HEAD" and not path.startswith("/api/"):
            return self._router.find("GET", path)
        dialect = self._dialect_of(scope, None)
        if dialect is not None and dialect.trailing_slash and path.endswith("/"):
            path = path[:-1]
            if (found := self._router.find(method, path)) is not None:
                return found
        moved = dialect is None and path.endswith("/")
        if moved and self._router.find(method, path[:-1]) is not None:
            location = path[:-1].encode("latin-1")
            if scope["query_string"]:
                location += b"?" + scope["query_string"]
            status = 301 if method == "GET" else 307
            raise AnsweredError(Answer(status, headers=((b"location", location),)))
        if method != "OPTIONS" and (allowed := self._router.methods(path)):
            allow = (b"allow", ", ".join(allowed).encode())
            raise RefusedError(405, "method not allowed", allow)
        return None

    def _dialect_of(self, scope: Scope, found: Found) -> Dialect | None:
        """Return how to refuse a request, None for the task API's own way."""
        if found is not None:
            return found[0].operation.dialect
        path: str = scope["path"]
        matching = (each for prefix, each in self._dialects.items() if path.startswith(prefix))
        return next(matching, None)

    def _let_in(
        self, scope: Scope, headers: Mapping[bytes, bytes], found: Found
    ) -> TokenState | None:
        """Return the access token of the request, if any is needed; raises what refuses it."""
        origin = headers.get(b"origin")
        if origin and not self._guard.admits_origin(origin, headers, scope["scheme"]):
            raise RefusedError(403, "origin not allowed")
        if scope["method"] == "OPTIONS":
            raise AnsweredError(NO_CONTENT)
        operation = found[0].operation if found else None
        public = operation is not None and operation.public
        if not self._needs_token(unless_known=public):
            if not self._guard.admits_host(headers.get(b"host")):
                raise RefusedError(403, "host not allowed; --allowed-hosts says which are")
            return None
        if public:
            return None
        token = self._access.authenticate(headers.get(b"authorization"))
        if operation is not None:
            dialect = operation.dialect
            allow(token, operation.scope, write_is_read=bool(dialect and dialect.write_is_read))
        else:
            allow(token, "task:read" if scope["method"] in _SAFE else "task:write")
        return token

    def _needs_token(self, *, unless_known: bool) -> bool:
        """Return whether requests need a token, `unless_known` when the store cannot tell."""
        try:
            return self._access.required
        except StoreUnavailableError:
            # Whether the process lives is told whatever has become of the store.
            if unless_known:
                return True
            raise

    async def _operate(
        self,
        found: tuple[Prepared, list[str]],
        scope: Scope,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        token: TokenState | None,
    ) -> Answer | Stream:
        prepared, values = found
        operation = prepared.operation
        if any("\x00" in value for value in values):
            raise ValidationError("the path must not contain the NUL character")
        if int(headers.get(b"content-length", 0)) > operation.max_body:
            raise BodyTooLargeError
        caller = LOCAL
        if not operation.public:
            caller = caller_of(
                headers,
                token,
                self._services.ledger,
                agent_required=operation.agent,
                may_register=operation.registers_session,
            )
        services = self._services
        name = operation.operation_id
        if (moment := wanted(scope["query_string"])) is not None and _rewinds(operation):
            services = await self._pasts.services_at(moment, name, values[0] if values else "")
        call = Call(
            services=services,
            prepared=prepared,
            scope=scope,
            receive=receive,
            headers=headers,
            values=values,
            caller=caller,
        )
        return await operation.handle(call)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, extra: Headers) -> None:
        """Let Starlette answer, with our headers; its own error answer is kept.

        Below the prefix of a dialect there is nothing but operations.
        """
        if self._dialect_of(scope, None):
            raise RefusedError(404, phrase_of(404))

        own = (NO_STORE,) if scope["path"].startswith("/api/") else ()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message.get("headers", ())))
                for name, value in (*SECURITY, *CROSS_ORIGIN, *own, *extra):
                    headers.setdefault(name.decode(), value.decode("latin-1"))
                message = {**message, "headers": headers.raw}
                self._numbers.answered(UNKNOWN, message["status"])
            await send(message)

        try:
            await super().__call__(scope, receive, send_with_headers)
        except Exception as error:
            # Starlette has answered already.
            log_failure(error)


@cache
def _document() -> bytes:
    """Describe the operations once for all applications of a process."""
    return document(OPERATIONS)


def create_app(services: Services, extra_routes: Iterable[BaseRoute] = ()) -> Application:
    """Return the application over these services; it starts and stops their background work."""
    return Application(services, extra_routes)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    services: Services = app.state.services
    await services.start()
    try:
        yield
    finally:
        await services.stop()


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("404 page not found", 404)(scope, receive, send)


def _refused(error: Exception, found: Found, dialect: Dialect | None) -> Answer:
    """Return the answer to what went wrong; the unexpected is logged and told to nobody."""
    if isinstance(error, AnsweredError):
        return error.answer
    refused = _told(error, found[0].operation if found else None)
    return dialect.refuse(refused) if dialect else _refusal(refused)


def _told(error: Exception, operation: Operation | None) -> Refused:
    match error:
        case RefusedError():
            status, text, headers = error.status, str(error), error.headers
        case DomainError():
            status = status_of(error, operation.statuses if operation else ())
            text, headers = error.text, ()
        case BodyTooLargeError():
            status, text, headers = 413, "request body too large", ()
        case UnauthorizedError():
            status, text, headers = 401, str(error), _CHALLENGE
        case ForbiddenError():
            status, text, headers = 403, str(error), ()
        case StoreUnavailableError():
            _note(error)
            status, text, headers = 503, phrase_of(503), RETRY
        case _:
            _note(error)
            status, text, headers = 500, phrase_of(500), ()
    return Refused(status=status, text=text, headers=headers, error=error)


def _rewinds(operation: Operation) -> bool:
    """Whether a request for a moment of the past is answered by an operation.

    Raises ValidationError for a read of the task API that only tells of now.
    """
    if operation.operation_id in REWINDING:
        return True
    refuses = not {400, 422}.isdisjoint(operation.statuses)
    if refuses and operation.method == "GET" and operation.dialect is None:
        raise ValidationError("as_of: this is told of now alone; leave it out")
    return False


def _note(error: Exception) -> None:
    """Log what is no fault of the client."""
    if isinstance(error, StoreUnavailableError):
        _LOG.error("%s", redact_text(str(error)))
    else:
        log_failure(error)


def _refusal(refused: Refused) -> Answer:
    """Return a refusal in the words of the task API."""
    error = refused.error
    diagnostic = error.diagnostic if isinstance(error, DomainError) else None
    body = error_body(refused.status, refused.text, diagnostic)
    return Answer(refused.status, body, refused.headers)


async def _send_stream(
    answer: Stream,
    receive: Receive,
    send: Send,
    extra: Headers,
    until: Coroutine[Any, Any, None] | None,
) -> None:
    try:
        await send_stream(answer, receive, send, extra, until)
    except Exception as error:
        # The status is out already: the broken-off body tells the client.
        _note(error)
        raise ConnectionAbortedError("the answer could not be finished") from None
