"""`taskledger tempest`: ask something of an app of Tempest, and look at apps and operations."""

import os
from pathlib import Path
from typing import get_args

import click

from api.cli import output
from api.cli.options import (
    JSON_OBJECT,
    key_option,
    limit_option,
    metadata_option,
    option,
    remote,
    workspace_option,
)
from api.cli.remote import Remote, api_path
from api.cli.task import PRIORITIES
from api.client.documents import JsonObject, JsonValue, at, without_nothing
from domain.tempest.values import Asked, VariableType
from domain.values import RunStatus

APP_COLUMNS: tuple[output.Column, ...] = (
    ("APP", ("app_id",)),
    ("VERSION", ("version",)),
    ("WORKSPACE", ("workspace_id",)),
    ("TYPES", ("types",)),
    ("HEALTH", ("healths",)),
    ("CONNECTED", ("connected_at",)),
)
OPERATION_COLUMNS: tuple[output.Column, ...] = (
    ("TASK", ("task_id",)),
    ("STATUS", ("status",)),
    ("APP", ("app",)),
    ("OPERATION", ("operation",)),
    ("TYPE", ("resource_type",)),
    ("EXTERNAL ID", ("external_id",)),
    ("QUEUED", ("queued_at",)),
    ("ERROR", ("error",)),
)
_VARIABLE_TYPES = get_args(VariableType)


class Variable(click.ParamType[JsonObject]):
    """An environment variable, as the name of one here or with the file that holds its value."""

    name = "[type:]name[=file]"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> JsonObject:
        """Return name, value and type; fail where there is no value."""
        kind, colon, rest = value.partition(":")
        if not (colon and kind in _VARIABLE_TYPES):
            kind, rest = "secret", value
        name, equals, path = rest.partition("=")
        try:
            found = Path(path).read_text("utf-8") if equals else os.environ[name]
        except KeyError:
            self.fail(f"the environment has no {name}", param, ctx)
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"{path} cannot be read: {type(error).__name__}", param, ctx)
        return {"name": name, "value": found, "type": kind}


def print_apps(rows: list[JsonObject]) -> None:
    """Print app versions for people."""
    output.table(map(_told, rows), APP_COLUMNS, empty="no apps")


def _told(app: JsonObject) -> JsonObject:
    """Return an app version with its types and its health as one text each."""
    types = ", ".join(at(each, "type") for each in at(app, "resource_types"))
    healths = ", ".join(f"{at(each, 'type')} {at(each, 'status')}" for each in at(app, "health"))
    return {**app, "types": types, "healths": healths}


def print_operations(rows: list[JsonObject]) -> None:
    """Print operations for people."""
    named = ({**row, "app": f"{at(row, 'app_id')} {at(row, 'version')}"} for row in rows)
    output.table(named, OPERATION_COLUMNS, empty="no operations")


@click.group()
def tempest() -> None:
    """Ask something of an app of Tempest, and look at apps and operations."""


@tempest.command()
@click.argument("app_id")
@click.argument("version")
@option("--operation", type=click.Choice(get_args(Asked)), required=True, help="What to do.")
@option("--type", "resource_type", required=True, help="Type of the resource.")
@option("--action", default="", help="Which action, with --operation action.")
@option("--external-id", default="", help="The resource, as the app knows it.")
@option("--display-name", default="", help="The resource, as people know it.")
@option("--input", "given", type=JSON_OBJECT, help="A JSON object for the app.")
@option(
    "--env-from",
    "variables",
    type=Variable(),
    multiple=True,
    help="Environment variable for the app, with its value here or that of a file; "
    "a secret unless another type comes first; may be repeated.",
)
@option("--next", "page_token", default="", help="Page of a list to begin with.")
@workspace_option
@option("--priority", type=PRIORITIES, help="What is more urgent is handed out first.")
@metadata_option
@key_option
@remote
def enqueue(
    server: Remote,
    app_id: str,
    version: str,
    *,
    resource_type: str,
    external_id: str,
    display_name: str,
    given: JsonValue,
    variables: tuple[JsonObject, ...],
    page_token: str,
    idempotency_key: str,
    **rest: JsonValue,
) -> None:
    """Queue an operation for a version of an app.

    \b
    taskledger tempest enqueue store v1 --operation create --type bucket \\
      --input '{"name": "invoices"}' --env-from STORE_TOKEN
    """
    resource = without_nothing(
        type=resource_type, external_id=external_id, display_name=display_name
    )
    body = without_nothing(
        resource=resource,
        input=given,
        environment_variables=list(variables),
        next=page_token,
        idempotency_key=idempotency_key,
        **rest,
    )
    path = api_path("tempest", "apps", app_id, version, "operations")
    answer = server.post(path, body, repeatable=bool(idempotency_key))
    server.show(at(answer, "operation"), lambda row: print_operations([row]))


@tempest.command()
@remote
def apps(server: Remote) -> None:
    """List the versions of apps: what they look after, and how that is."""
    server.show(at(server.get(api_path("tempest", "apps")), "apps"), print_apps)


@tempest.command()
@option("--app", "app_id", default="", help="Only of this app.")
@option("--version", default="", help="Only of this version.")
@option("--status", type=click.Choice(get_args(RunStatus)), help="Only those that stand so.")
@workspace_option
@limit_option
@remote
def operations(server: Remote, **query: JsonValue) -> None:
    """List operations, the last queued first."""
    answer = server.get(api_path("tempest", "operations"), **without_nothing(**query))
    server.show(at(answer, "operations"), print_operations)


@tempest.command()
@click.argument("task_id")
@remote
def operation(server: Remote, task_id: str) -> None:
    """Show an operation with what was asked and what came of it, as JSON."""
    answer = server.get(api_path("tempest", "operations", task_id))
    server.show(at(answer, "operation"), output.json_document)
