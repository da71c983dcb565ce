"""`taskledger token`: make, list and revoke access tokens."""

import click


@click.group()
def token() -> None:
    """Make, list and revoke access tokens."""
