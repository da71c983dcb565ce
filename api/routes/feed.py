"""Timelines and streams: of a task, and of the whole ledger (added)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import chain, islice
from typing import Any, Final

from api import replies
from api.answers import Answer, Stream
from api.call import Call
from api.operations import EVENTS, Operation
from api.parsing import read_integer
from api.queries import LedgerStreamQuery, LedgerTimelineQuery, StreamQuery, TimelineQuery
from api.routes.common import operation
from api.routes.task_reads import require_task
from api.sse import HEADERS, PAGE, StoredFrame, events
from domain.errors import ValidationError
from projections.lookup import workspace_of_ref
from projections.queries.timeline import (
    LedgerFilters,
    ledger_page,
    ledger_page_before,
    stream_page,
    timeline_page,
    timeline_page_before,
)
from projections.rows import Row
from projections.wire import TaskStreamEvent
from replay.feed import Match

_LAST_EVENT_ID: Final = b"last-event-id"
_MOST_TYPES: Final = 100
_WHOLE: Final = 1_000
"""Up to this limit a page of the ledger is one answer; longer ones go out in chunks."""
_WINDOWS: Final = 8
"""Pages that are looked through for one limited timeline; `next_after` tells how far it came."""

_TYPE, _WORKSPACE, _ACTOR_KIND, _ACTOR_REF = 3, 4, 5, 6


async def get_task_timeline(call: Call) -> Answer | Stream:
    """Return the events of a task, the oldest first."""
    query = call.query(TimelineQuery)
    task_id = require_task(call, call.id).id
    if query.before_sequence:
        found = timeline_page_before(
            call.services.ledger.reader,
            task_id,
            before=query.before_sequence,
            after=query.after_sequence,
            limit=_backwards(query.limit),
        )
        return Answer(200, b'{"timeline":[%b]}' % b",".join([frame for _, frame in found]))
    pages = _task_pages(call, task_id, query.after_sequence, query.limit)
    first = list(islice(pages, 2))
    if len(first) < 2:  # noqa: PLR2004 - all there is
        return Answer(200, b'{"timeline":[%b]}' % b"".join(first))
    return Stream(_timeline_chunks(chain(first, pages)))


def _backwards(limit: int) -> int:
    """Return how many events are read backwards: that is done in one answer, so there is a most."""
    return min(limit or _WHOLE, _WHOLE)


def _task_pages(call: Call, task_id: str, after: int, limit: int) -> Iterator[bytes]:
    """Yield joined frames, a page at a time."""
    reader, left = call.services.ledger.reader, limit
    while True:
        size = min(left, PAGE) if limit else PAGE
        found = timeline_page(reader, task_id, after=after, limit=size)
        if found:
            yield b",".join([frame for _, frame in found])
            after = found[-1][0]
        left -= len(found)
        if len(found) < size or (limit and not left):
            return


async def _timeline_chunks(pages: Iterator[bytes]) -> AsyncIterator[bytes]:
    separator = b'{"timeline":['
    for page in pages:
        yield separator + page
        separator = b","
        # Others get their turn between two pages.
        await asyncio.sleep(0)
    yield b"]}"


async def stream_task(call: Call) -> Stream:
    """Stream the events of a task and everything below it."""
    after = _start(call, call.query(StreamQuery))
    task_id = require_task(call, call.id).id
    reader = call.services.ledger.reader

    def read_page(after: int, upto: int) -> tuple[list[StoredFrame], int]:
        found = stream_page(reader, task_id, after=after, limit=PAGE, upto=upto)
        return found, found[-1][0] if len(found) == PAGE else upto

    chunks = events(call.services, Match(task_id=task_id), after, read_page, checkpoints=False)
    return Stream(chunks, HEADERS)


def _start(call: Call, query: StreamQuery) -> int:
    """Return the sequence to start behind; the header of a client that comes back wins."""
    header = call.headers.get(_LAST_EVENT_ID, b"").decode("latin-1").strip()
    return read_integer(header, "Last-Event-ID") if header else query.after_sequence


async def get_ledger_timeline(call: Call) -> Answer | Stream:
    """Return the events of the whole ledger, the oldest first."""
    query = call.query(LedgerTimelineQuery)
    filters = _filters(call, query)
    if query.before_sequence:
        return await _ledger_before(call, filters, query)
    chunks = _ledger_chunks(call, filters, query.after_sequence, query.limit)
    if 0 < query.limit <= _WHOLE:
        return Answer(200, b"".join([chunk async for chunk in chunks]))
    # What hinders the first page is told by the status, which is out before the others.
    return Stream(_from(await anext(chunks), chunks))


async def _ledger_before(call: Call, filters: LedgerFilters, query: LedgerTimelineQuery) -> Answer:
    """Return the last events before a sequence; looks through a bounded part of the ledger."""
    reader, head = call.services.ledger.reader, call.services.hub.head
    before, after = min(query.before_sequence, head + 1), query.after_sequence
    limit = _backwards(query.limit)
    frames: list[bytes] = []
    begin, windows = before, 0
    while begin > after + 1 and len(frames) < limit and windows < _WINDOWS:
        earlier, begin = ledger_page_before(
            reader, filters, before=begin, after=after, limit=limit - len(frames)
        )
        frames[:0] = earlier
        windows += 1
        # Others get their turn between two pages.
        await asyncio.sleep(0)
    told = (b",".join(frames), before - 1, begin, head)
    return Answer(200, b'{"timeline":[%b],"next_after":%d,"next_before":%d,"head":%d}' % told)


async def _from(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in others:
        yield chunk


async def _ledger_chunks(
    call: Call, filters: LedgerFilters, after: int, limit: int
) -> AsyncIterator[bytes]:
    reader, head = call.services.ledger.reader, call.services.hub.head
    opening, separator, left, windows = b'{"timeline":[', b"", limit, 0
    while after < head and (not limit or (left and windows < _WINDOWS)):
        size = min(left, PAGE) if limit else PAGE
        found, after = ledger_page(reader, filters, after=after, limit=size, upto=head)
        if found or opening:
            yield opening + separator * bool(found) + b",".join([frame for *_, frame in found])
            opening, separator = b"", b"," if found else separator
        left -= len(found)
        windows += 1
        # Others get their turn between two pages.
        await asyncio.sleep(0)
    yield opening + b'],"next_after":%d,"head":%d}' % (after, head)


async def stream_ledger(call: Call) -> Stream:
    """Stream the events of the whole ledger."""
    query = call.query(LedgerStreamQuery)
    after, filters = _start(call, query), _filters(call, query)
    reader = call.services.ledger.reader

    def read_page(after: int, upto: int) -> tuple[list[StoredFrame], int]:
        return ledger_page(reader, filters, after=after, limit=PAGE, upto=upto)

    match = Match(accepts=lambda row: _accepts(filters, row))
    chunks = events(call.services, match, after, read_page, checkpoints=True)
    return Stream(chunks, HEADERS)


def _filters(call: Call, query: LedgerStreamQuery) -> LedgerFilters:
    if len(query.type) > _MOST_TYPES:
        raise ValidationError(f"type must have at most {_MOST_TYPES} items: {len(query.type)}")
    workspace_id = query.workspace
    if workspace_id:
        # The events of a workspace outlive its registration, so an unknown one is no error.
        found = workspace_of_ref(call.services.ledger.reader, workspace_id)
        workspace_id = found or workspace_id
        call.require_workspace(workspace_id, f'workspace "{workspace_id}"')
    return LedgerFilters(
        types=query.type,
        workspace_id=workspace_id or call.caller.workspace_limit,
        actor=query.actor,
    )


def _accepts(filters: LedgerFilters, row: Row) -> bool:
    """Whether a live row passes the filters, by the rules of stored ones."""
    if filters.types and row[_TYPE] not in filters.types:
        return False
    if filters.workspace_id and row[_WORKSPACE] != filters.workspace_id:
        return False
    actor = filters.actor
    named = (row[_ACTOR_REF], f"{row[_ACTOR_KIND]}:{row[_ACTOR_REF]}")
    return not actor or actor in named


def _reading(path: str, operation_id: str, handle: Any, **more: Any) -> Operation:
    return operation("GET", path, operation_id, handle, labels=("task id",), **more)


OPERATIONS: Final[tuple[Operation, ...]] = (
    _reading(
        "/api/tasks/{id}/timeline",
        "getTaskTimeline",
        get_task_timeline,
        tag="tasks",
        action="tasks.timeline",
        query=TimelineQuery,
        reply=replies.GetTaskTimelineResponse,
    ),
    _reading(
        "/api/tasks/{id}/stream",
        "streamTask",
        stream_task,
        tag="tasks",
        action="tasks.stream",
        query=StreamQuery,
        reply=TaskStreamEvent,
        media_type=EVENTS,
    ),
    _reading(
        "/api/timeline",
        "getLedgerTimeline",
        get_ledger_timeline,
        tag="ledger",
        action="tasks.ledger_timeline",
        query=LedgerTimelineQuery,
        reply=replies.LedgerTimelineResponse,
        statuses=(403, 422),
    ),
    _reading(
        "/api/stream",
        "streamLedger",
        stream_ledger,
        tag="ledger",
        action="tasks.ledger_stream",
        query=LedgerStreamQuery,
        reply=replies.LedgerStreamEvent,
        media_type=EVENTS,
        statuses=(403, 422),
    ),
)
