"""Exit codes, and the one line on standard error that goes with each."""

from typing import IO, Any

import click

from api.client.errors import ApiError, ClientError

UNAUTHORIZED = 401

REFUSED = 1
USAGE = 2
UNREACHABLE = 3
NOTHING_TO_DO = 4
INTERRUPTED = 130

EXIT_CODES = """\b
Exit codes:
  0    done
  1    refused, or something differs (verify, copy, projections)
  2    wrong usage or environment
  3    the server cannot be reached, or failed
  4    nothing to do (work --once)
  130  interrupted"""


class Failure(click.ClickException):
    """Ends the program with one line on standard error and an exit code."""

    def __init__(self, text: str, exit_code: int = USAGE) -> None:
        super().__init__(" ".join(text.split()))
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from here

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"taskledger: {self.message}", file=file, err=True)


def failure_of(error: ClientError) -> Failure:
    """Return how the program ends after a request that failed for good."""
    if not isinstance(error, ApiError):
        return Failure(str(error), UNREACHABLE)
    text = str(error)
    # Who an agent is has nothing to do with tokens, and is told with a diagnostic.
    if error.status == UNAUTHORIZED and error.diagnostic is None:
        text += "; give one by --token or TASKLEDGER_TOKEN"
    return Failure(text, REFUSED if error.refused else UNREACHABLE)
