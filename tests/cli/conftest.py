import signal
from collections.abc import Iterator

import pytest

from tests.cli.processes import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the tests of one module, which looks for lost leases all the time.

    It takes none of their runs for starved, however long the tests take.
    """
    options = ("--sweep-seconds", "0.2", "--starvation-seconds", "86400")
    with running(tmp_path_factory.mktemp("server"), *options) as running_server:
        yield running_server


@pytest.fixture(scope="session", autouse=True)
def interrupts_count() -> Iterator[None]:
    """Let the processes of these tests be interrupted.

    What a shell starts in the background ignores SIGINT and hands that on; a signal with a handler
    gets its default meaning in a new program.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
