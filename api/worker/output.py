"""What a command printed, made to fit what the ledger stores."""

import signal
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from api.client.documents import JsonValue

RESULT_BYTES = 65_536
KEPT_BYTES = RESULT_BYTES + 1
ERROR_LINES = 20
ERROR_CHARACTERS = 4_000
FENCED_MEMBER = "claim_token"


class Tail:
    """The last bytes of an output of any length; `cut` says that earlier ones were dropped."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.cut = False
        self._limit = limit
        self._kept = bytearray()

    def add(self, piece: bytes) -> None:
        """Append, and forget from the front what exceeds the limit."""
        self._kept += piece
        excess = len(self._kept) - self._limit
        if excess > 0:
            self.cut = True
            del self._kept[:excess]

    def text(self) -> str:
        """Return what is kept; bytes that are no UTF-8 are replaced."""
        return self._kept.decode("utf-8", "replace")


class Outcome(Struct, frozen=True, kw_only=True):
    """How a command ended: its exit code (negative for a signal) and its output."""

    exit_code: int
    stdout: str
    stdout_cut: bool = False
    stderr: str = ""


def result_of(outcome: Outcome) -> JsonValue:
    """Return the run's result: the JSON that was printed, else the text, or its end if too long."""
    if not outcome.stdout_cut:
        with suppress(msgspec.DecodeError, RecursionError):
            value = msgspec.json.decode(outcome.stdout)
            if len(msgspec.json.encode(value)) <= RESULT_BYTES and not names_a_token(value):
                return value
    return shortened(outcome.stdout, cut=outcome.stdout_cut)


def shortened(text: str, *, cut: bool) -> JsonValue:
    """Return text as a result that is within the limit, keeping its end."""
    while True:
        value = {"output": text, "truncated": cut}
        excess = len(msgspec.json.encode(value)) - RESULT_BYTES
        if excess <= 0:
            return value
        # A character takes up to twelve bytes here (two escaped surrogates): approach from above.
        text, cut = text[max(1, excess // 12) :], True


def names_a_token(value: JsonValue) -> bool:
    """Return whether a member of that name, which the ledger refuses, is anywhere inside."""
    if isinstance(value, Mapping):
        return any(
            name.lower() == FENCED_MEMBER or names_a_token(member) for name, member in value.items()
        )
    return isinstance(value, list) and any(names_a_token(member) for member in value)


def error_of(outcome: Outcome) -> str:
    """Return the error text of a failed command: how it ended, then the last lines it printed."""
    printed = outcome.stderr.strip() or outcome.stdout.strip()
    lines = "\n".join(printed.splitlines()[-ERROR_LINES:])[-ERROR_CHARACTERS:]
    return f"{ending_of(outcome.exit_code)}\n{lines}" if lines else ending_of(outcome.exit_code)


def ending_of(exit_code: int) -> str:
    """Return in words how a process ended."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
