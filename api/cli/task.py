"""`taskledger task`: create tasks, look at them, decide about them."""

import click

from api.cli import output
from api.cli.options import (
    JSON_OBJECT,
    KIND_AND_REF,
    key_option,
    limit_option,
    metadata_option,
    option,
    reason_option,
    remote,
    workspace_option,
)
from api.cli.remote import Remote, api_path
from api.client.documents import JsonObject, JsonValue, at, without_nothing
from api.client.http import LedgerClient

PRIORITIES = click.Choice(["low", "medium", "high", "urgent"])
SCOPES = click.Choice(["global", "workspace"])
STATUSES = click.Choice(
    ["draft", "pending", "blocked", "ready", "in_progress", "completed", "failed", "canceled"]
)


@click.group()
def task() -> None:
    """Create tasks, look at them, decide about them."""


@task.command()
@click.argument("title")
@option("--id", default="", help="An id of your own.")
@option("--identifier", default="", help="A label for people, such as OPS-17.")
@option("--description", default="", help="What it is about.")
@option("--scope", type=SCOPES, help="By default that of --workspace or of the parent.")
@workspace_option
@option("--parent", default="", help="Create it below this task.")
@option("--priority", type=PRIORITIES, help="What is more urgent is handed out first.")
@option("--max-attempts", type=click.IntRange(1, 10), help="Runs it may have in all.")
@option("--channel", default="", help="Network channel.")
@option("--owner", type=KIND_AND_REF, help="For instance pool:builders.")
@option("--approval", type=click.Choice(["none", "manual"]), help="Approval policy.")
@option("--draft", is_flag=True, help="Keep it out of sight until it is published.")
@option("--auto-enqueue", is_flag=True, help="Queue a run as soon as nothing blocks it.")
@option("--command", default="", help="Shell command, kept as metadata.command.")
@option("--metadata", type=JSON_OBJECT, help="A JSON object.")
@option("--depends-on", multiple=True, help="Wait for this task; may be repeated.")
@option("--enqueue", is_flag=True, help="Queue a run at once; it waits while something blocks it.")
@remote
def create(
    *,
    server: Remote,
    title: str,
    parent: str,
    command: str,
    metadata: JsonObject | None,
    depends_on: tuple[str, ...],
    enqueue: bool,
    **options: JsonValue,
) -> None:
    """Create a task.

    \b
    taskledger task create "Nightly build" --command "make build" --enqueue
    """
    body = creation(title, **options)
    if command or metadata is not None:
        body["metadata"] = (metadata or {}) | ({"command": command} if command else {})
    path = api_path("tasks", parent, "children") if parent else api_path("tasks")

    async def create_and_link(client: LedgerClient) -> JsonValue:
        if parent and not (options["scope"] or options["workspace"]):
            body.update(await binding_of(client, parent))
        # A name that is mistyped is told before anything is made.
        for blocker in depends_on:
            await client.get(api_path("tasks", blocker))
        answer = await client.post(path, body)
        return await follow_up(client, answer, depends_on, enqueue=enqueue)

    server.show(server.run(create_and_link), output.task_line)


def creation(
    title: str,
    *,
    scope: str | None,
    workspace: str,
    channel: str,
    approval: str | None,
    draft: bool,
    auto_enqueue: bool,
    **same: JsonValue,
) -> JsonObject:
    """Return the body that creates a task; members that are not given are left out."""
    return without_nothing(
        title=title,
        scope=scope or ("workspace" if workspace else "global"),
        workspace=workspace,
        network_channel=channel,
        approval_policy=approval,
        draft=draft or None,
        auto_enqueue_on_ready=auto_enqueue or None,
        **same,
    )


async def binding_of(client: LedgerClient, task_id: str) -> JsonObject:
    """Return scope and workspace of a task as a child of it needs them."""
    task = at(await client.get(api_path("tasks", task_id)), "task", "task")
    return without_nothing(scope=at(task, "scope"), workspace=at(task, "workspace_id"))


async def follow_up(
    client: LedgerClient, answer: JsonValue, blockers: tuple[str, ...], *, enqueue: bool
) -> JsonValue:
    """Add dependencies and a run to a task just created; return its newest state."""
    task_id = str(at(answer, "task", "id"))
    for blocker in blockers:
        body = {"depends_on_task_id": blocker}
        detail = await client.post(api_path("tasks", task_id, "dependencies"), body)
        answer = {"task": at(detail, "task", "task")}
    if enqueue:
        queued = await client.post(api_path("tasks", task_id, "runs"))
        detail = await client.get(api_path("tasks", task_id))
        answer = {"task": at(detail, "task", "task"), "run": at(queued, "run")}
    return answer


@task.command("list")
@option("--status", type=STATUSES, help="Only tasks of this status.")
@option("--scope", type=SCOPES, help="Only tasks of this scope.")
@workspace_option
@option("--priority", type=PRIORITIES, help="Only tasks of this priority.")
@option("--parent", help="Only direct children of this task.")
@option("--owner", type=KIND_AND_REF, help="Only tasks of this owner.")
@option("--query", help="Part of title or identifier.")
@option("--drafts", is_flag=True, help="Show drafts as well.")
@limit_option
@remote
def list_(
    server: Remote, parent: str | None, owner: JsonObject | None, drafts: bool, **query: JsonValue
) -> None:
    """List tasks, the latest activity first."""
    answer = server.get(
        api_path("tasks"),
        parent_task_id=parent,
        owner_kind=at(owner, "kind"),
        owner_ref=at(owner, "ref"),
        include_drafts=drafts,
        **query,
    )
    server.show(
        at(answer, "tasks"),
        lambda tasks: output.table(tasks, output.TASK_COLUMNS, empty="no tasks"),
    )


@task.command()
@click.argument("task_id")
@remote
def show(server: Remote, task_id: str) -> None:
    """Show one task with its runs, blockers and children."""
    server.show(at(server.get(api_path("tasks", task_id)), "task"), print_detail)


TASK_FACTS: tuple[output.Column, ...] = (
    ("id", ("id",)),
    ("identifier", ("identifier",)),
    ("title", ("title",)),
    ("status", ("status",)),
    ("priority", ("priority",)),
    ("workspace", ("workspace_id",)),
    ("parent", ("parent_task_id",)),
    ("owner", ("owner", "ref")),
    ("approval", ("approval_state",)),
    ("paused by", ("paused_by",)),
    ("paused because", ("paused_reason",)),
    ("paused through", ("paused_by_task_id",)),
    ("attempts at most", ("max_attempts",)),
    ("created", ("created_at",)),
    ("updated", ("updated_at",)),
    ("closed", ("closed_at",)),
    ("latest sequence", ("latest_event_seq",)),
    ("description", ("description",)),
    ("metadata", ("metadata",)),
)
BLOCKER_COLUMNS: tuple[output.Column, ...] = (
    ("WAITS FOR", ("depends_on_task_id",)),
    ("STATUS", ("depends_on", "status")),
    ("TITLE", ("depends_on", "title")),
)


def print_detail(detail: JsonValue) -> None:
    """Print a task detail for people."""
    output.facts(at(detail, "task"), TASK_FACTS)
    parts = (
        ("Runs", at(detail, "runs"), output.RUN_COLUMNS),
        ("Waits for", at(detail, "dependency_references"), BLOCKER_COLUMNS),
        ("Children", at(detail, "children"), output.TASK_COLUMNS),
    )
    for name, rows, columns in parts:
        if rows:
            output.heading(name)
            output.table(rows, columns, empty="")


def change(
    server: Remote, task_id: str, action: str, *, repeatable: bool = False, **body: JsonValue
) -> None:
    """Post one decision about a task and print what came of it."""
    path = api_path("tasks", task_id, action)
    answer = server.post(path, without_nothing(**body), repeatable=repeatable)
    server.show(answer, output.task_line)


@task.command()
@click.argument("task_id")
@key_option
@metadata_option
@remote
def enqueue(
    server: Remote, task_id: str, idempotency_key: str, metadata: JsonObject | None
) -> None:
    """Queue a run; it waits while something blocks the task."""
    change(
        server,
        task_id,
        "runs",
        repeatable=bool(idempotency_key),
        idempotency_key=idempotency_key,
        metadata=metadata,
    )


# A repeated start, publication or approval returns the run that the first one queued.
@task.command()
@click.argument("task_id")
@key_option
@metadata_option
@remote
def start(server: Remote, task_id: str, **body: JsonValue) -> None:
    """Queue a run of a task that nothing blocks."""
    change(server, task_id, "start", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@key_option
@metadata_option
@remote
def publish(server: Remote, task_id: str, **body: JsonValue) -> None:
    """Make a draft a task and queue a run."""
    change(server, task_id, "publish", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@key_option
@metadata_option
@remote
def approve(server: Remote, task_id: str, **body: JsonValue) -> None:
    """Give the pending approval and queue a run."""
    change(server, task_id, "approve", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@remote
def reject(server: Remote, task_id: str) -> None:
    """Refuse the pending approval."""
    change(server, task_id, "reject")


@task.command()
@click.argument("task_id")
@reason_option
@metadata_option
@remote
def cancel(server: Remote, task_id: str, **body: JsonValue) -> None:
    """Give up a task and everything below it."""
    change(server, task_id, "cancel", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@option("--reason", required=True, help="Why; kept in the ledger.")
@metadata_option
@remote
def pause(server: Remote, task_id: str, **body: JsonValue) -> None:
    """Let nobody claim runs of a task and of what is below it."""
    change(server, task_id, "pause", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@metadata_option
@remote
def resume(server: Remote, task_id: str, **body: JsonValue) -> None:
    """End a task's own pause."""
    change(server, task_id, "resume", repeatable=True, **body)


@task.command()
@click.argument("task_id")
@remote
def delete(server: Remote, task_id: str) -> None:
    """Delete a task that has no children and no open run; the ledger keeps its history."""
    server.delete(api_path("tasks", task_id))
    server.show({"deleted": task_id}, lambda _: click.echo(f"{task_id}  deleted"))


@task.command()
@click.argument("task_id")
@click.argument("blocker_id")
@option("--remove", is_flag=True, help="Wait for it no longer.")
@remote
def depend(server: Remote, task_id: str, blocker_id: str, remove: bool) -> None:
    """Let a task wait until another one is completed."""
    path = api_path("tasks", task_id, "dependencies")
    if remove:
        answer = server.delete(f"{path}/{api_path(blocker_id).rpartition('/')[2]}")
    else:
        answer = server.post(path, {"depends_on_task_id": blocker_id})
    server.show(answer, output.task_line)
