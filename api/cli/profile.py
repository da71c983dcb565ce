"""`taskledger profile`: how a task wants to be executed."""

import click

from api.cli.options import JSON, option, remote
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, without_nothing

SECTIONS = ("coordinator", "worker", "review", "participants", "sandbox", "runtime")


@click.group()
def profile() -> None:
    """Say how a task wants to be executed, and by whom."""


def print_profile(found: JsonValue) -> None:
    """Print each section of a profile with what it says."""
    for section in SECTIONS:
        told = (f"{name}={shown(value)}" for name, value in sorted(at(found, section).items()))
        click.echo(f"{section:<13} {'  '.join(told)}".rstrip())


def shown(value: JsonValue) -> str:
    """Return a value as one word."""
    return ",".join(value) if isinstance(value, list) else str(value)


@profile.command()
@click.argument("task_id")
@remote
def show(server: Remote, task_id: str) -> None:
    """Show the execution profile of a task, the default one if it has none of its own."""
    answer = server.get(api_path("tasks", task_id, "execution-profile"))
    server.show(at(answer, "profile"), print_profile)


def an_object(
    _ctx: click.Context, _param: click.Parameter, value: JsonObject | None
) -> JsonObject | None:
    """Return a profile whose sections can be completed; refuse anything but JSON objects."""
    sections: list[JsonValue] = [] if value is None else [value, at(value, "worker") or {}]
    if not all(isinstance(section, dict) for section in sections):
        raise click.BadParameter("a profile and its worker section are JSON objects")
    return value


@profile.command("set")
@click.argument("task_id")
@option(
    "--profile",
    "document",
    type=JSON,
    callback=an_object,
    help="The whole profile, a JSON object.",
)
@option("--agent", "agent_name", default="", help="Only this agent may work on it.")
@option("--allow-agent", "allowed_agent_names", multiple=True, help="One of those who may.")
@option("--require", "required_capabilities", multiple=True, help="What a worker has to offer.")
@remote
def set_(server: Remote, task_id: str, document: JsonObject | None, **worker: JsonValue) -> None:
    """Replace the execution profile of a task; what is not said is as in the default one.

    \b
    taskledger profile set TASK --agent painter --require brushes
    """
    body = dict(document or {})
    if given := without_nothing(**worker):
        body["worker"] = {**(at(body, "worker") or {"mode": "select"}), **given}
    answer = server.put(api_path("tasks", task_id, "execution-profile"), body)
    server.show(at(answer, "profile"), print_profile)


@profile.command()
@click.argument("task_id")
@remote
def delete(server: Remote, task_id: str) -> None:
    """Let the default execution profile be in force again."""
    server.delete(api_path("tasks", task_id, "execution-profile"))
    server.show({"deleted": task_id}, lambda _: click.echo(f"{task_id}  default profile"))
