"""`taskledger token`: make, list and revoke access tokens, also beside a running server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from api.cli import output
from api.cli.failures import REFUSED, USAGE, Failure
from api.cli.options import json_option, option
from api.cli.stores import settings_of
from api.client.documents import JsonObject, JsonValue
from api.settings import Settings, SettingsError

if TYPE_CHECKING:
    from api.services import Services

TOKEN_COLUMNS: tuple[output.Column, ...] = (
    ("TOKEN", ("id",)),
    ("NAME", ("name",)),
    ("ACTOR", ("actor",)),
    ("SCOPES", ("scopes",)),
    ("WORKSPACE", ("workspace_id",)),
    ("CREATED", ("created_at",)),
    ("REVOKED", ("revoked_at",)),
)
DEFAULT_SCOPES = "task:read,task:write"

store_option = option(
    "--store",
    envvar="TASKLEDGER_STORE",
    default=Settings().store,
    help="The store of the server, which may be running.",
)


@contextmanager
def services_of(store: str, *, make: bool = False) -> Iterator["Services"]:
    """Yield the services over a store, without a server; raises Failure when that fails.

    A store that does not exist is made with `make`, and is a failure without.
    """
    from api.services import build
    from domain.errors import DomainError
    from replay.connections import prepare_path
    from replay.errors import DATABASE_ERRORS, ReplayError

    settings = settings_of(store)
    path = settings.sqlite_path
    try:
        if path and not (make or Path(path).exists()):
            raise Failure(f"there is no store at {path}: name one with --store")
        if path and not Path(path).exists():
            click.echo(f"taskledger: there was no store at {path}, so it is made", err=True)
        if path:
            prepare_path(path)
        services = build(settings)
        try:
            yield services
        finally:
            services.close()
    except DomainError as error:
        raise Failure(error.text, REFUSED) from error
    except (SettingsError, ReplayError, *DATABASE_ERRORS, OSError) as error:
        raise Failure(str(error), USAGE) from error


@click.group()
def token() -> None:
    """Make, list and revoke access tokens.

    These commands work on the store itself, so name the one that the server has; a running server
    notices within a second. As soon as one token is in force, every request needs one.
    """


@token.command()
@option("--name", required=True, help="What the token is for.")
@option(
    "--scope",
    "scopes",
    default=DEFAULT_SCOPES,
    help="What it allows, separated by commas: task:read, task:write, admin.",
)
@option("--actor", default="", help="In whose name, as kind:ref. [default: human:NAME]")
@option("--workspace", default="", help="Only for this workspace: id, name or path.")
@store_option
@json_option
def create(*, store: str, scopes: str, as_json: bool, **given: str) -> None:
    """Make an access token; its text is printed now and never again.

    \b
    TASKLEDGER_TOKEN=$(taskledger token create --name laptop)
    """
    from api.tokens import create_token

    with services_of(store, make=True) as services:
        issued = create_token(services, scopes=tuple(scopes.split(",")), **given)
    if as_json:
        output.json_document({"id": issued.id, "token": issued.text})
    else:
        click.echo(issued.text)


@token.command("list")
@store_option
@json_option
def list_(*, store: str, as_json: bool) -> None:
    """List access tokens; their texts are not known any more."""
    from api.tokens import list_tokens
    from projections.wire import token_view

    with services_of(store) as services:
        views = [msgspec.to_builtins(token_view(known)) for known in list_tokens(services)]
    if as_json:
        output.json_document(views)
    else:
        output.table(map(readable, views), TOKEN_COLUMNS, empty="no tokens")


def readable(view: JsonObject) -> JsonObject:
    """Return a token with actor and scopes as one text each."""
    actor: JsonValue = view["actor"]
    return {
        **view,
        "actor": f"{actor['kind']}:{actor['ref']}",
        "scopes": ",".join(view["scopes"]),
    }


@token.command()
@click.argument("token_id")
@store_option
@json_option
def revoke(*, store: str, token_id: str, as_json: bool) -> None:
    """Accept a token no longer; give its id or its text."""
    from api.tokens import revoke_token

    with services_of(store) as services:
        revoke_token(services, token_id)
    known = token_id.strip().removeprefix("tl_").partition("_")[0]
    if as_json:
        output.json_document({"revoked": known})
    else:
        click.echo(f"{known}  revoked")
