"""A close look at tasks and runs over HTTP."""

from tests.api.live import Client, error_of


def test_a_task_and_its_run_are_looked_at(client: Client) -> None:
    task_id = client.create()["id"]
    run_id = client.enqueue(task_id)["id"]
    of_task = client.ok("GET", f"/api/tasks/{task_id}/inspect")["inspect"]
    of_run = client.ok("GET", f"/api/runs/{run_id}/inspect")["inspect"]

    assert (of_task["target"], of_run["target"]) == ("task", "run")
    assert of_task["current_run"] == of_run["current_run"]
    assert of_task["task"]["id"] == of_run["task"]["id"] == task_id
    assert [event["type"] for event in of_task["recent_events"]] == [
        "task.created",
        "task.run_enqueued",
    ]
    assert of_task["next_action"] in {"claim_available", "waiting_for_session"}


def test_an_operators_claim_without_a_sign_of_life_is_told(client: Client) -> None:
    task_id = client.create()["id"]
    run_id = client.enqueue(task_id)["id"]
    client.ok("POST", f"/api/task-runs/{run_id}/claim")

    assert client.ok("GET", f"/api/tasks/{task_id}/inspect")["inspect"]["next_action"] == "running"


def test_what_is_unknown_or_blank_is_refused(client: Client) -> None:
    for path in ("tasks", "runs"):
        assert "nowhere" in error_of(client.get(f"/api/{path}/nowhere/inspect"), 404)
        error_of(client.get(f"/api/{path}/%20/inspect"), 422)
