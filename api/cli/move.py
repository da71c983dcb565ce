"""`taskledger migrate` and `copy`: a store's tables, and a ledger from one store to another."""

from typing import TYPE_CHECKING

import click
import msgspec

from api.cli import output
from api.cli.audit import ledger_of
from api.cli.failures import REFUSED, USAGE, Failure
from api.cli.options import json_option, option
from api.cli.progress import Told, progress
from api.cli.stores import Opened, held_alone, settings_of
from api.cli.token import store_option

if TYPE_CHECKING:
    from replay.copying import Copied
    from replay.ledger import Ledger


@click.command()
@store_option
@json_option
def migrate(*, store: str, as_json: bool) -> None:
    """Make the tables of a store, or bring them to the version of this release.

    Servers may be running, also of the release before. A server does the same when it starts.
    Tables of a newer release are refused.

    Exit codes: 0 done or nothing to do, 2 the store cannot be used.
    """
    from replay.connections import prepare_path
    from replay.errors import DATABASE_ERRORS, ReplayError
    from replay.ledger import migrate as migrate_store
    from replay.places import environment_of

    path = settings_of(store).sqlite_path
    try:
        if path:
            prepare_path(path)
        done = migrate_store(environment_of(store))
    except (ReplayError, *DATABASE_ERRORS, OSError) as error:
        raise Failure(str(error), USAGE) from error
    if as_json:
        output.json_document(msgspec.to_builtins(done))
    elif done.before == done.version:
        click.echo(f"schema version {done.version}, nothing to do")
    else:
        before = f"instead of {done.before}" if done.before else "made"
        click.echo(f"schema version {done.version}, {before}")


@click.command()
@option("--from", "source", required=True, help="The store to copy; a server may be running.")
@option("--to", "target", required=True, help="Where to; made if need be, served by nobody.")
@option("--from-blobs", default="", help="The --blob-store of the server of --from.")
@option("--to-blobs", default="", help="The --blob-store of the server of --to.")
@json_option
def copy(*, source: str, target: str, from_blobs: str, to_blobs: str, as_json: bool) -> None:
    """Copy a ledger into another store, be it a file or a database, and verify the copy.

    Events keep their order, sequences, versions, ids, times and bytes; read models are folded anew.
    They are committed about a thousand at a time, never a part of a command. A copy that was
    stopped goes on when it is started again, and one whose source went on brings over the rest. A
    target that is not the beginning of its source is refused. Whatever else writes to the target
    meanwhile stops the copy.

    The artifacts and logs that events name are brought before these events, from wherever they are
    kept to wherever the target keeps them, and verified by their SHA-256.

    Secrets, and the key that seals them, stay where they are. A password in an argument
    is seen by everybody on the machine: name such a store by the environment variable.

    \b
    taskledger copy --from sqlite:ledger.db --to postgresql://ledger@db/ledger

    \b
    Exit codes:
      0    copied, and equal
      1    the stores differ: the first difference is printed
      2    wrong usage, or a store cannot be used
    """
    from replay.copying import CopyRefusedError

    settings = settings_of(target, "--to", to_blobs)
    with ledger_of(source, "--from") as ledger, held_alone(settings) as opened, progress() as told:
        try:
            done, secrets = _copied(ledger, from_blobs, opened, told)
        except CopyRefusedError as error:
            raise Failure(str(error), REFUSED) from error
    if as_json:
        output.json_document({**msgspec.to_builtins(done), "secrets_left_behind": secrets})
    else:
        _print(done, secrets)
    if done.finding or done.unequal:
        raise click.exceptions.Exit(REFUSED)


def _copied(source: "Ledger", from_blobs: str, opened: Opened, told: Told) -> "tuple[Copied, int]":
    from api.vault import kept_in
    from replay.blobs.carrying import Carrier
    from replay.blobs.places import blobs_at
    from replay.copying import copy as copy_store

    with opened() as services:
        target = services.ledger
        if source.access.place == target.access.place:
            raise Failure("--from and --to name the same store", USAGE)
        carrier = Carrier(blobs_at(from_blobs, source.access), services.blobs)
        return copy_store(source, target, services.projectors, told, carrier), kept_in(source)


def _print(done: "Copied", secrets: int) -> None:
    also = f" and {done.blobs} blobs" if done.blobs else ""
    click.echo(f"{done.copied} events{also} copied, {done.present} were there already")
    if done.finding:
        click.echo(f"the target is not in order: {done.finding.text}")
        return
    click.echo(f"verified up to sequence {done.head}, both logs have the digest {done.digest}")
    if done.equal:
        click.echo(f"the same rows in both: {', '.join(done.equal)}")
    if done.unequal:
        click.echo(f"wrong in the source, right in the target: {', '.join(done.unequal)}")
    if done.source_head > done.head:
        click.echo(f"the source has gone on to sequence {done.source_head}: copy again")
    if secrets:
        click.echo(
            f"secrets stay behind ({secrets}): with the target served,"
            " taskledger bridge rotate makes new ones for bridges"
        )
