"""Pages of lists: a token says where the next one begins, and of which list."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from api.facades.ona import messages as m
from api.parsing import Query
from domain.errors import ValidationError
from projections.ona.queries import BEGINNING, Filters, Position

_USUAL: Final = 25
_MOST: Final = 100
_INT64_MAX: Final = 2**63 - 1


class OnaPageQuery(Query, frozen=True, kw_only=True, rename="camel"):
    """What generated REST clients send in the query; it goes before the body."""

    token: str = ""
    page_size: Annotated[int, Meta(ge=0, le=_MOST)] | None = None


class _Token(Struct, frozen=True, array_like=True):
    """Where the last page ended, and which list it was of."""

    created_at: int
    id: str
    digest: str


class Page(Struct, frozen=True, kw_only=True):
    """Which part of a list is wanted."""

    after: Position
    size: int
    digest: str

    def token_behind(self, last: Position) -> str:
        """Return the token of the page behind an item."""
        told = _Token(last[0], last[1], self.digest)
        return urlsafe_b64encode(msgspec.json.encode(told)).rstrip(b"=").decode()


def page_of(
    sent: m.OnaPageRequest | None, query: OnaPageQuery, what: str, filters: Filters
) -> Page:
    """Return the page of a list that is wanted; raises ValidationError."""
    asked = sent or m.OnaPageRequest()
    size = asked.page_size if query.page_size is None else query.page_size
    if not 0 <= size <= _MOST:
        raise ValidationError(f"pagination.pageSize must be 0 to {_MOST}: {size}")
    digest = blake2b(repr((what, filters)).encode(), digest_size=8).hexdigest()
    token = query.token or asked.token
    after = _position(token, digest) if token else BEGINNING
    return Page(after=after, size=size or _USUAL, digest=digest)


def _position(token: str, digest: str) -> Position:
    try:
        sent = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        found = msgspec.json.decode(sent, type=_Token)
    except (ValueError, RecursionError):
        raise ValidationError("pagination.token is no token of this server") from None
    if found.digest != digest:
        raise ValidationError("pagination.token belongs to a list with another filter")
    if not -1 <= found.created_at <= _INT64_MAX or "\x00" in found.id:
        raise ValidationError("pagination.token is no token of this server")
    return found.created_at, found.id
