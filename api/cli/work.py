"""`taskledger work`: a worker that lets a command do each run."""

import asyncio
import os
import secrets
import signal
import socket
import sys

import click

from api.cli import output
from api.cli.failures import NOTHING_TO_DO, Failure, failure_of
from api.cli.options import connecting, json_option, option
from api.client.documents import JsonObject, JsonValue, text_at
from api.client.errors import ClientError
from api.client.http import Connection
from api.worker.agent import Identity
from api.worker.options import WorkerOptions
from api.worker.worker import Worker

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
MAX_LEASE = 86_400


def made_up_session() -> str:
    """Return a session id that says which machine it is on and never comes again."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


def print_event(event: str, members: JsonObject) -> None:
    """Print one line for people on standard error."""
    names = ("run_id", "task_id", "session_id")
    who = "  ".join(filter(None, (text_at(members, name) for name in names)))
    rest = [f"{members['seconds']:.1f} s"] if "seconds" in members else []
    rest += [f"attempt {members['attempt']}"] if "attempt" in members else []
    rest += text_at(members, "reason").splitlines()[:1]
    click.echo("  ".join([f"{event:<9}", who, *rest]), err=True)


def json_event(event: str, members: JsonObject) -> None:
    """Print one JSON line on standard output."""
    output.json_line({"event": event, **members})


@click.command()
@option("--exec", default="", metavar="COMMAND", help="Shell command that does a run.")
@option(
    "--exec-from-metadata",
    is_flag=True,
    help="Run the task's own metadata.command, a text or a list of texts, with the variables of "
    "its metadata.env. Whoever may write to the ledger can then run anything here.",
)
@option("--capability", "capabilities", multiple=True, help="What it offers; may be repeated.")
@option("--concurrency", type=click.IntRange(1, 64), default=1, help="Runs at the same time.")
@option("--agent", default="worker", help="Agent name; runs owned by pool:NAME go to it.")
@option("--session", default="", help="Session id. [default: made up]")
@option("--workspace", envvar="TASKLEDGER_WORKSPACE", default="", help="Id of the workspace.")
@option(
    "--lease",
    type=click.IntRange(1, MAX_LEASE),
    default=60,
    help="Seconds a run stays ours without a heartbeat.",
)
@option(
    "--priority-min",
    type=click.IntRange(min=0),
    default=0,
    help="Only runs of this priority or above: 10 low, 20 medium, 30 high, 40 urgent.",
)
@option(
    "--poll",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds between two questions for work; with 0 the server holds the question open.",
)
@option("--once", is_flag=True, help="Do one run if there is one now, then end.")
@option(
    "--max-runs", type=click.IntRange(min=0), default=0, help="End after this many runs; 0 never."
)
@option(
    "--grace",
    type=click.FloatRange(min=0),
    default=5.0,
    help="Seconds between SIGTERM and SIGKILL.",
)
@option("--pass-token", is_flag=True, help="Let the command see TASKLEDGER_TOKEN.")
@connecting
@json_option
def work(
    connection: Connection, as_json: bool, once: bool, pass_token: bool, **given: JsonValue
) -> None:
    """Claim runs and let a command do them, until stopped.

    The command gets the task as JSON on its standard input, with the run as its member `run`, and
    TASKLEDGER_TASK_ID, _RUN_ID, _ATTEMPT, _SESSION, _AGENT, _WORKSPACE and _SERVER in its
    environment. Exit code 0 completes the run with what was printed as its result; any other fails
    it with the last lines printed. On SIGTERM the commands are ended and the runs given back.

    \b
    taskledger work --exec 'make -C "$PROJECT" build' --concurrency 2 --lease 120

    Exit codes: 0 done, also when runs failed, 1 refused, 2 wrong usage; with --once also 3 the
    server cannot be reached, 4 nothing to do.
    """
    if bool(given["exec"]) == bool(given.pop("exec_from_metadata")):
        raise Failure("give either --exec COMMAND or --exec-from-metadata")
    worker = Worker(
        connection,
        identity(given),
        WorkerOptions(
            command=given["exec"],
            lease_seconds=given["lease"],
            priority_min=given["priority_min"],
            wait=not once,
            poll_seconds=given["poll"],
            max_runs=1 if once else given["max_runs"],
            concurrency=given["concurrency"],
            grace_seconds=given["grace"],
            environment=environment(connection, given, pass_token=pass_token),
            keep_sessions=bool(given["session"]),
        ),
        json_event if as_json else print_event,
    )
    try:
        asyncio.run(until_stopped(worker))
    except ClientError as error:
        raise failure_of(error) from error
    if once and not worker.runs:
        sys.exit(NOTHING_TO_DO)


def identity(given: JsonObject) -> Identity:
    """Return the one session that holds all leases of the worker."""
    return Identity(
        session_id=given["session"] or made_up_session(),
        agent_name=given["agent"],
        workspace_id=given["workspace"],
        capabilities=given["capabilities"],
    )


def environment(connection: Connection, given: JsonObject, *, pass_token: bool) -> dict[str, str]:
    """Return the environment of every command; it holds no secret unless that was asked for."""
    inherited = {name: value for name, value in os.environ.items() if name != "TASKLEDGER_TOKEN"}
    token = {"TASKLEDGER_TOKEN": connection.token} if pass_token and connection.token else {}
    return {
        **inherited,
        **token,
        "TASKLEDGER_SERVER": connection.server,
        "TASKLEDGER_AGENT": given["agent"],
        "TASKLEDGER_WORKSPACE": given["workspace"],
    }


async def until_stopped(worker: Worker) -> None:
    """Run the worker; SIGTERM and SIGINT stop it, a second one at once."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, worker.stop)
    await worker.run()
