"""Short names for asking something of an app."""

import time
from typing import Any

from tests.api.live import Client
from tests.api.tempest.client import TempestCli

JsonObject = dict[str, Any]
SECONDS = 10


def path_of(cli: TempestCli) -> str:
    """Return where operations for the app of a client are queued."""
    return f"/api/tempest/apps/{cli.app['app_id']}/{cli.app['version']}/operations"


def ask(client: Client, cli: TempestCli, operation: str = "create", **more: Any) -> JsonObject:
    """Return a new operation."""
    body = {"operation": operation, "resource": {"type": "bucket"}, **more}
    return dict(client.ok("POST", path_of(cli), body, 201)["operation"])


def named(external_id: str) -> JsonObject:
    """Return the resource of that id."""
    return {"type": "bucket", "external_id": external_id}


def operation(client: Client, task_id: str) -> JsonObject:
    """Return an operation with its request and response."""
    return dict(client.ok("GET", f"/api/tempest/operations/{task_id}")["operation"])


def until_taken_back(client: Client, task_id: str) -> None:
    """Wait until a lease that ran out has been taken back."""
    give_up = time.monotonic() + SECONDS
    while operation(client, task_id)["status"] == "claimed":
        assert time.monotonic() < give_up
        time.sleep(0.02)
