"""Lists of any length as one JSON array: short ones whole, long ones in chunks, never in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, TypeAlias

import msgspec

from api.answers import Answer, Stream
from api.call import Call
from projections.rows import Reader
from replay.ledger import Ledger

Pages: TypeAlias = Callable[[Reader], Iterable[list[Any]]]

_encode: Final = msgspec.json.Encoder().encode


def _items(page: list[Any]) -> bytes:
    """Return the encoded items of a page, separated but without brackets."""
    return _encode(page)[1:-1]


async def list_reply(call: Call, name: bytes, pages: Pages) -> Answer | Stream:
    """Return `{name: [...]}` of all pages, all of them read from one snapshot."""
    with call.services.ledger.snapshot() as reader:
        found = iter(pages(reader))
        first, more = next(found, []), next(found, None)
    if more is None:
        return Answer(200, b'{"%b":[%b]}' % (name, _items(first)))
    return Stream(_chunks(call.services.ledger, name, pages))


async def _chunks(ledger: Ledger, name: bytes, pages: Pages) -> AsyncIterator[bytes]:
    yield b'{"%b":[' % name
    separator = b""
    with ledger.snapshot() as reader:
        for page in pages(reader):
            yield separator + _items(page)
            separator = b","
            # Others get their turn between two pages.
            await asyncio.sleep(0)
    yield b"]}"
