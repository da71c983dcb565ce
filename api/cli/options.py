"""Options that many commands share; every option shows its environment variable."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

import click
import msgspec

from api.cli.remote import Remote
from api.client.documents import JsonObject, JsonValue
from api.client.http import DEFAULT_SERVER, Connection
from api.undecodable import explained

PREFIX = "TASKLEDGER"

F = TypeVar("F", bound=Callable[..., Any])


class EnvironmentOption(click.Option):
    """An option that says in the help which environment variable stands for it."""

    def __init__(self, *names: Any, **settings: Any) -> None:
        shown = {"show_envvar": True, "show_default": settings.get("default") not in (None, "")}
        super().__init__(*names, **shown | settings)


option = partial(click.option, cls=EnvironmentOption)


class Json(click.ParamType[JsonValue]):
    """A JSON text, of an object if that is asked for."""

    name = "json"

    def __init__(self, *, objects: bool = False) -> None:
        self._objects = objects

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> JsonValue:
        """Return the decoded value."""
        if not isinstance(value, str):
            return value
        try:
            decoded = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            self.fail(f"{value!r} is not JSON: {explained(error, value.encode())}", param, ctx)
        if self._objects and not isinstance(decoded, dict):
            self.fail(f"{value!r} is not a JSON object", param, ctx)
        return decoded


class Identified(click.ParamType[JsonObject]):
    """A kind and a reference, written `kind:ref`."""

    name = "kind:ref"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> JsonObject:
        """Return the two as members `kind` and `ref`."""
        if isinstance(value, dict):
            return value
        kind, _, ref = str(value).partition(":")
        if not (kind and ref):
            self.fail(f"{value!r} is not of the form kind:ref", param, ctx)
        return {"kind": kind, "ref": ref}


JSON = Json()
JSON_OBJECT = Json(objects=True)
KIND_AND_REF = Identified()


def server_url(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Return the address without a slash at its end; refuse what is no HTTP address."""
    if not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} must begin with http:// or https://")
    return value.rstrip("/")


def connecting(command: F) -> F:
    """Add the options that lead to a server; the command gets them as `connection`."""

    @option(
        "--server",
        envvar="TASKLEDGER_SERVER",
        default=DEFAULT_SERVER,
        callback=server_url,
        help="Address of the server.",
    )
    @option("--token", envvar="TASKLEDGER_TOKEN", default="", help="Access token.")
    @option(
        "--retry-seconds",
        envvar="TASKLEDGER_RETRY_SECONDS",
        type=click.FloatRange(min=0),
        default=3.0,
        help="How long to try again while the server is away.",
    )
    @wraps(command)
    def with_connection(*, server: str, token: str, retry_seconds: float, **rest: Any) -> Any:
        connection = Connection(server=server, token=token, retry_seconds=retry_seconds)
        return command(connection=connection, **rest)

    return with_connection  # type: ignore[return-value]


json_option = option(
    "--json", "as_json", envvar="TASKLEDGER_JSON", is_flag=True, help="Print JSON for machines."
)


def remote(command: F) -> F:
    """Add the options of a command that asks a server; it gets them as `server`."""

    @connecting
    @json_option
    @wraps(command)
    def with_server(*, connection: Connection, as_json: bool, **rest: Any) -> Any:
        return command(server=Remote(connection, as_json=as_json), **rest)

    return with_server  # type: ignore[return-value]


reason_option = option("--reason", default="", help="Why; kept in the ledger.")
metadata_option = option("--metadata", type=JSON_OBJECT, help="A JSON object to keep with it.")
workspace_option = option(
    "--workspace", envvar="TASKLEDGER_WORKSPACE", default="", help="Id, name or path."
)
limit_option = option("--limit", type=click.IntRange(min=1), help="At most this many.")
key_option = option(
    "--idempotency-key", default="", help="The same key again returns the same run."
)
