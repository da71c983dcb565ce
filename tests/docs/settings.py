"""The reference of the server's settings, from the settings themselves."""

import math
from typing import Any, Final

from msgspec.structs import fields

from api.cli.serve import HELP, flag_of
from api.settings import Settings, complaint, variable_of
from tests.docs.markdown import code, page, table

_INTRODUCTION: Final = """\
# Settings

What [`taskledger serve`](cli.md#taskledger-serve) takes, as a flag or as an environment variable.
A flag goes before the variable. Durations are seconds. A value that is not acceptable is named and
the server does not start."""
_STORE: Final = """\
## Settings of the event store

They belong to the event-store library and are read from the environment alone. Set them before the
first event is written, and never change them for a store; see
[how to encrypt](../how-to/run-in-production.md#encrypt-it).

| variable | meaning |
| --- | --- |
| `COMPRESSOR_TOPIC` | compresses recorded events, for instance `zlib` |
| `CIPHER_KEY` | encrypts recorded events with this key |
| `CIPHER_TOPIC` | the cipher, when it is to be another than AES |"""


def settings() -> str:
    """Return the page."""
    heads = ("flag", "variable", "default", "accepts", "meaning")
    return page(_INTRODUCTION, table(heads, map(_row, fields(Settings))), _STORE)


def _row(field: Any) -> tuple[str, str, str, str, str]:
    name = field.name
    return (
        code(flag_of(name)),
        code(variable_of(name)),
        _text(field.default),
        _accepted(name, field.type),
        HELP[name],
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        value = ", ".join(value)
    if value == "":
        return "none"
    return code(f"{value:g}" if isinstance(value, float) else str(value))


def _accepted(name: str, kind: Any) -> str:
    if kind in {int, float}:
        limits = complaint(name, math.nan).removeprefix("must be ")
        return ("a whole number " if kind is int else "") + limits
    return {bool: "true or false", str: "text"}.get(kind, "names, separated by commas")
