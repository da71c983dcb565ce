"""Bridges, subscriptions, and which of them have something to be told."""

from typing import Any

import msgspec

from domain import events as e
from domain.instants import SECOND
from domain.recorded import bridge_stream, notification_stream
from projections import bridges
from projections.wire.bridges import bridge_view, subscription_view
from tests.projections.support import Ledger


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def complete(ledger: Ledger, task_id: str) -> int:
    run_id = f"run-{len(ledger.history)}"
    ledger.enqueue(task_id, run_id)
    ledger.claim(run_id)
    return ledger.run_fact(run_id, e.RunCompleted, "completed", "completed").recorded.sequence


def note(ledger: Ledger, fact: Any) -> None:
    ledger.step(lambda plan: plan.emit(notification_stream(fact.subscription_id), fact))


def failed(ledger: Ledger, sequence: int, retry_at: int) -> None:
    note(
        ledger,
        e.NotificationFailed(
            subscription_id="s",
            subject_sequence=sequence,
            delivery_id=f"notif:s:{sequence}",
            attempt=1,
            status_code=503,
            error="answered 503",
            retry_at=retry_at,
        ),
    )


def delivered(ledger: Ledger, sequence: int) -> None:
    note(
        ledger,
        e.NotificationDelivered(
            subscription_id="s",
            subject_sequence=sequence,
            delivery_id=f"notif:s:{sequence}",
            status_code=204,
        ),
    )


def due(ledger: Ledger, now: int = 1 << 60) -> list[str]:
    found = bridges.due_subscriptions(ledger.store, "b", now, 10)
    return [served.subscription.id for served in found]


def test_bridges_are_found_until_they_are_removed(ledger: Ledger) -> None:
    ledger.bridge("b", name="Chat", enabled=False)
    ledger.bridge("a", scope="workspace", workspace_id="ws-1")

    found = bridges.bridge_of(ledger.store, "b")
    assert found is not None
    assert shown(bridge_view(found)) == {
        "id": "b",
        "url": "https://a.example/",
        "scope": "global",
        "name": "Chat",
        "enabled": False,
        "created_at": "2026-05-03T03:09:38Z",
        "updated_at": "2026-05-03T03:09:38Z",
    }
    assert [each.id for each in bridges.bridges(ledger.store)] == ["b", "a"]
    ledger.step(lambda plan: plan.emit(bridge_stream("b"), e.BridgeRemoved(bridge_id="b")))
    assert bridges.bridge_of(ledger.store, "b") is None


def test_a_subscription_shows_where_its_cursor_stands(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.subscribe("t", "s")

    found = bridges.subscription_of(ledger.store, "t", "s")
    assert found is not None
    assert shown(subscription_view(found)) == {
        "subscription_id": "s",
        "task_id": "t",
        "bridge_instance_id": "b",
        "scope": "global",
        "peer_id": "ann",
        "delivery_mode": "reply",
        "cursor": {
            "consumer_id": "bridge_task_subscription:s",
            "stream_name": "task_events",
            "subject_id": "t",
            "last_sequence": 0,
        },
        "created_by": {"kind": "human", "ref": "local-user"},
        "created_at": "2026-05-03T03:09:39Z",
        "updated_at": "2026-05-03T03:09:39Z",
    }
    assert bridges.subscription_of(ledger.store, "other", "s") is None


def test_attempts_show_what_became_of_them(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.subscribe("t", "s")
    sequence = complete(ledger, "t")
    failed(ledger, sequence, ledger.now)

    found = bridges.subscription_of(ledger.store, "t", "s")
    assert found is not None
    view = shown(subscription_view(found))
    assert view["pending"] is True
    assert view["next_attempt_at"] == "2026-05-03T03:09:42Z"
    assert view["cursor"]["last_error"] == "answered 503"
    assert view["attempts"] == [
        {
            "at": "2026-05-03T03:09:43Z",
            "outcome": "failed",
            "sequence": sequence,
            "delivery_id": f"notif:s:{sequence}",
            "status_code": 503,
            "error": "answered 503",
        }
    ]
    delivered(ledger, sequence)
    found = bridges.subscription_of(ledger.store, "t", "s")
    assert found is not None
    view = shown(subscription_view(found))
    assert [each["outcome"] for each in view["attempts"]] == ["failed", "delivered"]
    assert "pending" not in view
    assert "next_attempt_at" not in view
    assert view["cursor"]["last_delivered_at"] == view["cursor"]["updated_at"]


def test_lists_are_in_order(ledger: Ledger) -> None:
    ledger.create("t")
    for name in ("x", "s", "y"):
        ledger.subscribe("t", name)
    delivered(ledger, complete(ledger, "t"))
    ledger.subscribe("t", "x")

    found = bridges.subscriptions_of_task(ledger.store, "t")
    assert [served.subscription.id for served in found] == ["x", "y", "s"]
    found = bridges.subscriptions_of_bridge(ledger.store, "b", 2)
    assert [served.subscription.id for served in found] == ["s", "x"]


def test_a_task_that_ends_makes_its_subscriptions_due(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.subscribe("t", "s")
    assert bridges.waiting_bridges(ledger.store) == {}

    sequence = complete(ledger, "t")
    assert due(ledger) == ["s"]
    assert bridges.waiting_bridges(ledger.store) == {"b": 1}
    retry_at = ledger.now + 50 * SECOND
    failed(ledger, sequence, retry_at)
    assert due(ledger, retry_at - 1) == []
    assert due(ledger, retry_at) == ["s"]
    assert bridges.waiting_bridges(ledger.store) == {"b": retry_at}
    delivered(ledger, sequence)
    assert due(ledger) == []


def test_a_subscription_to_an_ended_task_is_due_at_once(ledger: Ledger) -> None:
    ledger.create("t")
    complete(ledger, "t")
    ledger.subscribe("t", "s")

    assert due(ledger) == ["s"]


def test_a_task_that_goes_on_is_not_told_of(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.subscribe("t", "s")
    complete(ledger, "t")
    ledger.enqueue("t", "again", task_status="ready")

    assert due(ledger) == []


def test_ended_subscriptions_and_those_of_deleted_tasks_are_gone(ledger: Ledger) -> None:
    for name in ("t", "u"):
        ledger.create(name)
        ledger.subscribe(name, f"s-{name}")
        complete(ledger, name)
    gone = e.TaskBridgeUnsubscribed(subscription_id="s-t", bridge_instance_id="b")
    ledger.emit("t", gone)
    ledger.delete("u")

    assert ledger.store.rows(bridges.SUBSCRIPTIONS) == []
    note(
        ledger,
        e.NotificationSuppressed(
            subscription_id="s-t", subject_sequence=1, delivery_id="d", reason="off"
        ),
    )
    assert ledger.store.rows(bridges.SUBSCRIPTIONS) == []


def test_events_of_a_task_nobody_follows_write_nothing(ledger: Ledger) -> None:
    ledger.create("t")
    ledger.subscribe("t", "s")
    before = ledger.store.rows(bridges.SUBSCRIPTIONS)
    ledger.pause("t")
    ledger.create("u")
    complete(ledger, "u")

    assert ledger.store.rows(bridges.SUBSCRIPTIONS) == before


def test_what_is_due_is_found_by_an_index(ledger: Ledger) -> None:
    ledger.create("t")
    bridges.due_subscriptions(ledger.store, "b", 1, 1)
    statement = ledger.store.selects[-1]

    assert "bridge_subscriptions_due" in ledger.store.plan_of(statement, ("b", 1, 1))
    bridges.waiting_bridges(ledger.store)
    assert "bridge_subscriptions_due" in ledger.store.plan_of(ledger.store.selects[-1])
