"""How far the machines go: the same sequences each time, unless somebody explores."""

import os

from hypothesis import HealthCheck, settings

EXPLORING = int(os.environ.get("TASKLEDGER_EXPLORE", "0"))
"""Set it to a factor to look further than usual, with other sequences every time."""

USUAL = settings(
    derandomize=not EXPLORING,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


DAYS = range(EXPLORING * 1_000, EXPLORING * 1_000 + 8 * (EXPLORING or 1))


def examples(count: int, steps: int) -> settings:
    """Return the settings of a machine."""
    return settings(USUAL, max_examples=count * (EXPLORING or 1), stateful_step_count=steps)
