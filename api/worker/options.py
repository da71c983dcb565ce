"""What a worker is told to do."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from api.client.documents import JsonObject

Report: TypeAlias = Callable[[str, JsonObject], None]
"""Tells the outside what happens: the name of the event, and what there is to say about it."""


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """What to run and how; times in seconds.

    Without `command`, the task's own `metadata.command` is run. With `wait` the worker waits for
    work, asking every `poll_seconds`, or (0) letting the server hold the question open.
    """

    command: str = ""
    lease_seconds: int = 60
    priority_min: int = 0
    wait: bool = True
    poll_seconds: float = 0.0
    max_runs: int = 0
    concurrency: int = 1
    grace_seconds: float = 5.0
    environment: Mapping[str, str] = {}
    keep_sessions: bool = False
