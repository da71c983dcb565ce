"""`taskledger scheduler`: stop and resume claiming everywhere, and look at the queue."""

import click

from api.cli import output
from api.cli.options import limit_option, option, reason_option, remote, workspace_option
from api.cli.remote import Remote, api_path
from api.client.documents import JsonValue, at, without_nothing
from api.client.http import ANSWER_SECONDS

STATUS_FACTS: tuple[output.Column, ...] = (
    ("paused", ("paused",)),
    ("paused by", ("paused_by",)),
    ("paused at", ("paused_at",)),
    ("paused because", ("paused_reason",)),
    ("active claims", ("active_claim_count",)),
    ("queued runs", ("queued_run_count",)),
    ("paused tasks", ("paused_task_count",)),
    ("starved runs", ("starved_run_count",)),
    ("need attention", ("needs_attention_run_count",)),
    ("as of", ("as_of",)),
)
BACKLOG_COLUMNS: tuple[output.Column, ...] = (
    ("RUN", ("run", "id")),
    ("PRIORITY", ("task", "priority")),
    ("QUEUED", ("run", "queued_at")),
    ("TASK STATUS", ("task", "status")),
    ("WORKSPACE", ("task", "workspace_id")),
    ("PAUSED", ("task", "effective_paused")),
    ("TITLE", ("task", "title")),
)
ATTENTION_COLUMNS: tuple[output.Column, ...] = (
    ("RUN", ("run", "id")),
    ("PRIORITY", ("task", "priority")),
    ("QUEUED", ("run", "queued_at")),
    ("WORKSPACE", ("task", "workspace_id")),
    ("TITLE", ("task", "title")),
    ("BECAUSE", ("run", "error")),
)
DRAIN_SECONDS = 60


@click.group()
def scheduler() -> None:
    """Stop and resume claiming everywhere, and look at the queue."""


def show_status(server: Remote, answer: JsonValue) -> None:
    """Print a scheduler status."""
    server.show(at(answer, "scheduler"), lambda status: output.facts(status, STATUS_FACTS))


@scheduler.command()
@remote
def status(server: Remote) -> None:
    """Show whether claiming is stopped, and how much is queued and claimed."""
    show_status(server, server.get(api_path("scheduler")))


@scheduler.command()
@reason_option
@remote
def pause(server: Remote, **body: JsonValue) -> None:
    """Stop claiming everywhere; what is claimed goes on."""
    path = api_path("scheduler", "pause")
    show_status(server, server.post(path, without_nothing(**body), repeatable=True))


@scheduler.command()
@remote
def resume(server: Remote) -> None:
    """Let claiming go on."""
    show_status(server, server.post(api_path("scheduler", "resume"), repeatable=True))


@scheduler.command()
@reason_option
@option(
    "--timeout-seconds",
    type=click.IntRange(min=0),
    default=DRAIN_SECONDS,
    help="How long to wait for the active claims.",
)
@remote
def drain(server: Remote, timeout_seconds: int, reason: str) -> None:
    """Stop claiming and wait until nothing is claimed; claiming stays stopped."""
    body = without_nothing(reason=reason) | {"timeout_seconds": timeout_seconds}
    answer = server.run(
        lambda client: client.request(
            "POST",
            api_path("scheduler", "drain"),
            body=body,
            repeatable=False,
            answer_seconds=timeout_seconds + ANSWER_SECONDS,
        )
    )
    server.show(answer, print_drain)


def print_drain(answer: JsonValue) -> None:
    """Print how a drain ended."""
    if at(answer, "completed"):
        click.echo("drained; claiming stays stopped until `taskledger scheduler resume`")
    else:
        click.echo(f"timed out with {at(answer, 'remaining_claims')} active claims")


@scheduler.command()
@limit_option
@workspace_option
@option("--include-paused", is_flag=True, help="Show runs of paused tasks as well.")
@remote
def backlog(server: Remote, **query: JsonValue) -> None:
    """List queued runs in the order in which they are handed out, and those that need attention."""
    answer = at(server.get(api_path("scheduler", "backlog"), **query), "backlog")
    server.show(answer, print_backlog)


def print_backlog(answer: JsonValue) -> None:
    """Print the queue and how much more there is."""
    rows = at(answer, "runs") or []
    output.table(rows, BACKLOG_COLUMNS, empty="nothing is queued")
    if at(answer, "total") > len(rows):
        click.echo(f"{len(rows)} of {at(answer, 'total')} queued runs")
    attention = at(answer, "needs_attention") or []
    if attention:
        output.heading(f"Need attention ({at(answer, 'needs_attention_total')})")
        output.table(attention, ATTENTION_COLUMNS, empty="")
