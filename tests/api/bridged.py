"""A server with a bridge to a receiver, and short ways to subscribe and to wait."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.api.live import Client, LiveServer, serving
from tests.api.receiver import Receiver

QUICK: dict[str, Any] = {"bridge_retry_seconds": 0.02, "bridge_retry_max_seconds": 0.1}


@contextmanager
def bridged(folder: Path, receiver: Receiver, **settings: Any) -> Iterator[tuple[LiveServer, str]]:
    """Give a server with the bridge `b` to a receiver, and its secret."""
    with serving(folder, **{**QUICK, **settings}) as server:
        made = server.client.ok("PUT", "/api/bridges/b", {"url": receiver.url}, 200)
        yield server, made["secret"]


def subscribe(client: Client, task_id: str, bridge: str = "b", **more: Any) -> str:
    """Return the path of a new subscription to a task."""
    body = {
        "bridge_instance_id": bridge,
        "scope": "global",
        "peer_id": "ann",
        "delivery_mode": "direct-send",
        **more,
    }
    path = f"/api/tasks/{task_id}/notifications/bridges"
    made = client.ok("POST", path, body, 201)["subscription"]
    return f"{path}/{made['subscription_id']}"


def followed(client: Client, task_id: str, **more: Any) -> str:
    """Return the path of a subscription to a new task."""
    client.create(id=task_id)
    return subscribe(client, task_id, **more)


def complete(client: Client, task_id: str, result: Any = None) -> None:
    run = client.enqueue(task_id)["id"]
    client.ok("POST", f"/api/task-runs/{run}/claim", {})
    client.ok("POST", f"/api/task-runs/{run}/start", {})
    client.ok("POST", f"/api/task-runs/{run}/complete", {"result": result})


def when(
    client: Client, path: str, holds: Callable[[dict[str, Any]], object], seconds: float = 60
) -> dict[str, Any]:
    """Return the subscription once something holds."""
    give_up = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = client.ok("GET", path)["subscription"]
        if holds(found):
            return found
        assert time.monotonic() < give_up, found
        time.sleep(0.01)


def served(found: dict[str, Any]) -> bool:
    return bool(found["cursor"]["last_sequence"])


def failures(count: int) -> Callable[[dict[str, Any]], bool]:
    def holds(found: dict[str, Any]) -> bool:
        outcomes = [each["outcome"] for each in found.get("attempts", ())]
        return outcomes.count("failed") >= count

    return holds
