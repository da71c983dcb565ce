"""Refusals as clients of the Connect protocol read them (Connect protocol, unary errors).

They are JSON whatever the codec, and the code tells the status. Refusals of the transport keep
the status that they have everywhere.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Literal

import msgspec
from msgspec import Struct

from api.answers import Answer, Headers
from api.dialects import Dialect, Refused
from api.redaction import redact
from domain.errors import DomainError

Code = Literal[
    "invalid_argument",
    "failed_precondition",
    "unauthenticated",
    "permission_denied",
    "not_found",
    "already_exists",
    "resource_exhausted",
    "internal",
    "unimplemented",
    "unavailable",
]

PREFIX: Final = "/api/gitpod.v1.EnvironmentAutomationService/"

_STATUS: Final[Mapping[Code, int]] = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
}
_OF_DOMAIN: Final[Mapping[str, Code]] = {
    "validation_failed": "invalid_argument",
    "payload_too_large": "invalid_argument",
    "delete_precondition": "failed_precondition",
    "graph_limit_exceeded": "failed_precondition",
    "permission_denied": "permission_denied",
    "task_not_found": "not_found",
    "run_not_found": "not_found",
    "conflict": "already_exists",
}
_OF_STATUS: Final[Mapping[int, Code]] = {
    401: "unauthenticated",
    403: "permission_denied",
    404: "unimplemented",
    405: "unimplemented",
    413: "resource_exhausted",
    503: "unavailable",
}
_FINAL: Final[Headers] = ((b"x-should-retry", b"false"),)
"""Tells the generated REST clients, which try again after 409, that this is no use."""

_encode: Final = msgspec.json.Encoder().encode


class OnaError(Struct, frozen=True, kw_only=True):
    """A refusal by one of Ona's methods."""

    code: Code
    message: str


def refuse(refused: Refused) -> Answer:
    """Return the answer to a refusal."""
    error = refused.error
    code = _OF_DOMAIN.get(error.code) if isinstance(error, DomainError) else None
    if code is not None:
        return failure(code, _STATUS[code], refused.text, refused.headers)
    code = _OF_STATUS.get(refused.status, "internal")
    return failure(code, refused.status, refused.text, refused.headers)


def failure(code: Code, status: int, text: str, headers: Headers = ()) -> Answer:
    """Return the answer that tells of a failure."""
    final = _FINAL if status == HTTPStatus.CONFLICT else ()
    body = redact(_encode(OnaError(code=code, message=text)))
    return Answer(status, body, (*headers, *final))


DIALECT: Final = Dialect(prefix=PREFIX, refuse=refuse)
ENVIRONMENTS: Final = Dialect(prefix="/api/gitpod.v1.EnvironmentService/", refuse=refuse)
