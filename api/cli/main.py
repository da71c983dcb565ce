"""The command `taskledger` and the list of its subcommands."""

from importlib import import_module

import click

from api.cli.failures import EXIT_CODES
from api.cli.options import PREFIX

COMMANDS = {
    "serve": "api.cli.serve:serve",
    "work": "api.cli.work:work",
    "task": "api.cli.task:task",
    "run": "api.cli.run:run",
    "review": "api.cli.review:review",
    "profile": "api.cli.profile:profile",
    "explain": "api.cli.explain:explain",
    "tail": "api.cli.tail:tail",
    "scheduler": "api.cli.scheduler:scheduler",
    "session": "api.cli.registry:session",
    "workspace": "api.cli.registry:workspace",
    "bridge": "api.cli.bridge:bridge",
    "tempest": "api.cli.tempest:tempest",
    "token": "api.cli.token:token",
    "verify": "api.cli.audit:verify",
    "replay": "api.cli.audit:replay",
    "diff": "api.cli.audit:diff",
    "export": "api.cli.transfer:export",
    "import": "api.cli.transfer:import_",
    "migrate": "api.cli.move:migrate",
    "copy": "api.cli.move:copy",
    "blobs": "api.cli.blobs:blobs",
    "projections": "api.cli.projections:projections",
}
"""Each subcommand is loaded when it is used, so that none pays for the others."""


class LazyGroup(click.Group):
    """A group whose subcommands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the subcommand, None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


EXAMPLES = """\b
Examples:
  taskledger serve --store sqlite:ledger.db
  taskledger task create "Build the docs" --command "make docs" --enqueue
  taskledger work --exec-from-metadata
  taskledger work --exec ./do-one-task.sh --concurrency 4
  taskledger tail --follow"""


@click.group(
    cls=LazyGroup,
    context_settings={
        "auto_envvar_prefix": PREFIX,
        "show_default": True,
        "help_option_names": ["-h", "--help"],
    },
    epilog=f"{EXAMPLES}\n\n{EXIT_CODES}",
)
@click.version_option(package_name="taskledger", message="%(prog)s %(version)s")
def main() -> None:
    """A ledger of tasks: every change is one event, and nothing else is the truth.

    Every option can be set by the environment variable that its help shows.
    """
