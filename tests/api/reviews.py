"""What tests of reviews do again and again over HTTP."""

from typing import Any

from tests.api.live import Client

JsonObject = dict[str, Any]
ZERO = "0001-01-01T00:00:00Z"
CLAIM = "/api/agent/reviews/claim-next"
VALIDATION = "task: validation failed: "
TRANSITION = "task: invalid status transition: "


def ended(client: Client, **task: Any) -> JsonObject:
    """Return a run that an operator took to its good end."""
    return end(client, client.enqueue(client.create(**task)["id"])["id"])


def end(client: Client, run_id: str) -> JsonObject:
    path = f"/api/task-runs/{run_id}"
    client.ok("POST", f"{path}/claim")
    client.ok("POST", f"{path}/start")
    return dict(client.ok("POST", f"{path}/complete")["run"])


def ask(client: Client, run: JsonObject, **body: Any) -> JsonObject:
    """Return the review of a run, which is new."""
    asked = client.ok("POST", f"/api/task-runs/{run['id']}/reviews", body, 201)
    assert asked["created"]
    return dict(asked["review"])


def verdict(**members: Any) -> JsonObject:
    usual = {"outcome": "approved", "confidence": 0.75, "reason": "good", "delivery_id": "d-1"}
    return {"verdict": {**usual, **members}}


def rejection(**members: Any) -> JsonObject:
    return verdict(**{"outcome": "rejected", "missing_work": ["tests"], **members})


def judge(client: Client, review: JsonObject, body: JsonObject, status: int = 200) -> Any:
    """Return the answer to a verdict."""
    response = client.post(f"/api/task-reviews/{review['review_id']}/verdict", body)
    assert response.status_code == status, response.text
    return response.json()


def events_of(client: Client, task_id: str) -> list[JsonObject]:
    """Return the events of a task that are about reviews."""
    timeline = client.ok("GET", f"/api/tasks/{task_id}/timeline")["timeline"]
    return [item for item in timeline if item["event_type"].startswith("task.run_review_")]


def types_of(client: Client, task_id: str) -> list[str]:
    found = events_of(client, task_id)
    return [item["event_type"].removeprefix("task.run_review_") for item in found]


def reviewer(client: Client, name: str) -> Client:
    """Return the client of a registered session."""
    client.ok("PUT", f"/api/sessions/{name}", {"agent_name": "critic", "workspace": "reviews"})
    return client.agent(name, "critic")
