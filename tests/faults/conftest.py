"""A PostgreSQL server for each file that wants one, and a database for each of its tests."""

from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer, postgres


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture(name="place")
def _place(cluster: PostgresServer) -> Iterator[str]:
    with cluster.database() as place:
        yield place
