from collections.abc import Iterator

import pytest

from tests.cli.processes import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of one module, which looks for lost leases all the time."""
    with running(tmp_path_factory.mktemp("server"), "--sweep-seconds", "0.2") as running_server:
        yield running_server
