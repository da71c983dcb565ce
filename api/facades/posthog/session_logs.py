"""Parts of a log: chosen entries as one JSON array, and all of them as they come in."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from api.answers import Answer, Stream
from api.call import Call
from api.facades.posthog.errors import invalid
from api.facades.posthog.logs import appended, lines
from api.facades.posthog.operations import RUN, posthog
from api.facades.posthog.paging import number
from api.facades.posthog.queries import PosthogSessionLogsQuery
from api.facades.posthog.subjects import run_in
from api.operations import EVENTS, Operation
from api.sse import HEADERS
from domain.posthog.values import ENDED
from projections.posthog.queries import posthog_run
from projections.posthog.rows import RunRecord
from replay.feed import Behind, Match, Subscription

if TYPE_CHECKING:
    from api.services import Services

_USUAL: Final = 1_000
_MOST: Final = 5_000
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_END: Final = b"event: stream-end\ndata: {}\n\n"
_LAST_EVENT_ID: Final = b"last-event-id"


class _Entry(Struct, frozen=True):
    """What of an entry it is chosen by; the rest of it is no concern of ours."""

    timestamp: Any = None
    notification: Any = None


_entry: Final = msgspec.json.Decoder(_Entry).decode


def _member(value: Any, *names: str) -> Any:
    """Return the member of a member of an object, None where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _type_of(entry: _Entry) -> str:
    """Return the method of an entry's notification, or the kind of update that it tells."""
    method = _member(entry.notification, "method")
    kind = _member(entry.notification, "params", "update", "sessionUpdate")
    return str((kind if method == "session/update" else None) or method or "")


def _instant(text: Any) -> datetime | None:
    """Return the time that a text says, None when it says none that has a zone."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def _chooser(query: PosthogSessionLogsQuery) -> Callable[[bytes], bool]:
    """Return what tells whether an entry is wanted; raises RefusalError."""
    after = _instant(query.after) if query.after else None
    if query.after and after is None:
        raise invalid("invalid_input", "Enter a valid date/time with a time zone.", "after")

    def chosen(line: bytes) -> bool:
        entry = _entry(line)
        kind = _type_of(entry)
        if kind in query.exclude_types or (query.event_types and kind not in query.event_types):
            return False
        at = _instant(entry.timestamp) if after else None
        return after is None or (at is not None and at > after)

    return chosen


async def session_logs(call: Call) -> Answer:
    """Return the entries of a log that are asked for, the oldest first, as an array."""
    subject, query = run_in(call), call.query(PosthogSessionLogsQuery)
    chosen = _chooser(query)
    limit = number(query.limit)
    most = min(limit, _MOST) if limit > 0 else _USUAL
    found: list[bytes] = []
    total = matching = 0
    async for _, fact in appended(call.services, subject.run.id):
        async for line in lines(call.services, fact):
            total += 1
            if chosen(line):
                matching += 1
                if matching <= most:
                    found.append(line)
    headers = ((b"x-total-count", b"%d" % total), (b"x-filtered-count", b"%d" % matching))
    return Answer(200, b"[%b]" % b",".join(found), headers)


async def stream(call: Call) -> Stream:
    """Stream the entries of a log, and end when the run has ended and all were sent."""
    run = run_in(call).run
    sent = call.headers.get(_LAST_EVENT_ID, b"").decode("latin-1")
    version, _, index = sent.partition("-")
    after = (number(version), number(index))
    return Stream(_follow(call.services, run, after), HEADERS)


async def _follow(
    services: "Services", run: RunRecord, after: tuple[int, int]
) -> AsyncIterator[bytes]:
    """Yield what was added behind an entry: the version of its addition, and its place in that."""
    bell = asyncio.Event()
    subscription = services.hub.subscribe(Match(task_id=run.task_id), services.hub.head, bell.set)
    services.bells.add(bell)
    try:
        while not services.stopping.is_set():
            bell.clear()
            _drain(subscription)
            # Looked at first, so that nothing that was added before the end is left out.
            ended = _has_ended(services, run)
            async for recorded, fact in appended(services, run.id, max(after[0] - 1, 0)):
                place = 0
                async for line in lines(services, fact):
                    place += 1
                    here = (recorded.originator_version, place)
                    if here > after:
                        after = here
                        yield b"id: %d-%d\ndata: %b\n\n" % (*here, line)
            if ended:
                yield _END
                return
            try:
                await asyncio.wait_for(bell.wait(), services.settings.keep_alive_seconds)
            except TimeoutError:
                yield _KEEP_ALIVE
    finally:
        services.bells.discard(bell)
        subscription.close()


def _drain(subscription: Subscription) -> None:
    """Take what came in: that it did is all that matters here."""
    taken = subscription.take()
    if isinstance(taken, Behind):
        subscription.advance(taken.upto)


def _has_ended(services: "Services", run: RunRecord) -> bool:
    found = posthog_run(services.ledger.reader, run.posthog_task_id, run.id)
    return found is None or found.status in ENDED


OPERATIONS: Final[tuple[Operation, ...]] = (
    posthog(
        "GET",
        f"{RUN}/session_logs",
        "tasks_runs_session_logs",
        session_logs,
        query=PosthogSessionLogsQuery,
        reply={"type": "array", "items": {"type": "object"}},
    ),
    posthog(
        "GET",
        f"{RUN}/stream",
        "tasks_runs_stream",
        stream,
        reply={"type": "object"},
        media_type=EVENTS,
    ),
)
