"""The log of a run: appending to it, and the ways to read it back.

The lines are in the events that added them, or in the blobs those name; there is no second copy.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from api.answers import NO_STORE, Answer, Headers, Stream
from api.call import Call
from api.facades.posthog.bodies import PosthogLogEntries
from api.facades.posthog.links import check_link
from api.facades.posthog.operations import RUN, posthog
from api.facades.posthog.reading import read
from api.facades.posthog.runs import changed
from api.facades.posthog.subjects import run_in
from api.facades.posthog.views import PosthogRunView
from api.operations import Operation
from domain.posthog.commands import AppendPosthogLog
from domain.posthog.events import PosthogLogAppended
from domain.posthog.state import log_stream
from domain.posthog.values import INLINE_BYTES
from domain.recorded import Recorded
from replay.blobs.store import require

if TYPE_CHECKING:
    from api.services import Services

LINES: Final = "application/jsonl"
_HEADERS: Final[Headers] = ((b"content-type", LINES.encode()), NO_STORE)
_PAGE: Final = 50
_END: Final = b"\n"


async def append_log(call: Call) -> Answer:
    """Add entries to the log of a run, behind all others."""
    subject = run_in(call)
    entries: list[Raw] = (await read(call, PosthogLogEntries))["entries"]
    size = sum(len(bytes(entry)) + 1 for entry in entries)
    large = size >= INLINE_BYTES
    blob = await call.services.blobs.put(_chunks(entries)) if large else None
    command = AppendPosthogLog(
        **subject.ids,
        count=len(entries),
        size=size,
        entries=() if large else tuple(entries),
        blob=blob,
    )
    await call.submit(command)
    return await changed(call, subject)


async def _chunks(entries: Iterable[Raw]) -> AsyncIterator[bytes]:
    for entry in entries:
        yield bytes(entry) + _END


async def appended(
    services: "Services", run_id: str, after: int = 0
) -> AsyncIterator[tuple[Recorded, PosthogLogAppended]]:
    """Yield the additions to a log behind a version of its stream, a few in memory at a time."""
    events = services.ledger.events
    while page := list(events.get(log_stream(run_id), gt=after, limit=_PAGE)):
        for recorded in page:
            if isinstance(recorded.fact, PosthogLogAppended):
                yield recorded, recorded.fact
        after = page[-1].originator_version
        # Others get their turn between two pages.
        await asyncio.sleep(0)


async def pieces(services: "Services", fact: PosthogLogAppended) -> AsyncIterator[bytes]:
    """Yield the lines of an addition, each with its end, in pieces that may end within a line."""
    if fact.blob is None:
        yield b"".join(bytes(entry) + _END for entry in fact.entries)
        return
    async for piece in services.blobs.read(fact.blob):
        yield piece


async def lines(services: "Services", fact: PosthogLogAppended) -> AsyncIterator[bytes]:
    """Yield the entries of an addition one by one."""
    rest = b""
    async for piece in pieces(services, fact):
        *whole, rest = (rest + piece).split(_END)
        for line in whole:
            yield line


async def _log(services: "Services", run_id: str) -> AsyncIterator[bytes]:
    async for _, fact in appended(services, run_id):
        async for piece in pieces(services, fact):
            yield piece


async def _require_whole(services: "Services", run_id: str) -> None:
    """Do nothing when all of a log is there, else raise BlobMissingError.

    Once an answer has begun it can only be broken off.
    """
    async for _, fact in appended(services, run_id):
        if fact.blob is not None:
            await require(services.blobs, fact.blob)


async def get_log(call: Call) -> Stream:
    """Return the log of a run, one JSON document a line; nothing when it is empty."""
    run_id = run_in(call).run.id
    await _require_whole(call.services, run_id)
    return Stream(_log(call.services, run_id), _HEADERS)


async def get_linked_log(call: Call) -> Stream:
    """Return the log of a run to whoever has a signed address of it."""
    await check_link(call)
    return await get_log(call)


_TEXT: Final = {"type": "string"}

OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog(
        "POST",
        f"{RUN}/append_log",
        "tasks_runs_append_log_create",
        append_log,
        body=PosthogLogEntries,
        reply=PosthogRunView,
    ),
    posthog("GET", f"{RUN}/logs", "tasks_runs_logs", get_log, reply=_TEXT, media_type=LINES),
    posthog(
        "GET",
        f"{RUN}/log",
        "tasks_runs_log",
        get_linked_log,
        public=True,
        reply=_TEXT,
        media_type=LINES,
    ),
)
