"""Who reviews, and what ends without anybody."""

import time

import pytest

from domain.instants import rfc3339
from tests.api.live import Client, Clock, LiveServer, error_of
from tests.api.reviews import (
    CLAIM,
    ZERO,
    JsonObject,
    ask,
    ended,
    events_of,
    judge,
    reviewer,
    types_of,
    verdict,
)


@pytest.fixture(name="own")
def _own(client: Client) -> JsonObject:
    """Return what a task has that only the reviewers of one workspace can be handed."""
    client.ok("PUT", "/api/workspaces/reviews", {})
    return {"scope": "workspace", "workspace": "reviews"}


def test_a_reviewer_takes_the_oldest_review_and_nobody_else_judges_it(
    client: Client, own: JsonObject
) -> None:
    one, two = reviewer(client, "critic-1"), reviewer(client, "critic-2")
    first, second = ask(client, ended(client, **own)), ask(client, ended(client, **own))
    taken = one.ok("POST", CLAIM, status=200)

    assert taken["review"]["review_id"] == first["review_id"]
    assert (taken["review"]["status"], taken["review"]["reviewer_session_id"]) == (
        "in_review",
        "critic-1",
    )
    assert taken["review"]["started_at"] == taken["review"]["updated_at"] != ZERO
    assert (taken["run"]["id"], taken["task"]["id"]) == (first["run_id"], first["task_id"])
    bound = events_of(client, first["task_id"])[1]
    assert (bound["event_type"], bound["payload"]) == (
        "task.run_review_bound",
        {
            "review_id": first["review_id"],
            "run_id": first["run_id"],
            "session_id": "critic-1",
            "reviewer_agent_name": "critic",
        },
    )
    path = f"/api/tasks/{first['task_id']}/reviews?reviewer_session_id=critic-1"
    assert len(client.ok("GET", path)["reviews"]) == 1
    assert error_of(one.post(CLAIM), 409).startswith("task: session already bound: session")
    foreign = two.post(f"/api/task-reviews/{first['review_id']}/verdict", verdict())
    assert error_of(foreign, 403) == (
        f'task: permission denied: task run review "{first["review_id"]}" is bound to session'
        ' "critic-1"'
    )
    judged = judge(one, first, verdict())["review"]
    assert judged["reviewed_by"] == {"kind": "agent_session", "ref": "critic-1"}
    assert two.ok("POST", CLAIM)["review"]["review_id"] == second["review_id"]
    assert one.post(CLAIM).status_code == 204
    judge(client, second, verdict())


def test_reviews_are_taken_by_registered_sessions_only(client: Client) -> None:
    nobody = client.agent("unheard-of", "critic").post(CLAIM)
    assert error_of(nobody, 401).startswith('agent session "unheard-of" is unknown')
    assert error_of(client.post(CLAIM), 401).startswith("agent session id is required")
    client.ok("PUT", "/api/sessions/critic-3", {"agent_name": "critic"})
    assert client.agent("critic-3", "other").post(CLAIM).status_code == 401


def test_a_review_ends_by_itself_when_its_time_is_over(
    client: Client, server: LiveServer, clock: Clock
) -> None:
    run = ended(client)
    review = ask(client, run, deadline_at=rfc3339(server.services.clock() + 3_600_000_000))
    waiting = ask(client, ended(client), deadline_at=ZERO)
    path = f"/api/task-reviews/{review['review_id']}"
    clock.advance(3_601)
    give_up = time.monotonic() + 30
    while client.ok("GET", path)["review"]["status"] != "recorded":
        assert time.monotonic() < give_up
        time.sleep(0.02)
    shown = client.ok("GET", path)["review"]

    assert (shown["outcome"], shown["delivery_id"]) == (
        "timeout",
        f"review-deadline:{review['review_id']}",
    )
    assert shown["reviewed_by"] == {"kind": "daemon", "ref": "scheduler"}
    assert types_of(client, run["task_id"]) == ["requested", "recorded", "timeout"]
    judge(client, review, verdict(), 409)
    path = f"/api/task-reviews/{waiting['review_id']}"
    assert client.ok("GET", path)["review"]["status"] == "requested"


def test_the_reviews_of_a_deleted_task_are_gone(client: Client) -> None:
    review = ask(client, ended(client))
    path = f"/api/task-reviews/{review['review_id']}"
    client.ok("DELETE", f"/api/tasks/{review['task_id']}", status=204)

    assert client.get(path).status_code == 404
    assert client.post(f"{path}/verdict", verdict()).status_code == 404
    assert client.ok("GET", f"/api/tasks/{review['task_id']}/reviews") == {"reviews": []}
