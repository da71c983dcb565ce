import pytest

from api.cli.timeline import cells_of, summary_of, time_of_day
from api.client.documents import JsonObject

ITEM: JsonObject = {
    "sequence": 42,
    "event_id": "evt-1",
    "task": {"id": "task-1", "title": "Build"},
    "run": {"id": "run-1"},
    "event_type": "task.run_claimed",
    "actor": {"kind": "agent_session", "ref": "w-1"},
    "payload": {"status": "claimed", "lease_until": "2026-05-31T12:00:30.5Z"},
    "timestamp": "2026-05-31T12:00:00.123456Z",
}


def test_an_event_becomes_time_sequence_type_task_run_actor_and_summary() -> None:
    assert cells_of(ITEM) == (
        "12:00:00.123",
        "42",
        "task.run_claimed",
        "task-1",
        "run-1",
        "agent_session:w-1",
        "claimed, lease until 12:00:30.500",
    )


def test_an_event_without_a_task_shows_dashes() -> None:
    item = {**ITEM, "task": None, "run": None, "payload": {"reason": "maintenance\nat night"}}

    assert cells_of(item)[3:5] == ("-", "-")
    assert summary_of(item) == "because maintenance"


@pytest.mark.parametrize(
    ("payload", "summary"),
    [
        (None, ""),
        ({"previous_status": "draft", "status": "ready"}, "draft → ready"),
        ({"changed_fields": ["title", "owner"], "status": "ready"}, "ready, title, owner"),
        ({"status": "failed", "error": "exit code 3\nsecond line"}, "failed, error exit code 3"),
        ({"status": "queued", "attempt": 2}, "queued, attempt 2"),
        ({"bridge_instance_id": "chat", "peer_id": "ann"}, "bridge chat, to ann"),
        (
            {"delivery_id": "notif:s:7", "attempt": 1, "error": "no answer within 10 s"},
            "attempt 1, delivery notif:s:7, error no answer within 10 s",
        ),
    ],
)
def test_a_summary_names_what_changed(payload: JsonObject | None, summary: str) -> None:
    assert summary_of({"payload": payload}) == summary


def test_a_long_summary_is_shortened() -> None:
    summary = summary_of({"payload": {"error": "x" * 500}})

    assert len(summary) == 100
    assert summary.endswith("…")


@pytest.mark.parametrize(
    ("timestamp", "shown"),
    [("2026-05-31T12:00:00Z", "12:00:00.000"), ("2026-05-31T12:00:00.12Z", "12:00:00.120")],
)
def test_a_time_of_day_has_milliseconds(timestamp: str, shown: str) -> None:
    assert time_of_day(timestamp) == shown
