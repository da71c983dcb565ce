"""Notifications on their way to a real HTTP server."""

import time
from pathlib import Path

from tests.api.bridged import bridged, complete, failures, followed, served, subscribe, when
from tests.api.receiver import Request, receiving
from tests.support.ports import free_port

TOKEN = "agh_claim_abcdefghijklmnop"


def test_the_end_of_a_task_is_told_signed_and_once(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, secret):
        client = server.client
        path = followed(client, "t", thread_id="42")
        complete(client, "t", {"answer": 42})
        found = when(client, path, served)

        (request,) = receiver.requests
        assert request.signed_with(secret)
        assert request.headers["content-type"] == "application/json"
        sequence = found["cursor"]["last_sequence"]
        name = found["subscription_id"]
        assert request.delivery_id == f"notif:{name}:{sequence}"
        (run,) = client.ok("GET", "/api/tasks/t/runs")["runs"]
        document = request.document
        assert document["type"] == "task.run_completed"
        payload = document["data"]["metadata"].pop("payload")
        assert payload["result"] == {"answer": 42}
        assert document["data"] == {
            "text": "Task t finished as completed",
            "final": True,
            "bridge_instance_id": "b",
            "delivery_mode": "direct-send",
            "peer_id": "ann",
            "thread_id": "42",
            "metadata": {
                "delivery_id": request.delivery_id,
                "event_type": "task.run_completed",
                "final": True,
                "seq": sequence,
                "task_id": "t",
                "run_id": run["id"],
                "status": "completed",
                "subscription_id": name,
            },
        }
        assert found["cursor"]["last_delivery_id"] == request.delivery_id
        assert found["cursor"]["last_delivered_at"] == found["cursor"]["updated_at"]
        assert [each["outcome"] for each in found["attempts"]] == ["delivered"]
        assert found["attempts"][0]["status_code"] == 204


def test_a_failure_is_told_with_its_error_and_without_secrets(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, secret):
        client = server.client
        client.create(id="t", max_attempts=1)
        when_told = subscribe(client, "t")
        run = client.enqueue("t")["id"]
        client.ok("POST", f"/api/task-runs/{run}/claim", {})
        client.ok("POST", f"/api/task-runs/{run}/start", {})
        error = f"could not use {TOKEN} and {secret}"
        metadata = {"api_key": "k-1", "deep": [{"authToken": "k-2", "tokens_used": 3}]}
        client.ok("POST", f"/api/task-runs/{run}/fail", {"error": error, "metadata": metadata})
        when(client, when_told, served)

        (request,) = receiver.requests
        data = request.document["data"]
        assert data["text"].startswith("Task t finished as failed: could not use ")
        assert data["metadata"]["payload"]["metadata"] == {
            "api_key": "[REDACTED]",
            "deep": [{"authToken": "[REDACTED]", "tokens_used": 3}],
        }
        for hidden in (TOKEN, secret.removeprefix("whsec_"), "k-1", "k-2"):
            assert hidden.encode() not in request.body


def test_a_receiver_that_fails_gets_the_same_notification_until_it_takes_it(
    tmp_path: Path,
) -> None:
    statuses = iter([500, 503, 302, 429])
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, secret):
        receiver.behave = lambda _: next(statuses, 200)
        receiver.location = receiver.url + "/elsewhere"
        path = followed(server.client, "t")
        complete(server.client, "t")
        found = when(server.client, path, served)

        assert {each.path for each in receiver.requests} == {"/hook"}
        assert len({each.delivery_id for each in receiver.requests}) == 1
        assert len({each.body for each in receiver.requests}) == 1
        assert all(each.signed_with(secret) for each in receiver.requests)
        shown = [(each["outcome"], each.get("status_code")) for each in found["attempts"]]
        assert shown == [
            ("failed", 500),
            ("failed", 503),
            ("failed", 302),
            ("failed", 429),
            ("delivered", 200),
        ]
        assert found["attempts"][0]["error"] == "the receiver answered 500"
        assert "last_error" not in found["cursor"]


def test_what_went_wrong_is_shown_while_it_is_tried_again(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        bridged(tmp_path, receiver, bridge_retry_seconds=20) as (
            server,
            _,
        ),
    ):
        receiver.behave = lambda _: 500
        path = followed(server.client, "t")
        complete(server.client, "t")
        found = when(server.client, path, failures(1))

        assert found["pending"] is True
        assert found["next_attempt_at"] > found["attempts"][0]["at"]
        assert found["cursor"]["last_error"] == "the receiver answered 500"
        assert found["cursor"]["last_sequence"] == 0
        # Whoever changes the bridge has it tried at once.
        receiver.behave = lambda _: 200
        server.client.ok("PUT", "/api/bridges/b", {"name": "mended"})
        when(server.client, path, served)
        assert len(receiver.requests) == 2


def test_a_receiver_that_hangs_is_left_and_tried_again(tmp_path: Path) -> None:
    soon = {"bridge_timeout_seconds": 0.4}
    with receiving() as receiver, bridged(tmp_path, receiver, **soon) as (server, _):
        receiver.behave = receiver.hang
        path = followed(server.client, "t")
        complete(server.client, "t")
        found = when(server.client, path, failures(1))

        assert found["attempts"][0]["error"] == "no answer within 0.4 s"
        receiver.behave = lambda _: 204
        receiver.released.set()
        when(server.client, path, served)
        assert len({each.delivery_id for each in receiver.requests}) == 1


def test_a_late_answer_counts_as_long_as_it_is_in_time(tmp_path: Path) -> None:
    def late(_: Request) -> int:
        time.sleep(0.3)
        return 200

    with receiving() as receiver, bridged(tmp_path, receiver) as (server, _):
        receiver.behave = late
        path = followed(server.client, "t")
        complete(server.client, "t")
        found = when(server.client, path, served)

        assert [each["outcome"] for each in found["attempts"]] == ["delivered"]
        assert len(receiver.requests) == 1


def test_a_receiver_that_is_away_is_told_when_it_comes_back(tmp_path: Path) -> None:
    with receiving(free_port()) as first:
        port = first.port
    with bridged(tmp_path, first) as (server, secret):
        path = followed(server.client, "t")
        complete(server.client, "t")
        found = when(server.client, path, failures(2))
        assert found["attempts"][0]["error"] == "the request failed: ConnectError"

        with receiving(port) as receiver:
            when(server.client, path, served)
            (request,) = receiver.requests
            assert request.signed_with(secret)


def test_one_that_hangs_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with (
        receiving() as slow,
        receiving() as quick,
        bridged(tmp_path, slow, bridge_timeout_seconds=20) as (server, _),
    ):
        client = server.client
        client.ok("PUT", "/api/bridges/quick", {"url": quick.url})
        slow.behave = slow.hang
        hanging = [followed(client, f"s{n}") for n in range(6)]
        for n in range(6):
            complete(client, f"s{n}")
        slow.wait_for(4)
        told = followed(client, "q", bridge="quick")
        complete(client, "q")
        when(client, told, served)

        assert slow.most_at_once == 4
        slow.released.set()
        for path in hanging:
            when(client, path, served)
        assert len({each.delivery_id for each in slow.requests}) == 6


def test_no_more_are_on_their_way_than_the_settings_allow(tmp_path: Path) -> None:
    def slow(_: Request) -> int:
        time.sleep(0.05)
        return 204

    with receiving() as receiver, bridged(tmp_path, receiver, bridge_concurrency=1) as (server, _):
        receiver.behave = slow
        paths = [followed(server.client, f"t{n}") for n in range(4)]
        for n in range(4):
            complete(server.client, f"t{n}")
        for path in paths:
            when(server.client, path, served)

        assert receiver.most_at_once == 1


def test_nothing_is_sent_while_the_bridge_is_off_and_nothing_later(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, _):
        client = server.client
        client.ok("PUT", "/api/bridges/b", {"enabled": False})
        path = followed(client, "t")
        complete(client, "t")
        found = when(client, path, served)

        (attempt,) = found["attempts"]
        assert (attempt["outcome"], attempt["error"]) == ("suppressed", "the bridge is disabled")
        assert found["cursor"]["last_delivery_id"] == attempt["delivery_id"]
        client.ok("PUT", "/api/bridges/b", {"enabled": True})
        later = followed(client, "u")
        complete(client, "u")
        when(client, later, served)
        assert [each.document["data"]["metadata"]["task_id"] for each in receiver.requests] == ["u"]


def test_nothing_is_sent_once_the_bridge_is_removed(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, _):
        path = followed(server.client, "t")
        server.client.ok("DELETE", "/api/bridges/b", status=204)
        complete(server.client, "t")
        found = when(server.client, path, served)

        assert found["attempts"][0]["error"] == "the bridge was removed"
        assert receiver.requests == []


def test_a_subscription_to_a_finished_task_is_served_at_once(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, _):
        server.client.create(id="t")
        complete(server.client, "t")
        path = subscribe(server.client, "t")
        when(server.client, path, served)

        # Made anew, it goes on behind its old position.
        server.client.ok("DELETE", path, status=204)
        name = path.rpartition("/")[2]
        again = subscribe(server.client, "t", subscription_id=name)
        assert again == path
        complete(server.client, "t")
        receiver.wait_for(2)
        assert len({each.delivery_id for each in receiver.requests}) == 2


def test_an_end_that_no_event_tells_is_passed_over(tmp_path: Path) -> None:
    with receiving() as receiver, bridged(tmp_path, receiver) as (server, _):
        client = server.client
        client.create(id="t", max_attempts=2)
        path = subscribe(client, "t")
        run = client.enqueue("t")["id"]
        client.ok("POST", f"/api/task-runs/{run}/claim", {})
        client.ok("POST", f"/api/task-runs/{run}/start", {})
        client.ok("POST", f"/api/task-runs/{run}/fail", {"error": "once"})
        second = client.enqueue("t")["id"]
        client.ok("POST", f"/api/runs/{second}/fail", {"reason": "given up"})
        found = when(client, path, served)

        (attempt,) = found["attempts"]
        assert attempt["outcome"] == "passed_over"
        assert found["cursor"]["last_error"] == "the task is failed, but not by task.run_failed"
        assert receiver.requests == []


def test_a_bridge_that_is_away_is_not_asked_for_each_of_many(tmp_path: Path) -> None:
    with receiving(free_port()) as away:
        pass
    with bridged(tmp_path, away, bridge_retry_seconds=30) as (server, _):
        client = server.client
        client.create(id="t")
        paths = [subscribe(client, "t") for _ in range(20)]
        complete(client, "t")
        when(client, paths[0], lambda found: found["pending"])
        time.sleep(0.5)

        shown = client.ok("GET", "/api/bridges/b/subscriptions")["subscriptions"]
        assert sum(bool(each.get("attempts")) for each in shown) <= 4


def test_a_task_that_is_deleted_is_not_told_of(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        bridged(tmp_path, receiver, bridge_retry_seconds=0.2) as (
            server,
            _,
        ),
    ):
        receiver.behave = lambda _: 500
        path = followed(server.client, "t")
        complete(server.client, "t")
        when(server.client, path, failures(1))
        server.client.ok("DELETE", "/api/tasks/t", status=204)
        told = len(receiver.requests)
        time.sleep(0.5)

        assert len(receiver.requests) <= told + 1
