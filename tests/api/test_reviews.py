"""Reviews over HTTP: asked for, judged, continued and listed."""

from pathlib import Path

import pytest

from tests.api.live import Client, error_of, serving
from tests.api.reviews import (
    TRANSITION,
    VALIDATION,
    ZERO,
    JsonObject,
    ask,
    end,
    ended,
    events_of,
    judge,
    rejection,
    types_of,
    verdict,
)
from tests.api.waiters import patient, waiting


def test_a_review_is_asked_for_once(client: Client) -> None:
    run = ended(client)
    path = f"/api/task-runs/{run['id']}/reviews"
    review = ask(client, run, reason=" look ", policy=" On_Success ", run_id=run["id"])

    assert review == {
        "review_id": review["review_id"],
        "task_id": run["task_id"],
        "run_id": run["id"],
        "policy": "on_success",
        "review_round": 1,
        "attempt": 1,
        "status": "requested",
        "reason": "look",
        "missing_work": [],
        "requested_at": review["requested_at"],
        "created_at": review["requested_at"],
        "updated_at": review["requested_at"],
        **dict.fromkeys(("routed_at", "started_at", "reviewed_at", "deadline_at"), ZERO),
    }
    again = client.post(path, {"reason": "other", "task_id": run["task_id"], "deadline_at": ZERO})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert again.json() == {"review": review, "created": False}
    assert types_of(client, run["task_id"]) == ["requested"]
    payload = events_of(client, run["task_id"])[0]["payload"]
    assert payload == {
        "review_id": review["review_id"],
        "run_id": run["id"],
        "policy": "on_success",
        "review_round": 1,
        "attempt": 1,
        "created": True,
    }


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"policy": "none"}, "run_review.policy must be"),
        ({"policy": "sometimes"}, "run_review.policy must be"),
        ({"policy": 1}, "httpapi: decode request review request: Expected `str`, got `int`"),
        ({"review_round": -1}, "run_review.review_round must not be negative: -1"),
        ({"attempt": -1}, "run_review.attempt must not be negative: -1"),
        ({"attempt": 1.5}, "httpapi: decode request review request: Expected `int`"),
        ({"review_round": 2**31}, "httpapi: decode request review request: Expected `int` <="),
        ({"parent_review_id": "x" * 257}, "run_review.parent_review_id exceeds 256 bytes"),
        ({"reason": "x" * 4097}, "run_review.reason exceeds 4096 bytes"),
        ({"deadline_at": "tomorrow"}, "run_review.deadline_at must be an RFC 3339 time"),
        ({"run_id": "another"}, "run_review.run_id must be"),
        ({"task_id": "another"}, "run_review.task_id must be"),
    ],
)
def test_a_request_that_is_not_acceptable_writes_nothing(
    client: Client, body: JsonObject, text: str
) -> None:
    run = ended(client)
    answer = client.post(f"/api/task-runs/{run['id']}/reviews", body)

    assert error_of(answer, 400).startswith(VALIDATION + text)
    assert events_of(client, run["task_id"]) == []
    assert client.ok("GET", f"/api/tasks/{run['task_id']}/reviews") == {"reviews": []}


def test_a_run_that_is_unknown_goes_on_or_ended_otherwise_is_not_reviewed(client: Client) -> None:
    run = client.enqueue(client.create()["id"])
    path = f"/api/task-runs/{run['id']}/reviews"

    unknown = client.post("/api/task-runs/run-none/reviews")
    assert error_of(unknown, 404).startswith("task: task run not found: ")
    assert error_of(client.post(path, {"policy": "none"}), 400).startswith(VALIDATION)
    assert error_of(client.post(path), 409) == (
        f'{TRANSITION}task run "{run["id"]}" is queued; only an ended run can be reviewed'
    )
    end(client, run["id"])
    assert error_of(client.post(path, {"policy": "on_failure"}), 409) == (
        f'{TRANSITION}review policy "on_failure" does not fit task run "{run["id"]}", completed'
    )


def test_a_second_review_of_a_run_is_refused_unless_the_first_came_to_nothing(
    client: Client,
) -> None:
    run = ended(client)
    review = ask(client, run)
    path = f"/api/task-runs/{run['id']}/reviews"
    for body in ({"review_round": 2}, {"attempt": 2}):
        assert error_of(client.post(path, body), 409) == (
            f'{TRANSITION}task run "{run["id"]}" has review "{review["review_id"]}" already'
        )
    judge(client, review, verdict(outcome="invalid_output"))
    ask(client, run, attempt=2)


def test_a_verdict_is_recorded_and_may_be_repeated(client: Client) -> None:
    run = ended(client)
    review = ask(client, run, reason="look")
    path = f"/api/task-reviews/{review['review_id']}"
    body = verdict(review_text="all of it", next_round_guidance="rest")
    shown = judge(client, review, {**body, "run_id": run["id"]})

    assert "continuation_run" not in shown
    assert "circuit_opened" not in shown
    review = shown["review"]
    assert (review["status"], review["outcome"], review["confidence"]) == (
        "recorded",
        "approved",
        0.75,
    )
    assert (review["reason"], review["delivery_id"]) == ("good", "d-1")
    assert review["reviewed_by"] == {"kind": "human", "ref": "local-user"}
    assert review["reviewed_at"] == review["updated_at"] != ZERO
    assert client.ok("GET", path) == {"review": review}
    again = client.post(f"{path}/verdict", body)
    assert (again.json(), again.headers["idempotent-replayed"]) == (shown, "true")
    assert types_of(client, run["task_id"]) == ["requested", "recorded", "approved"]
    told = events_of(client, run["task_id"])
    assert (
        told[1]["payload"]
        == told[2]["payload"]
        == {
            "review_id": review["review_id"],
            "run_id": run["id"],
            "outcome": "approved",
            "confidence": 0.75,
            "delivery_id": "d-1",
            "review_round": 1,
        }
    )
    other = client.post(f"{path}/verdict", verdict(delivery_id="d-2"))
    assert error_of(other, 409) == (
        f'task: conflict: task run review "{review["review_id"]}" has verdict "approved"'
        ' of delivery "d-1" already'
    )


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"outcome": "fine"}, "run_review_verdict.outcome must be"),
        ({"outcome": None}, "run_review_verdict.outcome is required"),
        ({"confidence": None}, "run_review_verdict.confidence is required"),
        ({"confidence": 1.5}, "run_review_verdict.confidence must be from 0 to 1: 1.5"),
        ({"confidence": "high"}, "httpapi: decode submit review verdict request: Expected `float`"),
        ({"reason": " "}, "run_review_verdict.reason is required"),
        ({"reason": "x" * 4097}, "run_review_verdict.reason exceeds 4096 bytes"),
        ({"delivery_id": ""}, "run_review_verdict.delivery_id is required"),
        ({"delivery_id": "x" * 257}, "run_review_verdict.delivery_id exceeds 256 bytes"),
        ({"missing_work": {}}, "run_review_verdict.missing_work must be an array of strings"),
        ({"missing_work": [1]}, "run_review_verdict.missing_work must be an array of strings"),
        ({"missing_work": ["a", ""]}, "run_review_verdict.missing_work[1] is required"),
        ({"missing_work": ["a"]}, "run_review_verdict.missing_work must be empty"),
        ({"outcome": "rejected"}, "run_review_verdict.missing_work or "),
        (
            {"next_round_guidance": "x" * 8193},
            "run_review_verdict.next_round_guidance exceeds 8192 bytes",
        ),
        ({"review_text": "x" * 65_537}, "run_review_verdict.review_text exceeds 65536 bytes"),
    ],
)
def test_a_verdict_that_is_not_acceptable_writes_nothing(
    client: Client, members: JsonObject, text: str
) -> None:
    review = ask(client, ended(client))
    path = f"/api/task-reviews/{review['review_id']}/verdict"

    assert error_of(client.post(path, verdict(**members)), 400).startswith(VALIDATION + text)
    assert types_of(client, review["task_id"]) == ["requested"]


def test_a_verdict_may_be_undecodable_too_large_or_about_something_else(client: Client) -> None:
    review = ask(client, ended(client))
    path = f"/api/task-reviews/{review['review_id']}/verdict"

    assert error_of(client.post(path), 400).startswith(f"{VALIDATION}httpapi: decode submit ")
    assert "truncated" in error_of(client.post(path, content=b"{"), 400)
    assert error_of(client.post(path, {}), 400).startswith(f"{VALIDATION}run_review_verdict.")
    large = rejection(missing_work=["x" * 65_536])
    assert error_of(client.post(path, large), 413).startswith("task: payload too large: ")
    wrong = client.post(path, {**verdict(), "run_id": "another"})
    assert error_of(wrong, 400).startswith(f"{VALIDATION}run_review_verdict.run_id must be")
    for method, end_ in (("GET", ""), ("POST", "/verdict")):
        body = verdict() if end_ else None
        unknown = client.send(method, f"/api/task-reviews/review-none{end_}", json=body)
        assert error_of(unknown, 404) == (
            'task: task run review not found: task run review "review-none"'
        )
        blank = client.send(method, f"/api/task-reviews/%20{end_}", json=body)
        assert error_of(blank, 400).endswith("task review id is required")


def test_a_rejection_is_continued_by_a_run_in_the_same_commit(client: Client) -> None:
    run = ended(client, network_channel="room")
    review = ask(client, run)
    shown = judge(client, review, rejection())
    following = shown["continuation_run"]

    assert following["metadata"] == {
        "source": "task_run_review",
        "review_id": review["review_id"],
        "outcome": "rejected",
        "parent_run_id": run["id"],
    }
    assert (following["status"], following["attempt"]) == ("queued", 2)
    assert (following["network_channel"], following["origin"]["ref"]) == (
        "room",
        "tasks.submit_review",
    )
    events = client.ok("GET", f"/api/tasks/{run['task_id']}/timeline")["timeline"][-3:]
    assert [item["event_type"] for item in events] == [
        "task.run_review_recorded",
        "task.run_review_rejected",
        "task.run_review_retry_enqueued",
    ]
    assert [item["payload"].get("continuation_run_id") for item in events] == [following["id"]] * 3
    assert events[2]["run"]["id"] == following["id"]
    assert events[2]["payload"] == {
        "review_id": review["review_id"],
        "run_id": run["id"],
        "continuation_run_id": following["id"],
        "review_round": 2,
    }
    assert len({item["timestamp"] for item in events}) == 1
    task = client.ok("GET", f"/api/tasks/{run['task_id']}")["task"]["task"]
    assert (task["status"], "closed_at" in task) == ("ready", False)
    inspected = client.ok("GET", f"/api/runs/{following['id']}/inspect")["inspect"]
    assert inspected["current_run"]["previous_run_id"] == run["id"]
    assert judge(client, review, rejection()) == shown
    end(client, following["id"])
    assert judge(client, review, rejection())["continuation_run"]["status"] == "completed"
    assert ask(client, following)["review_round"] == 2


def test_a_rejection_that_cannot_be_continued_is_not_recorded(client: Client) -> None:
    run = ended(client)
    review = ask(client, run)
    other = client.enqueue(run["task_id"])
    assert f'has open run "{other["id"]}"' in judge(client, review, rejection(), 409)["error"]

    last = ended(client, max_attempts=1)
    review = ask(client, last)
    text = judge(client, review, rejection(), 409)["error"]
    assert text == f'{TRANSITION}task "{last["task_id"]}" exhausted max_attempts=1'
    assert types_of(client, last["task_id"]) == ["requested"]
    assert judge(client, review, verdict())["review"]["status"] == "recorded"


def test_a_run_that_continues_wakes_a_claim_that_waits(tmp_path: Path) -> None:
    answers: list[int] = []
    with patient(tmp_path) as server:
        client = server.client
        review = ask(client, ended(client, priority="urgent"))
        thread = waiting(server, client.agent("continues"), answers, priority_min=40)
        judge(client, review, rejection())
        thread.join()

    assert answers == [200]


def test_the_last_round_opens_the_circuit(tmp_path: Path) -> None:
    with serving(tmp_path, max_review_rounds=2) as server:
        client = server.client
        run = ended(client)
        following = judge(client, ask(client, run), rejection())["continuation_run"]
        review = ask(client, end(client, following["id"]))
        shown = judge(client, review, rejection())
        again = judge(client, review, rejection())
        types = types_of(client, run["task_id"])
        status = f"/api/tasks/{run['task_id']}/reviews?status=circuit_opened"
        listed = client.ok("GET", status)["reviews"]

    assert (shown["circuit_opened"], "continuation_run" in shown) == (True, False)
    assert shown["review"]["status"] == "circuit_opened"
    assert again == shown
    assert types[-3:] == ["recorded", "rejected", "rounds_exhausted"]
    assert [each["review_id"] for each in listed] == [review["review_id"]]


def test_the_reviews_of_tasks_and_runs_are_listed(client: Client) -> None:
    run = ended(client)
    first = judge(client, ask(client, run), rejection())
    second = ask(client, end(client, first["continuation_run"]["id"]))
    of_task = f"/api/tasks/{run['task_id']}/reviews"

    def ids(path: str) -> list[str]:
        return [review["review_id"] for review in client.ok("GET", path)["reviews"]]

    newest, oldest = second["review_id"], first["review"]["review_id"]
    assert ids(of_task) == [newest, oldest]
    assert ids(f"{of_task}?limit=1") == ids(f"{of_task}?status=requested") == [newest]
    assert ids(f"{of_task}?status=recorded&limit=0") == [oldest]
    assert ids(f"{of_task}?reviewer_session_id=nobody") == []
    assert ids(f"/api/task-runs/{run['id']}/reviews") == [oldest]
    assert ids("/api/tasks/none/reviews") == ids("/api/task-runs/none/reviews") == []


@pytest.mark.parametrize("path", ["/api/tasks/t/reviews", "/api/task-runs/r/reviews"])
@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("status=done", 'status must be "requested", "routed", "in_review"'),
        ("limit=-1", "limit must not be negative: -1"),
        ("limit=x", 'limit must be an integer: "x"'),
    ],
)
def test_a_bad_filter_of_a_list_is_refused(
    client: Client, path: str, query: str, text: str
) -> None:
    assert error_of(client.get(f"{path}?{query}"), 400).startswith(VALIDATION + text)
