"""Timelines and streams: order, resuming without loss, filters, and what keeps them open."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.events import following
from tests.api.live import NEVER, Client, LiveServer, error_of, serving


@pytest.fixture(name="server", scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Serve a ledger in which nothing happens but what these tests do."""
    folder = tmp_path_factory.mktemp("ledger")
    with serving(folder, keep_alive_seconds=0.1, sweep_seconds=NEVER) as server:
        yield server


def sequences(client: Client, path: str) -> list[int]:
    """Return the sequences that a timeline shows."""
    return [item["sequence"] for item in client.ok("GET", path)["timeline"]]


def test_a_timeline_shows_own_events_in_order(client: Client) -> None:
    task = client.create()
    child = client.ok(
        "POST", f"/api/tasks/{task['id']}/children", {"scope": "global", "title": "c"}, 201
    )["task"]
    client.enqueue(task["id"])
    path = f"/api/tasks/{task['id']}/timeline"
    timeline = client.ok("GET", path)["timeline"]

    assert [item["event_type"] for item in timeline] == [
        "task.created",
        "task.child_created",
        "task.run_enqueued",
    ]
    assert timeline[1]["payload"]["child_task_id"] == child["id"]
    assert timeline[2]["run"]["status"] == "queued"
    all_of = [item["sequence"] for item in timeline]
    assert sequences(client, f"{path}?limit=2") == all_of[:2]
    assert sequences(client, f"{path}?after_sequence={all_of[1]}") == all_of[2:]
    assert sequences(client, f"{path}?after_sequence={all_of[2]}") == []


def test_a_timeline_longer_than_a_page_is_whole(client: Client) -> None:
    task = client.create()
    for number in range(1, 1_005):
        client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": f"title {number}"})
    path = f"/api/tasks/{task['id']}/timeline"

    assert len(sequences(client, path)) == 1_005
    assert len(sequences(client, f"{path}?limit=510")) == 510
    assert len(sequences(client, f"{path}?limit=1100")) == 1_005
    # Backwards there is one answer, which has its bound.
    for backwards in (path, "/api/timeline"):
        last = f"{backwards}?before_sequence={2**62}"
        assert len(sequences(client, last)) == len(sequences(client, f"{last}&limit=1100")) == 1_000
    with following(client, f"/api/tasks/{task['id']}/stream") as stream:
        ids = [event.id for event in stream.take(1_005)]
    assert ids == sorted(set(ids))


def test_a_stream_replays_then_goes_on_live_without_a_seam(client: Client) -> None:
    task = client.create()
    child = client.ok(
        "POST", f"/api/tasks/{task['id']}/children", {"scope": "global", "title": "c"}, 201
    )["task"]
    with following(client, f"/api/tasks/{task['id']}/stream") as stream:
        assert [event.name for event in stream.take(3)] == [
            "task.created",
            "task.created",
            "task.child_created",
        ]
        run = client.enqueue(child["id"])
        client.create()
        client.ok("POST", f"/api/task-runs/{run['id']}/claim")
        live = stream.take(2)

    assert [event.name for event in live] == ["task.run_enqueued", "task.run_claimed"]
    assert live[0].data["timeline"]["run"]["status"] == "queued"
    headers = stream.response.headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache"
    assert headers["connection"] == "keep-alive"
    assert headers["x-accel-buffering"] == "no"


def test_a_client_that_comes_back_gets_what_it_missed(client: Client) -> None:
    task = client.create()
    path = f"/api/tasks/{task['id']}/stream?after_sequence={task['latest_event_seq']}"
    with following(client, path) as stream:
        client.enqueue(task["id"])
        last = stream.next()
    client.ok("POST", f"/api/tasks/{task['id']}/pause", {"reason": "r"})

    with following(client, path, Last_Event_ID=str(last.id)) as stream:
        assert stream.next().name == "task.paused"
    with following(client, f"{path}", Last_Event_ID="0") as stream:
        assert stream.next().name == "task.created"
    with following(client, path, Last_Event_ID="") as stream:
        assert stream.next().id == last.id


def test_a_silent_stream_is_kept_open_by_comments_without_ids(client: Client) -> None:
    task = client.create()
    path = f"/api/tasks/{task['id']}/stream?after_sequence={task['latest_event_seq']}"
    with following(client, path) as stream:
        stream.wait_for_comment()
        stream.wait_for_comment()

    assert stream.comments == 2


@pytest.mark.parametrize("end", ["stream", "timeline"])
@pytest.mark.parametrize("value", ["x", "-1", "1.0", "9" * 30, "0x1", "1e3"])
def test_a_bad_position_is_refused_as_json(client: Client, end: str, value: str) -> None:
    path = f"/api/tasks/{client.create()['id']}/{end}"

    assert "after_sequence" in error_of(client.get(f"{path}?after_sequence={value}"), 422)
    assert "after_sequence" in error_of(client.get(f"/api/{end}?after_sequence={value}"), 422)
    if end == "stream":
        headers = {"Last-Event-ID": value}
        assert "Last-Event-ID" in error_of(client.get(path, headers=headers), 422)
        query = f"{path}?after_sequence={value}"
        assert client.get(query, headers={"Last-Event-ID": "0"}).status_code == 422


def test_the_ledger_is_filtered_by_type_workspace_and_actor(client: Client) -> None:
    client.ok("PUT", "/api/workspaces/filtered", {"name": "by name"}, 200)
    after = client.ok("GET", "/api/timeline?limit=1&after_sequence=1000000")["head"]
    body = {"scope": "workspace", "workspace": "filtered", "title": "t"}
    task = client.ok("POST", "/api/tasks", body, 201)["task"]
    client.enqueue(task["id"])
    client.create()
    base = f"/api/timeline?after_sequence={after}"

    assert len(sequences(client, base)) == 3
    assert len(sequences(client, f"{base}&type=task.created")) == 2
    assert len(sequences(client, f"{base}&type=task.created&type=task.run_enqueued")) == 3
    assert len(sequences(client, f"{base}&type=task.deleted,task.run_enqueued")) == 1
    assert len(sequences(client, f"{base}&workspace=by name")) == 2
    assert len(sequences(client, f"{base}&workspace=unknown")) == 0
    assert len(sequences(client, f"{base}&actor=human:local-user")) == 3
    assert len(sequences(client, f"{base}&actor=local-user&limit=2")) == 2
    many = ",".join(f"type-{number}" for number in range(101))
    assert "type must have at most" in error_of(client.get(f"{base}&type={many}"), 422)


def test_the_ledger_cursor_moves_even_when_nothing_matches(client: Client) -> None:
    head = client.create()["latest_event_seq"]
    page = client.ok("GET", "/api/timeline?type=task.none&limit=10")
    one = client.ok("GET", "/api/timeline?limit=1")

    assert (page["timeline"], page["next_after"], page["head"]) == ([], head, head)
    assert one["next_after"] == one["timeline"][0]["sequence"]


def test_a_timeline_is_read_backwards_page_by_page(client: Client) -> None:
    task = client.create()
    for number in range(1, 6):
        client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": f"title {number}"})
    path = f"/api/tasks/{task['id']}/timeline"
    all_of = sequences(client, path)

    assert sequences(client, f"{path}?before_sequence={2**62}&limit=4") == all_of[-4:]
    assert sequences(client, f"{path}?before_sequence={all_of[2]}&limit=4") == all_of[:2]
    assert sequences(client, f"{path}?before_sequence=1&limit=4") == []


def test_the_ledger_is_read_backwards_from_its_head(client: Client) -> None:
    first = client.create()
    for _ in range(7):
        client.create()
    forwards = client.ok("GET", "/api/timeline")
    before, seen = 2**62, list[Any]()
    while before > 1:
        page = client.ok("GET", f"/api/timeline?before_sequence={before}&limit=3")
        assert page["head"] == forwards["head"]
        assert page["next_after"] == min(before - 1, page["head"])
        assert page["next_before"] < before
        seen[:0] = page["timeline"]
        before = page["next_before"]

    assert seen == forwards["timeline"]
    path = f"/api/timeline?before_sequence={2**62}&limit=1&type=task.created"
    last = client.ok("GET", path)["timeline"]
    assert [item["event_type"] for item in last] == ["task.created"]
    assert last[0]["task"]["id"] != first["id"]


def test_reading_backwards_ends_behind_a_sequence(client: Client) -> None:
    task = client.create()
    for number in range(1, 6):
        client.ok("PATCH", f"/api/tasks/{task['id']}", {"title": f"title {number}"})
    path = f"/api/tasks/{task['id']}/timeline"
    all_of = sequences(client, path)
    between = f"after_sequence={all_of[1]}&before_sequence={all_of[4]}"

    for each in (path, "/api/timeline"):
        assert sequences(client, f"{each}?{between}") == all_of[2:4]
        assert sequences(client, f"{each}?{between}&limit=1") == all_of[3:4]
        assert sequences(client, f"{each}?{between}&limit=5000") == all_of[2:4]
    page = client.ok("GET", f"/api/timeline?{between}")
    assert page["next_before"] == all_of[2]


@pytest.mark.parametrize("value", ["x", "-1", "1.5"])
def test_a_bad_end_of_reading_backwards_is_refused(client: Client, value: str) -> None:
    task = client.create()

    for path in ("/api/timeline", f"/api/tasks/{task['id']}/timeline"):
        assert "before_sequence" in error_of(client.get(f"{path}?before_sequence={value}"), 422)


def test_a_filtered_stream_of_the_ledger_tells_what_it_passed(client: Client) -> None:
    head = client.create()["latest_event_seq"]
    with following(client, "/api/stream?type=task.paused") as stream:
        event = stream.next()
        while event.id < head:
            event = stream.next()
        assert (event.name, event.data) == ("checkpoint", {"sequence": head})
        passed = client.create()["latest_event_seq"]
        assert (stream.next().id, stream.comments) == (passed, stream.comments)
        task = client.create()
        client.ok("POST", f"/api/tasks/{task['id']}/pause", {"reason": "r"})
        event = stream.next()
        while event.name == "checkpoint":
            event = stream.next()

    assert event.data["timeline"]["task"]["id"] == task["id"]


def test_a_stream_of_the_ledger_has_events_without_a_task(client: Client) -> None:
    head = client.create()["latest_event_seq"]
    with following(client, f"/api/stream?after_sequence={head}") as stream:
        client.ok("POST", "/api/scheduler/resume", {"reason": "go"}, 200)
        event = stream.next()

    assert event.name == "scheduler.resumed"
    assert "task" not in event.data["timeline"]
