"""Settings of all tests."""

import os

import coverage
import pytest
from hypothesis import settings

# Before anything imports them, so that their assertions explain themselves like those in tests.
pytest.register_assert_rewrite(
    "tests.support.verify",
    "tests.support.leases",
    "tests.support.spec",
    "tests.support.invariants",
    "tests.machine.base",
    "tests.machine.views",
    "tests.faults.crew",
    "tests.faults.client",
)

# The same examples each time where a change is judged; new ones wherever somebody works on it.
settings.register_profile("ci", derandomize=True, print_blob=True)
settings.register_profile("work", print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "work")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let the processes that tests start run unmeasured, which makes them twice as fast."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_sessionfinish() -> None:
    """Keep what was measured before the process ends: one that is slow to end is killed."""
    measuring = coverage.Coverage.current()
    if measuring is not None:
        measuring.stop()
        measuring.save()
