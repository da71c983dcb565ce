"""`taskledger tail`: the events of the ledger, past and coming."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import click
from msgspec import Struct, ValidationError, convert
from msgspec.structs import replace

from api.cli import output
from api.cli.failures import Failure
from api.cli.options import option, remote
from api.cli.remote import Remote, api_path
from api.cli.timeline import print_item
from api.client.documents import JsonObject, JsonValue, at
from api.client.errors import ProtocolError
from api.client.http import LedgerClient
from api.client.stream import EventStream

PAGE = 500
AT_THE_END = 2**63 - 1


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events to print: of one task or all, behind a sequence, of some types, at most many.

    `last` begins with the last so many instead of behind a sequence.
    """

    task_id: str
    after: int
    last: int
    types: tuple[str, ...]
    limit: int
    follow: bool

    @property
    def timeline(self) -> str:
        """Where the recorded events are."""
        return api_path("tasks", self.task_id, "timeline") if self.task_id else api_path("timeline")

    @property
    def stream(self) -> str:
        """Where the coming events are; only that of the whole ledger can leave types out."""
        if self.task_id:
            return api_path("tasks", self.task_id, "stream")
        return api_path("stream") + (f"?type={','.join(self.types)}" if self.types else "")


class Page(Struct, frozen=True):
    """A part of a timeline; only that of the whole ledger says how far it has looked."""

    timeline: list[JsonObject]
    head: int = 0
    next_after: int = 0
    next_before: int = 0


@click.command()
@option("--task", "task_id", default="", help="Only this task; with --follow also those below it.")
@option("--after", type=click.IntRange(min=0), default=0, help="Only behind this sequence.")
@option("--last", "-n", type=click.IntRange(min=0), default=0, help="Begin with the last so many.")
@option("--type", "types", multiple=True, help="Only events of this type; may be repeated.")
@option("--limit", type=click.IntRange(min=0), default=0, help="End after this many events.")
@option("--follow", "-f", is_flag=True, help="Go on with what is coming; resume when cut off.")
@remote
def tail(*, server: Remote, **given: JsonValue) -> None:
    """Print events, one per line: time, sequence, type, task, run, actor, summary.

    With --json each line is the timeline item as the server sent it. The sequence of the last line
    is where to go on later:

    \b
    taskledger tail --after 4711 --follow
    """
    wanted = Wanted(**given)
    if wanted.after and wanted.last:
        raise Failure("give either --after or --last")
    server.run(lambda client: print_events(client, wanted, as_json=server.as_json))


async def print_events(client: LedgerClient, wanted: Wanted, *, as_json: bool) -> None:
    """Print the wanted events until there are no more."""
    printed = 0
    async with aclosing(events(client, wanted)) as items:
        async for item in items:
            if wanted.types and at(item, "event_type") not in wanted.types:
                continue
            if as_json:
                output.json_line(item)
            else:
                print_item(item)
            printed += 1
            if printed == wanted.limit:
                return


async def events(client: LedgerClient, wanted: Wanted) -> AsyncGenerator[JsonObject, None]:
    """Yield the wanted events; following, without an end."""
    if wanted.last:
        wanted = replace(wanted, after=await before_the_last(client, wanted))
    if not wanted.follow:
        async for item in pages(client, wanted):
            yield item
        return
    # Fails now rather than tries for ever when there is no such server or task.
    await client.get(wanted.timeline, after_sequence=wanted.after, limit=1)
    async for item in EventStream(client, wanted.stream, after=wanted.after):
        yield item


async def before_the_last(client: LedgerClient, wanted: Wanted) -> int:
    """Return the sequence behind which the last so many events are; 0 when there are no more."""
    before, left = AT_THE_END, wanted.last
    while before > 1:
        page = await page_of(client, wanted, before_sequence=before, limit=min(left, PAGE))
        for item in reversed(page.timeline):
            left -= not wanted.types or at(item, "event_type") in wanted.types
            if not left:
                return int(at(item, "sequence")) - 1
        if wanted.task_id:
            before = at(page.timeline[0], "sequence") if page.timeline else 1
        else:
            before = page.next_before
    return 0


async def pages(client: LedgerClient, wanted: Wanted) -> AsyncGenerator[JsonObject, None]:
    """Yield the recorded events of the timeline, a page at a time."""
    after = wanted.after
    while True:
        page = await page_of(client, wanted, after_sequence=after, limit=PAGE)
        for item in page.timeline:
            yield item
        if wanted.task_id:
            over = len(page.timeline) < PAGE
            after = after if over else at(page.timeline[-1], "sequence")
        else:
            # A page of the ledger may hold fewer than there are.
            after = page.next_after
            over = after >= page.head
        if over:
            return


async def page_of(client: LedgerClient, wanted: Wanted, **query: int) -> Page:
    """Return the part of the timeline that a query asks for.

    Raises ProtocolError when something else than a task ledger has answered.
    """
    answer = await client.get(wanted.timeline, type=",".join(wanted.types), **query)
    try:
        return convert(answer, Page)
    except ValidationError as error:
        raise ProtocolError(f"{wanted.timeline} is not a timeline: {error}") from error
