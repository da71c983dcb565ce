"""`taskledger review`: ask for the review of an ended run, take one, and say what came of it."""

import click
from msgspec.structs import replace

from api.cli import output
from api.cli.options import JSON, KIND_AND_REF, limit_option, option, remote
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, text_at, without_nothing

POLICIES = click.Choice(["always", "on_success", "on_failure"])
STATUSES = click.Choice(
    ["requested", "routed", "in_review", "recorded", "circuit_opened", "canceled"]
)
OUTCOMES = click.Choice(["approved", "rejected", "blocked", "error", "timeout", "invalid_output"])
COLUMNS: tuple[output.Column, ...] = (
    ("REVIEW", ("review_id",)),
    ("STATUS", ("status",)),
    ("OUTCOME", ("outcome",)),
    ("RUN", ("run_id",)),
    ("ROUND", ("review_round",)),
    ("REVIEWER", ("reviewer_session_id",)),
    ("UPDATED", ("updated_at",)),
    ("REASON", ("reason",)),
)
FACTS: tuple[output.Column, ...] = (
    ("id", ("review_id",)),
    ("task", ("task_id",)),
    ("run", ("run_id",)),
    ("status", ("status",)),
    ("outcome", ("outcome",)),
    ("confidence", ("confidence",)),
    ("round", ("review_round",)),
    ("attempt", ("attempt",)),
    ("policy", ("policy",)),
    ("reviewer", ("reviewer_session_id",)),
    ("requested", ("requested_at",)),
    ("deadline", ("deadline_at",)),
    ("reviewed", ("reviewed_at",)),
    ("reviewed by", ("reviewed_by", "ref")),
    ("reason", ("reason",)),
    ("missing work", ("missing_work",)),
    ("next round", ("next_round_guidance",)),
    ("text", ("review_text",)),
)

agent_option = option(
    "--as-agent", type=KIND_AND_REF, metavar="SESSION:AGENT", help="Speak for an agent session."
)


def speaking(server: Remote, who: JsonObject | None) -> Remote:
    """Return a server that hears the agent session, the server itself when there is none."""
    if who is None:
        return server
    headers = {"X-AGH-Session-ID": text_at(who, "kind"), "X-AGH-Agent": text_at(who, "ref")}
    return Remote(replace(server.connection, headers=headers), as_json=server.as_json)


def review_line(answer: JsonValue) -> None:
    """Print the review of an answer in one line, and the run that continues if there is one."""
    review = at(answer, "review")
    said = text_at(review, "outcome") or text_at(review, "status")
    click.echo(f"{text_at(review, 'review_id')}  {said}  {text_at(review, 'run_id')}")
    output.run_line({"run": at(answer, "continuation_run")})


@click.group()
def review() -> None:
    """Ask for the review of an ended run, take one, and say what came of it."""


@review.command()
@click.argument("run_id")
@option("--policy", type=POLICIES, help="Which ends of the run call for a review.")
@option("--round", "review_round", type=click.IntRange(min=1), help="By default that of the run.")
@option("--attempt", type=click.IntRange(min=1), help="By default the first one.")
@option("--parent-review", "parent_review_id", default="", help="The review this one follows.")
@option("--reason", default="", help="What to look at.")
@option("--deadline", "deadline_at", default="", help="An RFC 3339 time.")
@agent_option
@remote
def request(server: Remote, run_id: str, as_agent: JsonObject | None, **body: JsonValue) -> None:
    """Ask for the review of an ended run; the same round and attempt again gives what there is."""
    path = api_path("task-runs", run_id, "reviews")
    asked = speaking(server, as_agent).post(path, without_nothing(**body), repeatable=True)
    server.show(asked, review_line)


@review.command("list")
@option("--task", "task_id", default="", help="The reviews of this task.")
@option("--run", "run_id", default="", help="The reviews of this run.")
@option("--status", type=STATUSES, help="Only reviews of this status.")
@option("--reviewer-session", "reviewer_session_id", help="Only reviews this session took.")
@limit_option
@remote
def list_(server: Remote, task_id: str, run_id: str, **query: JsonValue) -> None:
    """List the reviews of a task or of a run, the latest change first."""
    if bool(task_id) == bool(run_id):
        message = "give either --task or --run"
        raise click.UsageError(message)
    kind, id_ = ("task-runs", run_id) if run_id else ("tasks", task_id)
    answer = server.get(api_path(kind, id_, "reviews"), **query)
    server.show(
        at(answer, "reviews"),
        lambda reviews: output.table(reviews, COLUMNS, empty="no reviews"),
    )


@review.command()
@click.argument("review_id")
@remote
def show(server: Remote, review_id: str) -> None:
    """Show one review."""
    answer = server.get(api_path("task-reviews", review_id))
    server.show(at(answer, "review"), lambda document: output.facts(document, FACTS))


@review.command()
@option(
    "--as-agent",
    type=KIND_AND_REF,
    metavar="SESSION:AGENT",
    required=True,
    help="The registered session that reviews.",
)
@remote
def take(server: Remote, as_agent: JsonObject) -> None:
    """Take the oldest review that waits and that the session may do."""
    path = api_path("agent", "reviews", "claim-next")
    answer = speaking(server, as_agent).post(path)
    if answer is None:
        server.show({}, lambda _: click.echo("no reviews"))
    else:
        server.show(answer, review_line)


@review.command()
@click.argument("review_id")
@option("--outcome", type=OUTCOMES, required=True, help="What the reviewer found.")
@option("--reason", required=True, help="Why.")
@option("--confidence", type=click.FloatRange(0, 1), default=1.0, help="How sure that is.")
@option("--delivery-id", default="cli", help="The same verdict under the same id counts once.")
@option("--run", "run_id", default="", help="The run, which has to be that of the review.")
@option("--missing-work", multiple=True, help="Something to be done; may be repeated.")
@option("--missing-work-json", type=JSON, help="The same as a JSON array.")
@option("--next-round-guidance", default="", help="How to go on.")
@option("--review-text", default="", help="The whole review.")
@agent_option
@remote
def submit(
    *,
    server: Remote,
    review_id: str,
    run_id: str,
    missing_work: tuple[str, ...],
    missing_work_json: JsonValue,
    as_agent: JsonObject | None,
    **verdict: JsonValue,
) -> None:
    """Say what came of a review; a rejection queues the run that continues.

    \b
    taskledger review submit review-… --outcome rejected --reason "no tests" --missing-work tests
    """
    missing = missing_work_json if missing_work_json is not None else list(missing_work)
    body = without_nothing(
        run_id=run_id, verdict=without_nothing(missing_work=missing or None, **verdict)
    )
    path = api_path("task-reviews", review_id, "verdict")
    answer = speaking(server, as_agent).post(path, body, repeatable=True)
    server.show(answer, review_line)
