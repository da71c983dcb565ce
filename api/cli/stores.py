"""Stores that commands work on themselves: which one is meant, and whether somebody serves it."""

from api.cli.failures import USAGE, Failure
from api.settings import Settings, SettingsError, check


def settings_of(store: str, name: str = "--store") -> Settings:
    """Return the settings with a store that can be one; raises Failure, which holds no secret."""
    try:
        return check(Settings(store=store), lambda _: name)
    except SettingsError as error:
        raise Failure(str(error), USAGE) from error
