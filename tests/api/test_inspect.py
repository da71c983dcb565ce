"""A close look at tasks and runs over HTTP."""

from tests.api.live import Client, JsonObject, error_of


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


def rules_of(session: JsonObject) -> dict[str, bool]:
    return {rule["rule"]: rule["passed"] for rule in session["rules"]}


def test_a_run_is_explained_to_each_session(client: Client) -> None:
    task_id = client.create(owner={"kind": "pool", "ref": "explainers"})["id"]
    run_id = client.enqueue(task_id)["id"]
    profile = {"worker": {"required_capabilities": ["x-ray"]}}
    client.ok("PUT", f"/api/tasks/{task_id}/execution-profile", profile)
    for name, offered in (("explain-1", ["x-ray"]), ("explain-2", [])):
        session = {"agent_name": "explainers", "capabilities": offered}
        client.ok("PUT", f"/api/sessions/{name}", session)
    found = client.ok("GET", f"/api/runs/{run_id}/explain", None, 200)["explain"]
    sessions = {each["session_id"]: each for each in found["sessions"]}

    assert (found["claimable"], found["eligible_sessions"]) == (True, 1)
    assert (found["run"]["id"], found["task"]["id"]) == (run_id, task_id)
    assert found["waiting"]["cycles"] == 0
    assert [rule["rule"] for rule in found["rules"]] == [
        "run_queued",
        "scheduler_running",
        "task_not_paused",
        "task_status",
    ]
    assert sessions["explain-1"]["eligible"]
    failed = [rule for rule in sessions["explain-2"]["rules"] if not rule["passed"]]
    assert failed == [
        {"rule": "capabilities", "passed": False, "expected": "x-ray", "found": "none"}
    ]
    path = f"/api/runs/{run_id}/explain?session_id=explain-1&priority_min=30"
    (alone,) = client.ok("GET", path)["explain"]["sessions"]
    assert [name for name, passed in rules_of(alone).items() if not passed] == ["priority"]
    assert not alone["eligible"]

    client.ok("POST", f"/api/task-runs/{run_id}/cancel")
    after = client.ok("GET", f"/api/runs/{run_id}/explain?session_id=explain-1")["explain"]
    assert (after["claimable"], after["eligible_sessions"]) == (False, 0)
    assert "waiting" not in after
    assert after["rules"][0] == {
        "rule": "run_queued",
        "passed": False,
        "expected": "queued",
        "found": "canceled",
    }


def test_what_cannot_be_explained_is_refused(client: Client) -> None:
    text = error_of(client.get("/api/runs/nowhere/explain"), 404)
    assert text == 'task: task run not found: task run "nowhere"'
    assert error_of(client.get("/api/runs/%20/explain"), 422).endswith("task run id is required")
    text = error_of(client.get("/api/runs/nowhere/explain?priority_min=-1"), 422)
    assert text == "task: validation failed: priority_min must not be negative: -1"
