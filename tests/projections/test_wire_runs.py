"""Runs as clients see them."""

from typing import Any

import msgspec
import pytest

from domain import events as e
from domain.registry import SessionState
from domain.values import NO_JSON, Json
from projections.wire import (
    coordination_channel,
    run_lease,
    run_session,
    run_summary,
    run_view,
)
from projections.wire.json import without_secrets
from tests.projections.support import Ledger

HASH = "sha256:" + "0" * 64


def shown(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_queued_run_shows_only_what_is_always_present(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")
    run = ledger.run("run-1")
    always = {
        "id": "run-1",
        "task_id": "task-1",
        "status": "queued",
        "attempt": 1,
        "queued_at": "2026-05-03T03:09:39Z",
    }

    assert shown(run_view(run)) == always | {"origin": {"kind": "http", "ref": "tasks.create"}}
    assert shown(run_summary(run, 5)) == always | {"max_attempts": 5}
    assert shown(run_lease(run)) == {"task_id": "task-1", "run_id": "run-1", "status": "queued"}


def test_a_leased_run_shows_its_holder_and_deadline(ledger: Ledger) -> None:
    ledger.create("task-1", workspace="ws-1")
    ledger.enqueue("task-1", "run-1", coordination_channel_id="room", network_channel="room")
    ledger.claim("run-1", "session-1", lease=60)
    run = ledger.run("run-1")
    held = {
        "task_id": "task-1",
        "status": "claimed",
        "session_id": "session-1",
        "claimed_by": {"kind": "agent_session", "ref": "session-1"},
        "claim_token_hash": HASH,
        "lease_until": "2026-05-03T03:10:40Z",
        "heartbeat_at": "2026-05-03T03:09:40Z",
        "coordination_channel_id": "room",
    }

    assert shown(run_lease(run)) == held | {"run_id": "run-1"}
    assert held.items() <= shown(run_view(run)).items()
    assert held.items() <= shown(run_summary(run, 3)).items()
    assert shown(run_summary(run, 3))["claimed_at"] == "2026-05-03T03:09:40Z"


def test_an_ended_run_shows_times_error_and_result(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1", metadata=Json(b'{"why":1}'))
    ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunStarting, "starting", "in_progress")
    ledger.run_fact("run-1", e.RunStarted, "running", "in_progress")
    ledger.run_fact("run-1", e.RunCompleted, "completed", "completed", result=Json(b"[1]"))

    found = shown(run_view(ledger.run("run-1")))

    assert (found["metadata"], found["result"]) == ({"why": 1}, [1])
    times = [found[name][17:19] for name in ("queued_at", "claimed_at", "started_at", "ended_at")]
    assert times == ["39", "40", "42", "43"]
    summary = shown(run_summary(ledger.run("run-1"), 3))
    assert (summary["started_at"], summary["ended_at"]) == (found["started_at"], found["ended_at"])


def test_a_claim_tells_the_coordination_channel(ledger: Ledger) -> None:
    ledger.create("task-1", workspace="ws-1")
    ledger.enqueue("task-1", "run-1", coordination_channel_id="coord-run-1")
    run, task = ledger.run("run-1"), ledger.task("task-1").task

    channel = coordination_channel(run, task)

    expected = {
        "id": "coord-run-1",
        "channel": "coord-run-1",
        "display_name": "coord-run-1",
        "purpose": "task_run_coordination",
        "workspace_id": "ws-1",
        "task_id": "task-1",
        "run_id": "run-1",
        "allowed_message_kinds": [
            "status",
            "request",
            "reply",
            "blocker",
            "handoff",
            "result",
            "review_request",
        ],
    }
    assert shown(channel) == expected
    assert shown(run_view(run, channel))["coordination_channel"] == expected
    assert shown(run_lease(run, channel))["coordination_channel"] == expected


def test_a_run_without_a_channel_has_none_to_tell(ledger: Ledger) -> None:
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1")

    assert coordination_channel(ledger.run("run-1"), ledger.task("task-1").task) is None


def test_of_an_unknown_session_only_the_id_is_told() -> None:
    zero = "0001-01-01T00:00:00Z"

    assert shown(run_session("s", None)) == {
        "session_id": "s",
        "created_at": zero,
        "updated_at": zero,
    }


def test_a_known_session_is_told_in_full() -> None:
    session = SessionState(
        id="s",
        agent_name="coder",
        workspace_id="ws-1",
        channel="room",
        name="Ann's",
        created_at=1_000_000,
        updated_at=2_500_000,
    )

    assert shown(run_session("s", session)) == {
        "session_id": "s",
        "workspace_id": "ws-1",
        "agent_name": "coder",
        "name": "Ann's",
        "channel": "room",
        "state": "active",
        "created_at": "1970-01-01T00:00:01Z",
        "updated_at": "1970-01-01T00:00:02.5Z",
    }


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b'{"claim_token":"x","a":1}', b'{"a":1}'),
        (b'{"a":[{"Claim_Token":"x"},{"b":2}]}', b'{"a":[{},{"b":2}]}'),
        (b'{"claim\\u005ftoken":"x"}', b"{}"),
        (b'{"claim_token_hash":"x"}', b'{"claim_token_hash":"x"}'),
        (b'{"a" : "claim_token"}', b'{"a" : "claim_token"}'),
        (b'{"a" : "\\u00e4"}', b'{"a" : "\\u00e4"}'),
        (b'{"a" : 1e2}', b'{"a" : 1e2}'),
        (b'"claim_token"', b'"claim_token"'),
    ],
)
def test_lease_credentials_are_dropped_and_all_else_is_kept(sent: bytes, expected: bytes) -> None:
    assert bytes(without_secrets(Json(sent))) == expected


def test_json_too_deep_to_look_through_is_left_out() -> None:
    depth = 100_000
    deep = Json(b'{"claim_token":' + b"[" * depth + b"]" * depth + b"}")

    assert without_secrets(deep) is NO_JSON


def test_credentials_are_dropped_from_a_run(ledger: Ledger) -> None:
    secret = Json(b'{"claim_token":"agh_claim_x","a":1}')
    ledger.create("task-1")
    ledger.enqueue("task-1", "run-1", metadata=secret)
    ledger.claim("run-1")
    ledger.run_fact("run-1", e.RunCompleted, "completed", "completed", result=secret)

    found = shown(run_view(ledger.run("run-1")))

    assert (found["metadata"], found["result"]) == ({"a": 1}, {"a": 1})
