"""The client of the server at hand."""

import pytest

from tests.api.live import Client, LiveServer


@pytest.fixture(name="client")
def _client(server: LiveServer) -> Client:
    return server.client
