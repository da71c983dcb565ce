"""Which status and body a refusal gets. The domain knows codes only; statuses live here."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

from api.redaction import redact
from domain.errors import Diagnostic, DomainError, IdentityError, LeaseRejectedError

MASKED_FROM: Final = 500
"""From this status on the text is the status phrase: what broke inside is nobody's business."""

_BY_CODE: Final[Mapping[str, tuple[int, ...]]] = {
    # Where nothing else is listed, what is wrong with the path names nothing that there is.
    "validation_failed": (422, 400, 404),
    "invalid_scope_binding": (422, 400),
    "payload_too_large": (413,),
    "permission_denied": (403,),
    "forbidden_operator_action": (403,),
    "force_op_rate_limited": (429,),
    "force_op_requires_reason": (422,),
    "bulk_too_large": (422,),
    "retry_chain_too_deep": (422,),
    "task_not_found": (404,),
    "run_not_found": (404,),
    "review_not_found": (404,),
    "dependency_not_found": (404,),
    "profile_not_found": (404,),
    "workspace_not_found": (404,),
    "session_not_found": (404,),
    "token_not_found": (404,),
    "bridge_not_found": (404,),
    "subscription_not_found": (404,),
    "projection_not_found": (404,),
    "tempest_app_not_found": (404,),
    "invalid_transition": (409,),
    "delete_precondition": (400, 409),
    "graph_limit_exceeded": (409,),
    "dependency_cycle": (409,),
    "session_already_bound": (409,),
    "session_attach_not_allowed": (409,),
    "stale_network_channel": (409,),
    "invalid_claim_token": (409,),
    "active_lease_exists": (409,),
    "conflict": (409,),
    "stream_held": (503,),
}
"""Statuses of each code, best first; the first one that the operation lists is answered."""

_BY_REASON: Final[Mapping[str, int]] = {
    "identity_required": 401,
    "identity_stale": 401,
    "identity_mismatch": 401,
    "identity_unauthorized": 403,
    "identity_lookup_unavailable": 503,
    "AUTONOMY_FOREIGN_RUN": 403,
    "AUTONOMY_SESSION_REQUIRED": 403,
    "AUTONOMY_NO_ACTIVE_LEASE": 409,
    "AUTONOMY_LEASE_EXPIRED": 409,
    "AUTONOMY_LEASE_ALREADY_HELD": 409,
}

CODES: Final = frozenset(_BY_CODE)


class ErrorBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal as clients read it."""

    error: str
    diagnostic: Diagnostic | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ErrorBody).decode


def status_of(error: DomainError, listed: tuple[int, ...]) -> int:
    """Return the status of a refusal by an operation that lists these statuses."""
    if isinstance(error, IdentityError | LeaseRejectedError):
        return _BY_REASON[error.reason]
    candidates = _BY_CODE[error.code]
    return next((status for status in candidates if status in listed), candidates[0])


def phrase_of(status: int) -> str:
    """Return the standard text of a status."""
    return HTTPStatus(status).phrase


def error_body(status: int, text: str, diagnostic: Diagnostic | None = None) -> bytes:
    """Return the JSON of a refusal without secrets; the text of 5xx is the status phrase."""
    if status >= MASKED_FROM and not _is_of(diagnostic, "ledger"):
        text, diagnostic = phrase_of(status), diagnostic if _is_of(diagnostic, "session") else None
    return redact(_encode(ErrorBody(error=text, diagnostic=diagnostic)))


def error_of(status: int, error: DomainError) -> ErrorBody:
    """Return what a refusal says inside another answer."""
    return _decode(error_body(status, error.text, error.diagnostic))


def _is_of(diagnostic: Diagnostic | None, category: str) -> bool:
    return diagnostic is not None and diagnostic.category == category
