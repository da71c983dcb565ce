"""`taskledger session` and `taskledger workspace`: the agents and the places the server knows."""

import click

from api.cli import output
from api.cli.options import option, remote, workspace_option
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, without_nothing

SESSION_COLUMNS: tuple[output.Column, ...] = (
    ("SESSION", ("session_id",)),
    ("STATE", ("state",)),
    ("AGENT", ("agent_name",)),
    ("WORKSPACE", ("workspace_id",)),
    ("CHANNEL", ("channel",)),
    ("CAPABILITIES", ("capabilities",)),
    ("LEASES", ("concurrency",)),
    ("UPDATED", ("updated_at",)),
)
WORKSPACE_COLUMNS: tuple[output.Column, ...] = (
    ("WORKSPACE", ("id",)),
    ("NAME", ("name",)),
    ("PATH", ("path",)),
    ("UPDATED", ("updated_at",)),
)


def joined(row: JsonObject) -> JsonObject:
    """Return a session with its capabilities as one text."""
    return {**row, "capabilities": ", ".join(at(row, "capabilities") or ())}


def print_sessions(rows: list[JsonObject]) -> None:
    """Print sessions for people."""
    output.table(map(joined, rows), SESSION_COLUMNS, empty="no sessions")


def print_workspaces(rows: list[JsonObject]) -> None:
    """Print workspaces for people."""
    output.table(rows, WORKSPACE_COLUMNS, empty="no workspaces")


@click.group()
def session() -> None:
    """Register agent sessions, and look at them."""


@session.command("put")
@click.argument("session_id")
@option("--agent", "agent_name", required=True, help="Name of the agent.")
@workspace_option
@option("--channel", default="", help="Only runs of this channel.")
@option("--name", default="", help="A label for people.")
@option("--capability", "capabilities", multiple=True, help="What it may offer; may be repeated.")
@option("--concurrency", type=click.IntRange(1, 100), help="Leases it may hold at the same time.")
@option("--soul-digest", default="", help="Its persona, which is noted on what it claims.")
@option("--soul-snapshot-id", default="", help="Where that persona is kept.")
@remote
def put_session(
    server: Remote, session_id: str, capabilities: tuple[str, ...], **body: JsonValue
) -> None:
    """Register a session, or change what is known about it."""
    body = without_nothing(capabilities=list(capabilities), **body)
    answer = server.put(api_path("sessions", session_id), body)
    server.show(at(answer, "session"), lambda row: print_sessions([row]))


@session.command("list")
@remote
def list_sessions(server: Remote) -> None:
    """List agent sessions."""
    server.show(at(server.get(api_path("sessions")), "sessions"), print_sessions)


@session.command("stop")
@click.argument("session_id")
@remote
def stop_session(server: Remote, session_id: str) -> None:
    """End a session: it may claim no more, and its leases run out."""
    server.delete(api_path("sessions", session_id))
    server.show({"stopped": session_id}, lambda _: click.echo(f"{session_id}  stopped"))


@click.group()
def workspace() -> None:
    """Register workspaces, and look at them."""


@workspace.command("put")
@click.argument("workspace_id")
@option("--name", default="", help="Another word for it.")
@option("--path", default="", help="A third one: where it is.")
@remote
def put_workspace(server: Remote, workspace_id: str, **body: JsonValue) -> None:
    """Register a workspace, or change its name and path."""
    answer = server.put(api_path("workspaces", workspace_id), without_nothing(**body))
    server.show(at(answer, "workspace"), lambda row: print_workspaces([row]))


@workspace.command("list")
@remote
def list_workspaces(server: Remote) -> None:
    """List workspaces."""
    server.show(at(server.get(api_path("workspaces")), "workspaces"), print_workspaces)


@workspace.command("remove")
@click.argument("workspace_id")
@remote
def remove_workspace(server: Remote, workspace_id: str) -> None:
    """Forget a workspace; its tasks stay."""
    server.delete(api_path("workspaces", workspace_id))
    server.show({"removed": workspace_id}, lambda _: click.echo(f"{workspace_id}  removed"))
