"""`taskledger bridge`: endpoints that are told how tasks end, and who is told through them."""

from typing import IO

import click

from api.cli import output
from api.cli.options import limit_option, option, remote, workspace_option
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, without_nothing

BRIDGE_COLUMNS: tuple[output.Column, ...] = (
    ("BRIDGE", ("id",)),
    ("ENABLED", ("enabled",)),
    ("WORKSPACE", ("workspace_id",)),
    ("NAME", ("name",)),
    ("UPDATED", ("updated_at",)),
    ("URL", ("url",)),
)
SUBSCRIPTION_COLUMNS: tuple[output.Column, ...] = (
    ("SUBSCRIPTION", ("subscription_id",)),
    ("TASK", ("task_id",)),
    ("BRIDGE", ("bridge_instance_id",)),
    ("PEER", ("peer_id",)),
    ("GROUP", ("group_id",)),
    ("THREAD", ("thread_id",)),
    ("MODE", ("delivery_mode",)),
    ("PENDING", ("pending",)),
    ("LAST", ("last", "outcome")),
    ("STATUS", ("last", "status_code")),
    ("AT", ("last", "at")),
    ("NEXT", ("next_attempt_at",)),
    ("ERROR", ("last", "error")),
)
MODES = click.Choice(["reply", "direct-send"])


def print_bridges(rows: list[JsonObject]) -> None:
    """Print bridges for people."""
    output.table(rows, BRIDGE_COLUMNS, empty="no bridges")


def print_subscriptions(rows: list[JsonObject]) -> None:
    """Print subscriptions for people, each with what became of the last try."""
    lasts = ((at(row, "attempts") or [None])[-1] for row in rows)
    shown = ({**row, "last": last} for row, last in zip(rows, lasts, strict=True))
    output.table(shown, SUBSCRIPTION_COLUMNS, empty="no subscriptions")


def print_put(answer: JsonValue) -> None:
    """Print a bridge and its secret, if that is new."""
    print_bridges([at(answer, "bridge")])
    if secret := at(answer, "secret"):
        click.echo(f"secret, shown this once: {secret}")


@click.group()
def bridge() -> None:
    """Tell others how tasks end, by signed webhooks."""


def _put(server: Remote, bridge_id: str, **body: JsonValue) -> None:
    answer = server.put(api_path("bridges", bridge_id), without_nothing(**body))
    server.show(answer, print_put)


@bridge.command()
@click.argument("bridge_id")
@option("--url", required=True, help="Where to post.")
@option("--secret-file", type=click.File(), help="A secret of your own (whsec_…); - reads stdin.")
@workspace_option
@option("--name", default="", help="A label for people.")
@option("--disabled", is_flag=True, help="Send nothing for now.")
@remote
def create(
    server: Remote,
    bridge_id: str,
    *,
    secret_file: IO[str] | None,
    disabled: bool,
    **body: JsonValue,
) -> None:
    """Make a bridge, or change it; a new secret is shown once."""
    secret = secret_file.read().strip() if secret_file else ""
    _put(server, bridge_id, secret=secret, enabled=not disabled, **body)


@bridge.command()
@click.argument("bridge_id")
@remote
def enable(server: Remote, bridge_id: str) -> None:
    """Send again; what ended meanwhile is not told."""
    _put(server, bridge_id, enabled=True)


@bridge.command()
@click.argument("bridge_id")
@remote
def disable(server: Remote, bridge_id: str) -> None:
    """Send nothing, also nothing that waits to be tried again."""
    _put(server, bridge_id, enabled=False)


@bridge.command()
@click.argument("bridge_id")
@remote
def rotate(server: Remote, bridge_id: str) -> None:
    """Sign with a new secret from now on; it is shown once."""
    _put(server, bridge_id, rotate_secret=True)


@bridge.command("list")
@remote
def list_bridges(server: Remote) -> None:
    """List bridges."""
    server.show(at(server.get(api_path("bridges")), "bridges"), print_bridges)


@bridge.command()
@click.argument("bridge_id")
@limit_option
@remote
def show(server: Remote, bridge_id: str, limit: int | None) -> None:
    """Show a bridge, whom it tells, and how the last tries went."""
    found = server.get(api_path("bridges", bridge_id))
    path = api_path("bridges", bridge_id, "subscriptions")
    told = at(server.get(path, **without_nothing(limit=limit)), "subscriptions")

    def human(answer: JsonValue) -> None:
        print_bridges([at(answer, "bridge")])
        if not at(answer, "secret_available"):
            click.echo(f"its secret is not in this store: taskledger bridge rotate {bridge_id}")
        click.echo()
        print_subscriptions(at(answer, "subscriptions"))

    server.show({**found, "subscriptions": told}, human)


@bridge.command()
@click.argument("bridge_id")
@remote
def delete(server: Remote, bridge_id: str) -> None:
    """Forget a bridge and its secret."""
    server.delete(api_path("bridges", bridge_id))
    server.show({"deleted": bridge_id}, lambda _: click.echo(f"{bridge_id}  deleted"))


@bridge.command()
@click.argument("task_id")
@click.argument("bridge_id")
@option("--peer", "peer_id", default="", help="Whom to tell.")
@option("--group", "group_id", default="", help="Which group to tell.")
@option("--thread", "thread_id", default="", help="In which thread.")
@option("--mode", "delivery_mode", type=MODES, default="reply", help="How the receiver tells it.")
@option("--subscription-id", default="", help="An id of your own; a known one is changed.")
@remote
def subscribe(server: Remote, task_id: str, bridge_id: str, **body: JsonValue) -> None:
    """Tell somebody through a bridge how a task ends."""
    task = at(server.get(api_path("tasks", task_id)), "task", "task")
    place = {"scope": at(task, "scope"), "workspace_id": at(task, "workspace_id")}
    wanted = without_nothing(bridge_instance_id=bridge_id, **place, **body)
    answer = server.post(_path(task_id), wanted)
    server.show(at(answer, "subscription"), lambda row: print_subscriptions([row]))


@bridge.command()
@click.argument("task_id")
@limit_option
@remote
def subscriptions(server: Remote, task_id: str, limit: int | None) -> None:
    """List who is told how a task ends."""
    found = server.get(_path(task_id), **without_nothing(limit=limit))
    server.show(at(found, "subscriptions"), print_subscriptions)


@bridge.command()
@click.argument("task_id")
@click.argument("subscription_id")
@remote
def unsubscribe(server: Remote, task_id: str, subscription_id: str) -> None:
    """Tell somebody no longer."""
    server.delete(_path(task_id, subscription_id))
    server.show({"deleted": subscription_id}, lambda _: click.echo(f"{subscription_id}  deleted"))


def _path(task_id: str, *more: str) -> str:
    return api_path("tasks", task_id, "notifications", "bridges", *more)
