"""Every operation of the PostHog Tasks API."""

from typing import Final

from api.facades.posthog import artifacts, logs, output, runs, session_logs, tasks, uploads
from api.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *tasks.OPERATIONS,
    *runs.OPERATIONS,
    *output.OPERATIONS,
    *logs.OPERATIONS,
    *session_logs.OPERATIONS,
    *artifacts.OPERATIONS,
    *uploads.OPERATIONS,
)
