"""Pages by limit and offset, with the addresses of the pages before and behind.

Source: `LimitOffsetPagination` of Django REST framework 3.18.
"""

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct

from api.call import Call
from api.facades.addresses import base_url

_USUAL: Final = 100
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)


class Page(Struct, frozen=True, kw_only=True):
    """Which part of a list."""

    limit: int
    offset: int
    url: str
    parameters: tuple[tuple[str, str], ...]

    def next(self, count: int) -> str | None:
        """Return the address of the page behind this one, None for the last."""
        following = self.offset + self.limit
        return self._url(following) if following < count else None

    def previous(self) -> str | None:
        """Return the address of the page before this one, None for the first."""
        if self.offset <= 0:
            return None
        return self._url(max(self.offset - self.limit, 0))

    def _url(self, offset: int) -> str:
        kept = [each for each in self.parameters if each[0] not in {"limit", "offset"}]
        own = [("limit", str(self.limit)), *([("offset", str(offset))] if offset else [])]
        return f"{self.url}?{urlencode(sorted([*kept, *own]))}"


def page_of(call: Call) -> Page:
    """Return the page that a request asks for; what is no number counts as absent."""
    query = call.scope["query_string"].decode("latin-1")
    parameters = tuple(parse_qsl(query, keep_blank_values=True))
    sent = dict(parameters)
    limit = number(sent.get("limit", ""))
    return Page(
        limit=min(limit, _USUAL) if limit > 0 else _USUAL,
        offset=max(number(sent.get("offset", "")), 0),
        url=f"{base_url(call)}{call.scope['raw_path'].decode('latin-1')}",
        parameters=parameters,
    )


def number(text: str) -> int:
    """Return the number that a text says, 0 when it says none."""
    return int(text) if _NUMBER.fullmatch(text.strip()) else 0
