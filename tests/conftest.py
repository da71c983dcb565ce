"""Settings of all tests."""

import os
from collections.abc import Iterator
from typing import Final

import coverage
import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import PostgresServer, postgres, shared

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
# How long an example may take says nothing on a machine that does other things as well.
settings.register_profile("work", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    settings.get_profile("work"),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "work")

LONG: Final = frozenset(
    {
        "test_blobs.py",
        "test_fuzzing.py",
        "test_in_process.py",
        "test_kill.py",
        "test_large.py",
        "test_many_processes.py",
        "test_over_http.py",
        "test_poison.py",
        "test_projections.py",
        "test_smoke.py",
        "test_snapshots.py",
        "test_snippets.py",
    }
)


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[PostgresServer]:
    """A PostgreSQL server of a file's own, which may be stopped and started again."""
    with postgres() as server:
        yield server


@pytest.fixture(name="place")
def _place(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL database, in the server of the file when the test asks for that."""
    of_its_own = "cluster" in request.fixturenames
    server = request.getfixturevalue("cluster") if of_its_own else shared()
    with server.database() as place:
        yield place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.path.name not in LONG)


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
