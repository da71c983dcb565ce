"""A project of its own for each test."""

from itertools import count

import pytest

from tests.api.live import Client
from tests.api.posthog.project import Project

_NUMBERS = count(1)


@pytest.fixture(name="project")
def _project(client: Client) -> Project:
    number = next(_NUMBERS)
    client.ok("PUT", f"/api/workspaces/{number}", {"name": f"My Big Shop {number}"})
    return Project(client, str(number))
