"""Tasks over HTTP: what each operation answers when it can and when it cannot."""

from typing import Any

import pytest

from tests.api.live import Client, error_of


def test_a_new_task_tells_its_sequence_and_where_it_came_in(client: Client) -> None:
    task = client.create(title=" write it ", priority=" HIGH ", metadata={"a": [1, 2]})

    assert (task["title"], task["priority"], task["status"]) == ("write it", "high", "ready")
    assert task["latest_event_seq"] > 0
    assert task["created_by"] == {"kind": "human", "ref": "local-user"}
    assert task["origin"] == {"kind": "http", "ref": "tasks.create"}
    assert task["metadata"] == {"a": [1, 2]}


def test_null_and_unknown_members_are_as_good_as_absent(client: Client) -> None:
    task = client.create(priority=None, owner=None, metadata=None, max_attempts=None, colour="red")

    assert (task["priority"], task["max_attempts"]) == ("medium", 3)
    assert not {"owner", "metadata", "colour"} & task.keys()


def test_a_detail_shows_task_runs_children_dependencies_and_events(client: Client) -> None:
    blocker, task = client.create(), client.create()
    client.ok("POST", f"/api/tasks/{task['id']}/children", {"scope": "global", "title": "c"}, 201)
    edge = {"depends_on_task_id": blocker["id"]}
    client.ok("POST", f"/api/tasks/{task['id']}/dependencies", edge, 200)
    client.enqueue(task["id"])

    detail = client.ok("GET", f"/api/tasks/{task['id']}")["task"]

    assert detail["task"]["status"] == detail["summary"]["status"] == "blocked"
    assert [len(detail[part]) for part in ("children", "runs", "dependencies")] == [1, 1, 1]
    assert detail["dependency_references"][0]["depends_on"]["id"] == blocker["id"]
    assert [event["event_type"] for event in detail["events"]][-1] == "task.created"
    tree = client.ok("GET", f"/api/tasks/{task['id']}/tree")["tree"]
    assert (tree["root"]["depth"], [node["depth"] for node in tree["descendants"]]) == (0, [1])
    path = f"/api/tasks/{task['id']}/dependencies/{blocker['id']}"
    assert client.ok("DELETE", path)["task"]["task"]["status"] == "ready"
    assert client.send("DELETE", path).status_code == 404


def test_a_draft_is_published_started_paused_resumed_and_canceled(client: Client) -> None:
    task = client.create(draft=True)
    path = f"/api/tasks/{task['id']}"
    published = client.ok("POST", f"{path}/publish", {}, 200)
    again = client.post(f"{path}/publish")

    assert published["run"]["status"] == "queued"
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json()["run"]["id"] == published["run"]["id"]
    assert client.ok("POST", f"{path}/pause", {"reason": "wait"}, 200)["task"]["paused"]
    assert "paused" not in client.ok("POST", f"{path}/resume", None, 200)["task"]
    canceled = client.ok("POST", f"{path}/cancel", {"reason": "enough"}, 200)["task"]
    assert canceled["status"] == "canceled"
    assert "Idempotent-Replayed" not in client.post(f"{path}/resume").headers


def test_an_approval_is_given_or_refused(client: Client) -> None:
    wanted, unwanted = (client.create(approval_policy="manual")["id"] for _ in range(2))

    approved = client.ok("POST", f"/api/tasks/{wanted}/approve", None, 201)
    rejected = client.ok("POST", f"/api/tasks/{unwanted}/reject", None, 200)

    assert approved["task"]["approval_state"] == "approved"
    assert rejected["task"]["approval_state"] == "rejected"
    assert client.post(f"/api/tasks/{unwanted}/approve").status_code == 409


def test_a_patch_changes_what_it_names(client: Client) -> None:
    path = f"/api/tasks/{client.create(description='old')['id']}"
    patched = client.ok("PATCH", path, {"title": "new", "description": "", "status": "completed"})

    assert (patched["task"]["title"], patched["task"]["status"]) == ("new", "ready")
    assert "description" not in patched["task"]
    assert "must include at least one" in error_of(client.send("PATCH", path, json={}), 422)


def test_a_deleted_task_is_gone_and_its_history_is_not(client: Client) -> None:
    task = client.create()
    assert client.send("DELETE", f"/api/tasks/{task['id']}").status_code == 204

    assert client.get(f"/api/tasks/{task['id']}").status_code == 404
    assert client.get(f"/api/tasks/{task['id']}/timeline").status_code == 404
    after = task["latest_event_seq"] - 1
    ledger = client.ok("GET", f"/api/timeline?after_sequence={after}&type=task.deleted")
    assert ledger["timeline"][0]["task"]["id"] == task["id"]


def test_a_delete_that_is_refused_answers_400(client: Client) -> None:
    task = client.create()
    client.enqueue(task["id"])

    refused = client.send("DELETE", f"/api/tasks/{task['id']}")

    assert "has active or queued runs" in error_of(refused, 400)


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"title": " "}, 422, "create_task.title is required"),
        ({"scope": ""}, 422, "create_task.scope is required"),
        ({"scope": "here"}, 422, 'create_task.scope must be "global" or "workspace": "here"'),
        ({"scope": "workspace"}, 422, "is required when"),
        ({"workspace": "w"}, 422, "task: invalid scope binding"),
        ({"scope": "workspace", "workspace": "nowhere"}, 404, "workspace not found"),
        ({"priority": "soon"}, 422, "create_task.priority must be"),
        ({"max_attempts": 0}, 422, "must be positive: 0"),
        ({"max_attempts": 11}, 422, "must be <= 10: 11"),
        ({"owner": {}}, 422, "create_task.owner.kind is required"),
        ({"owner": {"kind": "human", "ref": None}}, 422, "create_task.owner.ref is required"),
        ({"network_channel": "No!"}, 422, "create_task.network_channel must match"),
        ({"approval_policy": "maybe"}, 422, "create_task.approval_policy must be"),
        ({"metadata": "x" * 16_385}, 413, "exceeds 16384 bytes"),
        ({"title": "x" * 65_537}, 413, "exceeds 65536 bytes"),
    ],
)
def test_an_unacceptable_task_is_refused(
    client: Client, fields: dict[str, Any], status: int, text: str
) -> None:
    body = {"scope": "global", "title": "a task", **fields}

    assert text in error_of(client.post("/api/tasks", body), status)


def test_a_taken_id_is_a_conflict(client: Client) -> None:
    task = client.create()
    body = {"scope": "global", "title": "again", "id": task["id"]}

    assert error_of(client.post("/api/tasks", body), 409).startswith("task: conflict")


def test_an_id_may_hold_what_a_path_cannot(client: Client) -> None:
    task = client.create(id="a/b c?ü")

    assert client.ok("GET", "/api/tasks/a%2Fb%20c%3F%C3%BC")["task"]["task"]["id"] == task["id"]


@pytest.mark.parametrize(
    ("method", "end", "body"),
    [
        ("GET", "", None),
        ("GET", "/tree", None),
        ("GET", "/runs", None),
        ("GET", "/timeline", None),
        ("GET", "/stream", None),
        ("PATCH", "", {"title": "t"}),
        ("DELETE", "", None),
        ("POST", "/publish", None),
        ("POST", "/start", None),
        ("POST", "/approve", None),
        ("POST", "/reject", None),
        ("POST", "/cancel", None),
        ("POST", "/pause", {"reason": "r"}),
        ("POST", "/resume", None),
        ("POST", "/children", {"scope": "global", "title": "t"}),
        ("POST", "/dependencies", {"depends_on_task_id": "task-2"}),
        ("DELETE", "/dependencies/task-2", None),
        ("POST", "/runs", None),
    ],
)
def test_an_unknown_task_is_not_found(client: Client, method: str, end: str, body: Any) -> None:
    response = client.send(method, f"/api/tasks/task-none{end}", json=body)
    blank = client.send(method, f"/api/tasks/%20{end}", json=body)

    assert error_of(response, 404) == 'task: task not found: task "task-none"'
    status = 400 if (method, end) == ("DELETE", "") else 422
    assert error_of(blank, status) == "task: validation failed: task id is required"


def test_a_pause_without_a_reason_explains_itself(client: Client) -> None:
    path = f"/api/tasks/{client.create()['id']}/pause"
    response = client.post(path, {"reason": " "})

    assert response.status_code == 422
    assert response.json()["diagnostic"]["code"] == "force_op_requires_reason"


def test_a_finished_task_cannot_be_paused_and_says_why(client: Client) -> None:
    path = f"/api/tasks/{client.create()['id']}"
    client.ok("POST", f"{path}/cancel")
    response = client.post(f"{path}/pause", {"reason": "r"})

    assert response.status_code == 409
    assert response.json()["diagnostic"]["evidence"]["task_status"] == "canceled"


def test_the_same_key_with_another_body_is_a_conflict(client: Client) -> None:
    path = f"/api/tasks/{client.create()['id']}/runs"
    first = client.post(path, {"idempotency_key": "k", "metadata": {"n": 1}})
    same = client.post(path, {"idempotency_key": "k", "metadata": {"n": 1}})
    other = client.post(path, {"idempotency_key": "k", "metadata": {"n": 2}})

    assert (first.status_code, same.status_code, other.status_code) == (201, 201, 409)
    assert same.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
