"""Every operation of the PostHog Tasks API."""

from typing import Final

from api.facades.posthog import runs, tasks
from api.operations import Operation

OPERATIONS: Final[tuple[Operation, ...]] = (
    *tasks.OPERATIONS,
    *runs.OPERATIONS,
)
