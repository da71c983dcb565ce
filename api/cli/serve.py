"""`taskledger serve`: the server."""

from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec.structs import fields

from api.cli.failures import Failure
from api.cli.options import option
from api.settings import Settings, SettingsError, check, variable_of

F = TypeVar("F", bound=Callable[..., Any])

HELP = {
    "host": "Address to listen on; any other than this machine's own needs an access token.",
    "port": "Port to listen on; 0 takes a free one.",
    "store": "Where the ledger is: sqlite:PATH or postgresql://USER@HOST/DATABASE.",
    "workers": "Server processes on the same address; more than one needs PostgreSQL.",
    "allowed_hosts": "More names this server is called by, separated by commas.",
    "strict_sessions": "Let only registered agent sessions claim.",
    "allow_agent_force": "Let agents pause tasks, and release, fail, retry and recover runs.",
    "allow_provider_override": "Let execution profiles name a provider or a model.",
    "allow_sandbox_none": "Let execution profiles do without a sandbox.",
    "allow_sandbox_ref": "Let execution profiles choose a sandbox.",
    "max_lease_expiries": "A run whose lease expired this often is no longer handed out.",
    "max_review_rounds": "A run rejected in this round of reviews is continued no more.",
    "lease_seconds": "Length of a lease whose claim does not ask for one.",
    "sweep_seconds": "Time between two looks for leases and reviews whose time is over.",
    "sweep_limit": "Leases taken back at one look, and reviews ended, at most.",
    "keep_alive_seconds": "Time between two comments on a silent event stream.",
    "poll_seconds": "Time between two looks for commits of other processes that nobody told of.",
    "starvation_seconds": "A run counts as starved after waiting this long.",
    "starved_after_cycles": "Sweeps of such waiting after which the run is told to be starved.",
    "attention_after_cycles": "Sweeps of such waiting after which the run needs attention.",
    "backlog_warning_seconds": "The dashboard warns when a run waits this long; 0 never.",
    "stuck_claimed_seconds": "A run that stays claimed this long counts as stuck; 0 never.",
    "stuck_starting_seconds": "A run that stays starting this long counts as stuck; 0 never.",
    "stuck_running_seconds": "A run that stays running this long counts as stuck; 0 never.",
    "stale_seconds": "Work without an event for longer than this counts as stale; 0 never.",
    "snapshot_interval": "Events between two snapshots, which answers as of then begin with.",
    "snapshot_megabytes": "Room for snapshots; the newest one is kept in any case.",
    "claim_wait_seconds": "How long a waiting claim is held open, at most.",
    "drain_poll_seconds": "Time between two looks of a drain.",
    "shutdown_seconds": "Time for open requests to end when the server stops.",
    "tempest_lease_seconds": "Time for an app to report on an operation it was handed.",
    "secret_key_file": "File with the key that encrypts secrets; by default the store's and .key.",
    "blob_store": "Where artifacts and logs are: s3://BUCKET/PREFIX; by default beside the events.",
    "bridge_private_targets": "Let bridges send to addresses that are not public.",
    "bridge_timeout_seconds": "Time for one try to deliver a notification.",
    "bridge_retry_seconds": "Time between the first two tries; it doubles from try to try.",
    "bridge_retry_max_seconds": "Time between two tries, at most.",
    "bridge_concurrency": "Notifications on their way at the same time, at most.",
}


def flag_of(field: str) -> str:
    """Return the flag of a setting."""
    return f"--{field.replace('_', '-')}"


def settings_options(command: F) -> F:
    """Add one option per setting; type and default are the setting's own."""
    for field in reversed(fields(Settings)):
        is_list = field.type == tuple[str, ...]
        kind = str if is_list else field.type
        command = option(
            f"{flag_of(field.name)}/--no-{field.name.replace('_', '-')}"
            if kind is bool
            else flag_of(field.name),
            field.name,
            envvar=variable_of(field.name),
            type=kind,
            default=",".join(field.default) if is_list else field.default,
            help=HELP[field.name],
        )(command)
    return command


@click.command()
@settings_options
def serve(**values: Any) -> None:
    """Run the server until it is stopped.

    \b
    taskledger serve --store sqlite:/var/lib/taskledger/ledger.db --port 8420
    """
    from api.server import run

    hosts = values.pop("allowed_hosts")
    values["allowed_hosts"] = tuple(filter(None, map(str.strip, hosts.split(","))))
    try:
        settings = check(Settings(**values), flag_of)
    except SettingsError as error:
        raise Failure(str(error)) from error
    run(settings)
