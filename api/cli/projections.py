"""`taskledger projections`: how the read models stand; rebuild, compare, roll back and skip.

With a server on the store the commands ask it, else they work on the store themselves.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
import msgspec

from api.cli import output
from api.cli.failures import INTERRUPTED, REFUSED, USAGE, Failure, failure_of
from api.cli.options import json_option, option, server_url
from api.cli.remote import api_path
from api.cli.stores import settings_of
from api.cli.token import services_of, store_option
from api.client.documents import JsonObject, JsonValue, at, text_at
from api.client.errors import ClientError
from api.client.http import Connection, LedgerClient
from api.client.stream import documents

if TYPE_CHECKING:
    from api.projections import Projections
    from api.services import Services

F = TypeVar("F", bound=Callable[..., Any])

STEP_SECONDS = 0.2
COLUMNS: tuple[output.Column, ...] = (
    ("NAME", ("name",)),
    ("STATE", ("state",)),
    ("VERSION", ("version",)),
    ("POSITION", ("position",)),
    ("HEAD", ("head",)),
    ("PHASE", ("progress", "phase")),
    ("APPLIED", ("progress", "applied")),
    ("TARGET", ("progress", "target")),
    ("SECONDS LEFT", ("progress", "eta_seconds")),
    ("HELD", ("held_count",)),
    ("STOPPED BY", ("failure", "error")),
    ("REBUILD STOPPED BY", ("rebuild_failure", "error")),
)
FACTS: tuple[output.Column, ...] = (
    ("name", ("name",)),
    ("state", ("state",)),
    ("version", ("version",)),
    ("version of this release", ("current_version",)),
    ("position", ("position",)),
    ("head", ("head",)),
    ("stopped at", ("failure", "sequence")),
    ("event type", ("failure", "event_type")),
    ("error", ("failure", "error")),
    ("since", ("failure", "since")),
    ("what to do", ("failure", "advice")),
    ("streams held back", ("held_count",)),
    ("rebuild stopped at", ("rebuild_failure", "sequence")),
    ("rebuild error", ("rebuild_failure", "error")),
    ("what to do about it", ("rebuild_failure", "advice")),
    ("previous version", ("previous", "version")),
    ("previous position", ("previous", "position")),
    ("under way", ("work",)),
    ("phase", ("progress", "phase")),
    ("applied", ("progress", "applied")),
    ("target", ("progress", "target")),
    ("per second", ("progress", "per_second")),
    ("seconds left", ("progress", "eta_seconds")),
    ("last work", ("last", "work")),
    ("how it ended", ("last", "end")),
    ("what it told", ("last", "text")),
    ("digest of the rows", ("last", "digest")),
)


class Site(Protocol):
    """Where the read models are: behind a server, or in a store that nobody serves."""

    async def statuses(self) -> list[JsonObject]:
        """Return how each read model stands."""

    async def post(self, name: str, action: str, body: JsonObject) -> JsonValue:
        """Do something to a read model."""

    def changes(self, name: str) -> AsyncGenerator[JsonObject, None]:
        """Yield how a read model stands, whenever that changes, until nothing is under way."""


class Served:
    """The read models behind a server."""

    def __init__(self, client: LedgerClient) -> None:
        self._client = client

    async def statuses(self) -> list[JsonObject]:
        """Return how each read model stands."""
        found: list[JsonObject] = at(await self._client.get(api_path("projections")), "projections")
        return found

    async def post(self, name: str, action: str, body: JsonObject) -> JsonValue:
        """Ask the server to do something to a read model."""
        return await self._client.post(api_path("projections", name, action), body)

    async def changes(self, name: str) -> AsyncGenerator[JsonObject, None]:
        """Follow the stream of the server."""
        async with aclosing(
            documents(self._client, api_path("projections", name, "stream"))
        ) as all_:
            async for found in all_:
                yield found


class Stored:
    """The read models of a store that nobody serves."""

    def __init__(self, services: "Services") -> None:
        self._services = services
        self._projections: Projections = services.projections

    async def statuses(self) -> list[JsonObject]:
        """Return how each read model stands."""
        found: list[JsonObject] = msgspec.to_builtins(self._projections.statuses())
        return found

    async def post(self, name: str, action: str, body: JsonObject) -> JsonValue:
        """Do something to a read model."""
        from domain.values import LOCAL_USER, Origin

        context = self._services.context(LOCAL_USER, Origin("cli", f"projections.{action}"))
        match action:
            case "rebuild":
                usual = "repair" if body.get("repair") else "rebuild"
                work: Any = "check" if body.get("dry_run") else usual
                await self._projections.start(name, work, context)
            case "cancel":
                await self._projections.cancel(name, context)
            case "rollback":
                await self._projections.roll_back(name, context)
            case _:
                await self._projections.skip(name, body["sequence"], body["reason"], context)
        return msgspec.to_builtins({"projection": self._projections.status(name)})

    async def changes(self, name: str) -> AsyncGenerator[JsonObject, None]:
        """Look now and then; what is under way belongs to this process."""
        found = await status_of(self, name)
        yield found
        while found.get("work"):
            await asyncio.sleep(STEP_SECONDS)
            found = await status_of(self, name)
            yield found


@asynccontextmanager
async def site_of(server: str, token: str, store: str) -> AsyncIterator[Site]:
    """Yield the server that was named or holds the store, else the store itself."""
    from replay.lock import live_server

    path = settings_of(store).sqlite_path
    holder = live_server(path) if path and not server else None
    if holder is not None and not holder.url:
        raise Failure(f"the server with process id {holder.pid} does not listen yet", REFUSED)
    url = server or (holder.url if holder else "")
    if url:
        connection = Connection(server=url, token=token)
        async with LedgerClient(connection) as client:
            yield Served(client)
        return
    with services_of(store) as services:
        try:
            yield Stored(services)
        finally:
            await services.stop()


def on_site(command: F) -> F:
    """Run an asynchronous command against the site that its options lead to."""

    @option(
        "--server",
        default="",
        callback=lambda ctx, param, value: value and server_url(ctx, param, value),
        help="Address of a server; found by the store if not given.",
    )
    @option("--token", envvar="TASKLEDGER_TOKEN", default="", help="Access token.")
    @store_option
    @json_option
    @wraps(command)
    def run(*, server: str, token: str, store: str, **rest: Any) -> None:
        async def connected() -> None:
            async with site_of(server, token, store) as site:
                await command(site=site, **rest)

        try:
            asyncio.run(connected())
        except ClientError as error:
            raise failure_of(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None

    return run  # type: ignore[return-value]


@click.group()
def projections() -> None:
    """Look after the read models: rebuild, compare, roll back.

    With a server on the store the commands ask it, else they work on the store themselves.

    Exit codes: 0 done, 1 refused or failed, or rows differ, 2 wrong usage or environment, 3 the
    server cannot be reached.
    """


@projections.command("list")
@on_site
async def list_(*, site: Site, as_json: bool) -> None:
    """List the read models and how each stands."""
    found = await site.statuses()
    if as_json:
        output.json_document(found)
    else:
        output.table(found, COLUMNS, empty="no read models")


@projections.command()
@click.argument("name")
@on_site
async def status(*, site: Site, name: str, as_json: bool) -> None:
    """Show how one read model stands, and what to do about it."""
    show(await status_of(site, name), as_json)


@projections.command()
@click.argument("name", required=False)
@option("--all", "everything", is_flag=True, help="Rebuild every read model, one by one.")
@option("--dry-run", is_flag=True, help="Only compare; show which rows would change.")
@option("--repair", is_flag=True, help="Replace the rows also where they differ.")
@on_site
async def rebuild(
    *, site: Site, name: str | None, everything: bool, as_json: bool, **flags: bool
) -> None:
    """Fold a read model anew beside the live rows, and switch to it.

    Rows that differ from the live ones are not switched to, unless by --repair. A rebuild that was
    killed goes on where it stopped when it is asked for again, or when the server starts.

    \b
    taskledger projections rebuild tasks --dry-run
    """
    if bool(name) == everything:
        raise Failure("give the name of a read model, or --all", USAGE)
    names = [name] if name else [each["name"] for each in await site.statuses()]
    await work_on(site, names, flags, as_json)


@projections.command()
@click.argument("name", required=False)
@on_site
async def verify(*, site: Site, name: str | None, as_json: bool) -> None:
    """Compare a read model, or all of them, with a rebuild at the same sequence.

    It ends with 1 when rows differ; the first of each kind are shown.
    """
    names = [name] if name else [each["name"] for each in await site.statuses()]
    await work_on(site, names, {"dry_run": True}, as_json)


@projections.command()
@click.argument("name")
@on_site
async def cancel(*, site: Site, name: str, as_json: bool) -> None:
    """Give up the rebuild of a read model; the live rows stay."""
    await status_of(site, name)
    show(at(await site.post(name, "cancel", {}), "projection"), as_json)


@projections.command()
@click.argument("name")
@on_site
async def rollback(*, site: Site, name: str, as_json: bool) -> None:
    """Go back to the rows before the last rebuild, brought up to date."""
    await status_of(site, name)
    show(at(await site.post(name, "rollback", {}), "projection"), as_json)


@projections.command()
@click.argument("name")
@option("--sequence", type=click.IntRange(min=1), required=True, help="The event.")
@option("--reason", required=True, help="Why; kept in the ledger.")
@on_site
async def skip(*, site: Site, name: str, sequence: int, reason: str, as_json: bool) -> None:
    """Have a read model pass over an event that it cannot take.

    Rebuilds pass over it as well, for good. `status` tells which event is in the way; any other is
    refused, unless this release cannot read it.

    taskledger projections skip tasks --sequence 4711 --reason "cannot be taken"
    """
    head = (await status_of(site, name))["head"]
    if sequence > head:
        raise Failure(f"there is no event {sequence}; the last one is {head}", USAGE)
    await site.post(name, "skip", {"sequence": sequence, "reason": reason})
    show(await finished(site, name, lambda _: None), as_json)


async def status_of(site: Site, name: str) -> JsonObject:
    """Return how a read model stands; raises Failure for an unknown one."""
    found = await site.statuses()
    for each in found:
        if each["name"] == name:
            return each
    known = ", ".join(each["name"] for each in found)
    raise Failure(f'no read model "{name}"; there are: {known}', USAGE)


async def work_on(site: Site, names: Iterable[str], flags: JsonObject, as_json: bool) -> None:
    """Work on read models one after the other; ends with exit code 1 unless all is well."""
    found = []
    with progress_bar() as told:
        for name in names:
            await status_of(site, name)
            await site.post(name, "rebuild", {key: True for key, value in flags.items() if value})
            found.append(await finished(site, name, told))
    if as_json:
        output.json_document(found)
    else:
        for each in found:
            print_end(each)
    if not all(map(is_well, found)):
        raise click.exceptions.Exit(REFUSED)


async def finished(site: Site, name: str, told: Callable[[JsonObject], None]) -> JsonObject:
    """Wait until nothing is under way on a read model and return how it stands."""
    while True:
        async with aclosing(site.changes(name)) as changes:
            async for found in changes:
                told(found)
                if not found.get("work"):
                    return found
        # A server that is shutting down ends its streams.
        await asyncio.sleep(STEP_SECONDS)


def is_well(found: JsonObject) -> bool:
    """Whether the work on a read model ended well, without differences."""
    return at(found, "last", "end") == "done" and not at(found, "last", "differences")


@contextmanager
def progress_bar() -> Iterator[Callable[[JsonObject], None]]:
    """Yield what draws progress on a terminal's standard error, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    eta = TextColumn("{task.fields[rate]:,.0f}/s  {task.fields[eta]:.0f} s left")
    with Progress(*columns, eta, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("", total=None, rate=0.0, eta=0.0)

        def told(found: JsonObject) -> None:
            progress = found.get("progress")
            bars.update(bar, description=f"{found['name']} {text_at(found, 'progress', 'phase')}")
            if progress:
                bars.update(
                    bar,
                    completed=progress["applied"],
                    total=progress["target"],
                    rate=progress["per_second"],
                    eta=progress["eta_seconds"],
                )

        yield told


def print_end(found: JsonObject) -> None:
    """Print how the work on a read model ended, with the differences it found."""
    last = at(found, "last")
    end, name = text_at(last, "end"), text_at(found, "name")
    differences = at(last, "differences")
    if differences is None:
        text = text_at(last, "text") or f"version {found['version']} at {found['position']}"
        click.echo(f"{name}  {end}  {text}")
        return
    verdict = "differs from" if differences else "equals"
    click.echo(f"{name}  {verdict} its rebuild at sequence {text_at(last, 'checked_at')}")
    for each in differences:
        counts = "  ".join(f"{each[kind]} {kind}" for kind in ("missing", "extra", "changed"))
        click.echo(f"  {each['table']}: {counts}")
        for example in each["examples"]:
            shown = msgspec.json.encode(example).decode()
            click.echo(f"    {shown}")


def show(found: JsonValue, as_json: bool) -> None:
    """Print how a read model stands."""
    if as_json:
        output.json_document(found)
    else:
        output.facts(found, FACTS)
        for each in at(found, "held") or ():
            click.echo(f"{each['stream']}  {each['sequence']}  {each['error']}  {each['since']}")
            click.echo(f"  {each['advice']}")
