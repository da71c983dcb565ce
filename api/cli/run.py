"""`taskledger run`: look at the runs of a task, give them up, and take them in hand."""

import click

from api.cli import output
from api.cli.failures import REFUSED, Failure
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
    """Look at the runs of a task, give them up, and take them in hand."""


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


# What follows is done by hand, whoever has the run.
needed_reason_option = option("--reason", required=True, help="Why; kept in the ledger.")


@run.command("force-release")
@click.argument("run_id")
@reason_option
@metadata_option
@remote
def force_release(server: Remote, run_id: str, **body: JsonValue) -> None:
    """Take a claimed run back into the queue; whoever had it can no longer report on it."""
    answer = server.post(api_path("runs", run_id, "release"), without_nothing(**body))
    server.show(answer, output.run_line)


@run.command("force-fail")
@click.argument("run_id")
@needed_reason_option
@metadata_option
@remote
def force_fail(server: Remote, run_id: str, **body: JsonValue) -> None:
    """Let a run fail that waits, is merely claimed or needs attention."""
    answer = server.post(api_path("runs", run_id, "fail"), without_nothing(**body))
    server.show(answer, output.run_line)


@run.command()
@click.argument("run_id")
@metadata_option
@remote
def retry(server: Remote, run_id: str, **body: JsonValue) -> None:
    """Queue a successor of a failed run."""
    answer = server.post(api_path("runs", run_id, "retry"), without_nothing(**body))
    server.show(answer, output.run_line)


@run.command()
@click.argument("run_id")
@option("--in-place", is_flag=True, help="Queue the run itself again; that needs no attempt.")
@reason_option
@metadata_option
@remote
def recover(server: Remote, run_id: str, in_place: bool, **body: JsonValue) -> None:
    """Queue a successor of a run that needs attention; the run itself fails."""
    sent = without_nothing(**body, in_place=in_place or None)
    server.show(server.post(api_path("runs", run_id, "recover"), sent), output.run_line)


BULK_COLUMNS: tuple[output.Column, ...] = (
    ("RUN", ("run_id",)),
    ("STATUS", ("run", "status")),
    ("REFUSED", ("error", "error")),
)


def bulk(server: Remote, verb: str, run_ids: tuple[str, ...], **body: JsonValue) -> None:
    """Do something to several runs, print a row for each, and fail if any was refused."""
    sent = without_nothing(run_ids=list(run_ids), **body)
    rows = at(server.post(api_path("runs", "bulk", verb), sent), "results")
    server.show(rows, lambda each: output.table(each, BULK_COLUMNS, empty=""))
    refused = sum(not at(row, "ok") for row in rows)
    if refused:
        raise Failure(f"{refused} of {len(rows)} runs were refused", REFUSED)


@run.command("bulk-release")
@click.argument("run_ids", nargs=-1, required=True)
@reason_option
@metadata_option
@remote
def bulk_release(server: Remote, run_ids: tuple[str, ...], **body: JsonValue) -> None:
    """Take several claimed runs back into the queue, up to 50; each is refused on its own."""
    bulk(server, "release", run_ids, **body)


@run.command("bulk-fail")
@click.argument("run_ids", nargs=-1, required=True)
@needed_reason_option
@metadata_option
@remote
def bulk_fail(server: Remote, run_ids: tuple[str, ...], **body: JsonValue) -> None:
    """Let several runs fail, up to 50; each is refused on its own."""
    bulk(server, "fail", run_ids, **body)
