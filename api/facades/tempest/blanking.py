"""Values of variables that an app repeats in what it reports, which no event may hold."""

import json
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from domain.tempest.values import Response

BLANK: Final = "[redacted]"
_SHORTEST: Final = 6
_ENCODE: Final = msgspec.json.Encoder().encode
_DECODE: Final = msgspec.json.Decoder(Response).decode


def blanked(text: str, values: Iterable[str]) -> str:
    """Return a text without these values; short ones stay, because they are anywhere."""
    for value in _longest_first(values):
        text = text.replace(value, BLANK)
    return text


def blanked_response(response: Response | None, values: Iterable[str]) -> Response | None:
    """Return a response without these values, however JSON writes them; short ones stay."""
    document = before = _ENCODE(response)
    for value in _longest_first(values):
        for written in (_ENCODE(value), json.dumps(value).encode()):
            document = document.replace(written[1:-1], BLANK.encode())
    return response if document == before else _DECODE(document)


def _longest_first(values: Iterable[str]) -> Iterator[str]:
    usable = (value for value in values if len(value) >= _SHORTEST)
    return iter(sorted(usable, key=len, reverse=True))
