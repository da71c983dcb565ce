"""`taskledger migrate` and `copy`: a store's tables, and a ledger from one store to another."""

import click
import msgspec

from api.cli import output
from api.cli.failures import USAGE, Failure
from api.cli.options import json_option
from api.cli.stores import settings_of
from api.cli.token import store_option


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
