"""`taskledger blobs`: the bytes that are kept beside the events."""

import asyncio
from functools import partial

import click
import msgspec

from api.cli import output
from api.cli.audit import ledger_of
from api.cli.options import json_option, option
from api.cli.progress import progress
from api.cli.token import store_option

_HOUR = 3_600


@click.group()
def blobs() -> None:
    """Look after artifacts and logs."""


@blobs.command()
@store_option
@option("--dry-run", is_flag=True, help="Only count them.")
@option(
    "--older-than",
    metavar="HOURS",
    type=click.IntRange(min=1),
    default=24,
    help="Leave what came in the last so many hours: an event may be about to name it.",
)
@json_option
def collect(*, store: str, dry_run: bool, older_than: int, as_json: bool) -> None:
    """Remove the artifacts and logs that no event names, as uploads leave them that broke off.

    The server may be running, in this release. In an S3-compatible service nothing is collected.

    \b
    Exit codes:
      0    done
      2    wrong usage, the store cannot be read, or an event in it is unknown; nothing is removed
    """
    from replay.blobs.collecting import collect as collected

    with ledger_of(store) as ledger, progress() as told:
        kept, seconds = ledger.access.blobs(), older_than * _HOUR
        found = asyncio.run(collected(ledger, kept, seconds, partial(told, "log"), dry_run=dry_run))
    if as_json:
        output.json_document(msgspec.to_builtins(found))
    else:
        what = "removed" if found.removed else "found"
        click.echo(f"{found.blobs} blobs {what} that no event names, {found.size} bytes")
