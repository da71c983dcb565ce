"""One server for the tests that leave its settings alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.live import Client, Clock, LiveServer, serving


@pytest.fixture(name="clock", scope="module")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("ledger")
    # The clock jumps, and no run may be taken for one that waited all that time.
    with serving(
        folder,
        clock=clock,
        sweep_seconds=0.05,
        keep_alive_seconds=0.1,
        claim_wait_seconds=1.5,
        starved_after_cycles=1_000_000,
        attention_after_cycles=1_000_000,
    ) as server:
        yield server


@pytest.fixture(name="client")
def _client(server: LiveServer) -> Client:
    return server.client
