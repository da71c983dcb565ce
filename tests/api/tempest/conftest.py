"""An app of its own for each test."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.api.live import LiveServer
from tests.api.tempest.client import TempestCli

_NUMBERS = count(1)


@pytest.fixture(name="cli")
def _cli(server: LiveServer) -> Iterator[TempestCli]:
    """A client whose every answer is held against the served document."""
    cli = TempestCli(f"{server.url}/api/v1", "", f"store-{next(_NUMBERS)}")
    yield cli
    cli.close()
    document = server.client.document
    if document is not None:
        for answer in cli.answers:
            document.check(answer)
