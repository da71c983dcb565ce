"""Inbox and triage over HTTP."""

import pytest

from tests.api.live import Client, error_of

INBOX = "/api/observe/tasks/inbox"


def blocked(client: Client, title: str) -> str:
    """Return the id of a task that waits for another."""
    first = client.create(title="a blocker")["id"]
    task_id = str(client.create(title=title)["id"])
    client.ok("POST", f"/api/tasks/{task_id}/dependencies", {"depends_on_task_id": first})
    return task_id


def shown(client: Client, query: str) -> list[str]:
    groups = client.ok("GET", f"{INBOX}?{query}")["inbox"]["groups"]
    return [item["task"]["id"] for group in groups for item in group.get("items", ())]


@pytest.mark.parametrize(
    ("action", "archived", "dismissed"),
    [("read", False, False), ("archive", True, False), ("dismiss", False, True)],
)
def test_triage_is_stored_for_the_caller_and_leaves_the_task_alone(
    client: Client, action: str, *, archived: bool, dismissed: bool
) -> None:
    task = client.create()
    path = f"/api/tasks/{task['id']}"
    # The body is not even looked at.
    answer = client.post(f"{path}/triage/{action}", content=b"{no json")
    triage = answer.json()["triage"]

    assert answer.status_code == 200
    assert (triage["read"], triage["archived"], triage["dismissed"]) == (True, archived, dismissed)
    assert triage["actor"] == {"kind": "human", "ref": "local-user"}
    assert triage["last_seen_activity_at"] == task["created_at"]
    after = client.ok("GET", path)["task"]["task"]
    assert (after["latest_event_seq"], after["updated_at"]) == (
        task["latest_event_seq"],
        task["updated_at"],
    )
    assert len(client.ok("GET", f"{path}/timeline")["timeline"]) == 1


def test_the_ledger_shows_triage_as_an_event_without_a_task(client: Client) -> None:
    task_id = client.create()["id"]
    client.ok("POST", f"/api/tasks/{task_id}/triage/read")
    item = client.ok("GET", "/api/timeline?type=inbox.triaged")["timeline"][-1]

    assert "task" not in item
    assert (item["payload"]["triaged_task_id"], item["payload"]["action"]) == (task_id, "read")


def test_a_dismissed_task_comes_back_with_new_activity(client: Client) -> None:
    task_id = blocked(client, "resurfacing")
    assert shown(client, "query=resurfacing") == [task_id]
    client.ok("POST", f"/api/tasks/{task_id}/triage/dismiss")
    assert shown(client, "query=resurfacing") == []
    client.ok("PUT", "/api/sessions/inbox-agent", {"agent_name": "coder"})
    assert shown(client.agent("inbox-agent"), "query=resurfacing") == [task_id]

    client.ok("PATCH", f"/api/tasks/{task_id}", {"description": "new"})
    inbox = client.ok("GET", f"{INBOX}?query=resurfacing")["inbox"]
    assert (inbox["total"], inbox["unread_total"]) == (1, 1)


def test_an_inbox_of_one_lane_and_limit_counts_everything(client: Client) -> None:
    for _ in range(3):
        blocked(client, "counted_50%")
    inbox = client.ok("GET", f"{INBOX}?lane=BLOCKED&limit=1&query=counted_50%25")["inbox"]

    assert [group["lane"] for group in inbox["groups"]] == ["blocked"]
    assert (inbox["groups"][0]["count"], len(inbox["groups"][0]["items"])) == (3, 1)
    assert shown(client, "query=counted%25&unread=T") == []


def test_a_workspace_is_looked_at_by_its_name(client: Client) -> None:
    client.ok("PUT", "/api/workspaces/inbox-ws", {"name": "the inbox"})
    task_id = client.create(
        scope="workspace", workspace="inbox-ws", approval_policy="manual", title="elsewhere"
    )["id"]

    assert shown(client, "scope=workspace&workspace=the+inbox") == [task_id]
    assert task_id not in shown(client, "scope=global&limit=5")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("lane=other", 422),
        ("unread=maybe", 422),
        ("limit=-1", 422),
        ("limit=x", 422),
        ("owner_kind=nobody", 422),
        ("scope=here", 422),
        ("workspace=w", 422),
        ("scope=global&workspace=w", 422),
        ("scope=workspace", 422),
        ("scope=workspace&workspace=unknown", 404),
    ],
)
def test_bad_parameters_are_refused(client: Client, query: str, status: int) -> None:
    error_of(client.get(f"{INBOX}?{query}"), status)


def test_triage_of_an_unknown_or_blank_task_is_refused(client: Client) -> None:
    assert "nowhere" in error_of(client.post("/api/tasks/nowhere/triage/read"), 404)
    assert "task id is required" in error_of(client.post("/api/tasks/%20/triage/read"), 422)
