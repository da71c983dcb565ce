"""Payloads and frames."""

from typing import Any

import msgspec
import pytest

from domain import events as e
from domain.values import Actor, Json, Owner
from projections.wire import LedgerItem, frame, payload
from tests.projections.support import Ledger

ZERO = "0001-01-01T00:00:00Z"


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (
            e.TaskCreated(scope="global", status="ready", title="t", description="d"),
            {"scope": "global", "status": "ready"},
        ),
        (
            e.TaskCreated(
                scope="workspace",
                workspace_id="ws-1",
                status="ready",
                title="t",
                owner=Owner("pool", "coder"),
            ),
            {
                "scope": "workspace",
                "workspace_id": "ws-1",
                "status": "ready",
                "owner": {"kind": "pool", "ref": "coder"},
            },
        ),
        (
            e.TaskUpdated(changed_fields=("owner",), status="ready", owner=Owner("human", "a")),
            {"changed_fields": ["owner"], "status": "ready"},
        ),
        (
            e.TaskCanceled(status="canceled", metadata=Json(b'{"a":1,"claim_token":2}')),
            {"status": "canceled", "metadata": {"a": 1}},
        ),
        (
            e.RunClaimed(
                status="claimed",
                task_status="ready",
                claimed_by=Actor("human", "ann"),
                lease_until=0,
                session_id="private",
            ),
            {
                "status": "claimed",
                "task_status": "ready",
                "claimed_by": {"kind": "human", "ref": "ann"},
                "lease_until": ZERO,
            },
        ),
        (
            e.RunLeaseExpired(
                previous_status="claimed",
                status="queued",
                task_status="ready",
                lease_until=1_500_000,
                expiries=2,
            ),
            {
                "previous_status": "claimed",
                "status": "queued",
                "task_status": "ready",
                "lease_until": "1970-01-01T00:00:01.5Z",
                "expiries": 2,
            },
        ),
        (
            e.RunNeedsAttention(
                previous_status="queued", status="needs_attention", task_status="ready"
            ),
            {"previous_status": "queued", "status": "needs_attention"},
        ),
        (
            e.RunNeedsAttention(
                previous_status="queued",
                status="needs_attention",
                task_status="ready",
                queued_at=1_000_000,
            ),
            {
                "previous_status": "queued",
                "status": "needs_attention",
                "queued_at": "1970-01-01T00:00:01Z",
            },
        ),
        (
            e.SchedulerDrainCompleted(completed=False, remaining_claims=0),
            {"completed": False, "remaining_claims": 0},
        ),
        (
            e.TokenCreated(
                token_id="t",
                scopes=("task:read",),
                token_actor=Actor("human", "ann"),
                secret_hash="private",
            ),
            {
                "token_id": "t",
                "scopes": ["task:read"],
                "token_actor": {"kind": "human", "ref": "ann"},
            },
        ),
    ],
)
def test_a_payload_shows_required_members_and_those_that_hold_something(
    fact: e.Fact, expected: object
) -> None:
    assert shown(payload(fact)) == expected


def test_a_member_that_cannot_be_shown_safely_is_left_out() -> None:
    depth = 100_000
    deep = Json(b'{"claim_token":' + b"[" * depth + b"]" * depth + b"}")
    fact = e.RunCompleted(status="completed", task_status="completed", result=deep)

    assert shown(payload(fact)) == {"status": "completed", "task_status": "completed"}


@pytest.mark.parametrize("fact_class", e.FACTS)
def test_no_fact_shows_a_private_member(fact_class: type[e.Fact]) -> None:
    fields = msgspec.structs.fields(fact_class)
    values = {field.name: _any_value(field) for field in fields}

    shown_members = set(payload(fact_class(**values)))

    required = {field.name for field in fields if field.required}
    assert shown_members == (required | shown_members) - fact_class.PRIVATE


def _any_value(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if not field.required else 1


def test_a_frame_is_one_line_with_task_and_run_as_of_the_event(ledger: Ledger) -> None:
    ledger.create("task-1", title="Two\nlines")
    ledger.enqueue("task-1", "run-1")
    claimed = ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunCompleted, "completed", "completed")

    line = frame(claimed)

    assert b"\n" not in line
    assert msgspec.json.decode(line) == {
        "sequence": 3,
        "event_id": claimed.recorded.event_id,
        "task": {
            "id": "task-1",
            "title": "Two\nlines",
            "status": "ready",
            "priority": "medium",
            "scope": "global",
            "latest_event_seq": 3,
        },
        "run": {
            "id": "run-1",
            "task_id": "task-1",
            "status": "claimed",
            "attempt": 1,
            "max_attempts": 3,
            "claimed_by": {"kind": "human", "ref": "local-user"},
            "queued_at": "2026-05-03T03:09:39Z",
            "claimed_at": "2026-05-03T03:09:40Z",
        },
        "event_type": "task.run_claimed",
        "actor": {"kind": "human", "ref": "local-user"},
        "origin": {"kind": "http", "ref": "tasks.create"},
        "payload": {
            "status": "claimed",
            "task_status": "ready",
            "claimed_by": {"kind": "human", "ref": "local-user"},
            "lease_until": ZERO,
        },
        "timestamp": "2026-05-03T03:09:40Z",
    }


def test_a_frame_shows_an_inherited_pause(ledger: Ledger) -> None:
    ledger.create("root")
    ledger.create("child", parent="root")
    ledger.pause("root")

    task = msgspec.json.decode(frame(ledger.enqueue("child", "run-1")))["task"]

    assert "paused" not in task
    assert (task["effective_paused"], task["paused_by_task_id"]) == (True, "root")


def test_a_frame_of_no_task_has_no_task(ledger: Ledger) -> None:
    found = msgspec.json.decode(frame(ledger.session("session-1")))

    assert found.keys().isdisjoint({"task", "run"})
    assert found["payload"] == {
        "session_id": "session-1",
        "agent_name": "coder",
        "concurrency": 1,
    }


def test_an_empty_payload_is_left_out(ledger: Ledger) -> None:
    change = ledger.step(lambda plan: plan.emit("scheduler", e.SchedulerPaused()))[0]

    assert "payload" not in msgspec.json.decode(frame(change))


def test_the_members_of_an_item_come_in_the_order_of_the_contract() -> None:
    assert LedgerItem.__struct_fields__ == (
        "sequence",
        "event_id",
        "task",
        "run",
        "event_type",
        "actor",
        "origin",
        "payload",
        "timestamp",
    )
