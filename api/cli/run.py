"""`taskledger run`: look at the runs of a task, and give them up."""

import click

from api.cli import output
from api.cli.options import limit_option, metadata_option, option, reason_option, remote
from api.cli.remote import Remote, api_path
from api.client.documents import JsonValue, at, without_nothing

RUN_STATUSES = click.Choice(
    [
        "queued",
        "claimed",
        "starting",
        "running",
        "completed",
        "failed",
        "canceled",
        "needs_attention",
    ]
)
RUN_FACTS: tuple[output.Column, ...] = (
    ("id", ("run", "id")),
    ("task", ("run", "task_id")),
    ("title", ("task", "title")),
    ("status", ("run", "status")),
    ("attempt", ("run", "attempt")),
    ("previous run", ("run", "previous_run_id")),
    ("session", ("run", "session_id")),
    ("queued", ("run", "queued_at")),
    ("claimed", ("run", "claimed_at")),
    ("lease until", ("run", "lease_until")),
    ("started", ("run", "started_at")),
    ("ended", ("run", "ended_at")),
    ("error", ("run", "error")),
    ("result", ("run", "result")),
)


@click.group()
def run() -> None:
    """Look at the runs of a task, and give them up."""


@run.command("list")
@click.argument("task_id")
@option("--status", type=RUN_STATUSES, help="Only runs of this status.")
@option("--session", "session_id", help="Only runs of this session.")
@limit_option
@remote
def list_(server: Remote, task_id: str, **query: JsonValue) -> None:
    """List the runs of a task, the newest first."""
    answer = server.get(api_path("tasks", task_id, "runs"), **query)
    server.show(
        at(answer, "runs"), lambda runs: output.table(runs, output.RUN_COLUMNS, empty="no runs")
    )


@run.command()
@click.argument("run_id")
@remote
def show(server: Remote, run_id: str) -> None:
    """Show one run."""
    answer = server.get(api_path("task-runs", run_id))
    server.show(at(answer, "run"), lambda detail: output.facts(detail, RUN_FACTS))


@run.command()
@click.argument("run_id")
@reason_option
@metadata_option
@remote
def cancel(server: Remote, run_id: str, **body: JsonValue) -> None:
    """Give up a run; as the latest run of its task it decides that the task is canceled."""
    answer = server.post(api_path("task-runs", run_id, "cancel"), without_nothing(**body))
    server.show(answer, output.run_line)
