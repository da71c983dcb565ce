"""Refusals as PostHog's clients read them: one error, its field named with double underscores."""

from http import HTTPStatus
from typing import Final, Literal

import msgspec
from msgspec import Struct

from api.access import ForbiddenError, UnauthorizedError
from api.answers import Answer
from api.dialects import Dialect, Refused
from api.redaction import redact
from domain.errors import InvalidTransitionError, PermissionDeniedError, ValidationError

PREFIX: Final = "/api/projects/"

Kind = Literal["validation_error", "invalid_request", "authentication_error", "server_error"]


class PosthogError(Struct, frozen=True):
    """A refusal; `attr` is the member it is about."""

    type: Kind
    code: str
    detail: str
    attr: str | None = None


class PosthogPlainError(Struct, frozen=True):
    """A refusal of the few operations that have a form of their own."""

    error: str


class RefusalError(Exception):
    """The request is refused with this answer."""

    def __init__(self, status: int, error: PosthogError | PosthogPlainError) -> None:
        """Keep what to say."""
        self.answer = Answer(status, redact(_ENCODE(error)))
        super().__init__(status, error)


_ENCODE: Final = msgspec.json.Encoder().encode
_BAD_REQUEST: Final = 400
_CODES: Final[dict[int, tuple[Kind, str]]] = {
    401: ("authentication_error", "authentication_failed"),
    403: ("authentication_error", "permission_denied"),
    404: ("invalid_request", "not_found"),
    405: ("invalid_request", "method_not_allowed"),
    413: ("invalid_request", "request_entity_too_large"),
    415: ("invalid_request", "unsupported_media_type"),
}
_TEXTS: Final = {
    404: "Not found.",
    405: "Method not allowed.",
    500: "A server error occurred.",
}


def invalid(code: str, detail: str, attr: str | None) -> RefusalError:
    """Return the refusal of a member."""
    return RefusalError(_BAD_REQUEST, PosthogError("validation_error", code, detail, attr))


def not_found() -> RefusalError:
    """Return the refusal of what is not there, or not in this project."""
    return RefusalError(404, PosthogError(*_CODES[404], _TEXTS[404]))


def plain(status: int, text: str) -> RefusalError:
    """Return the refusal of an operation that has a form of its own."""
    return RefusalError(status, PosthogPlainError(text))


def refuse(refused: Refused) -> Answer:
    """Return a refusal of the ledger, or of the transport, as PostHog would put it."""
    status, error = _told(refused)
    return Answer(status, redact(_ENCODE(error)), refused.headers)


def _told(refused: Refused) -> tuple[int, PosthogError]:
    match refused.error:
        case UnauthorizedError(missing=True):
            text = "Authentication credentials were not provided."
            return 401, PosthogError("authentication_error", "not_authenticated", text)
        case ForbiddenError(scope=scope):
            text = f"API key missing required scope '{scope}'"
            return 403, PosthogError(*_CODES[403], text)
        case InvalidTransitionError(detail=detail):
            return 400, PosthogError("validation_error", "invalid_input", detail, "status")
        case ValidationError(detail=detail):
            return 400, PosthogError("validation_error", "invalid_input", detail)
        case PermissionDeniedError(detail=detail):
            return 403, PosthogError(*_CODES[403], detail)
        case _:
            pass
    return refused.status, PosthogError(*_usual(refused.status), _text(refused))


def _usual(status: int) -> tuple[Kind, str]:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "server_error", "error"
    return _CODES.get(status, ("invalid_request", "invalid_input"))


def _text(refused: Refused) -> str:
    return _TEXTS.get(refused.status, refused.text)


DIALECT: Final = Dialect(prefix=PREFIX, refuse=refuse, trailing_slash=True, write_is_read=True)
