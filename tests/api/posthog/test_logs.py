"""Logs of runs: added to in batches, read back whole, in part, and as they grow."""

import json
import threading
from typing import Any

import httpx2
import pytest

from tests.api.links import fetched
from tests.api.live import HANG_SECONDS, Client, Clock, JsonObject
from tests.api.posthog.project import Project
from tests.api.posthog.test_tasks import core_tasks


def entry(number: int, **more: Any) -> JsonObject:
    notification = {"jsonrpc": "2.0", "method": "_posthog/console", "params": {"n": number}}
    return {"type": "notification", "notification": notification, **more}


def append(project: Project, run: JsonObject, *entries: JsonObject) -> JsonObject:
    return project.ok("POST", f"{project.of(run)}/append_log/", {"entries": list(entries)})


def lines_of(response: httpx2.Response) -> list[JsonObject]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/jsonl"
    assert not response.content or response.content.endswith(b"\n")
    return [json.loads(line) for line in response.content.splitlines()]


def test_a_log_is_empty_at_first_in_both_ways(project: Project) -> None:
    run = project.run(project.task())

    assert lines_of(project.send("GET", f"{project.of(run)}/logs")) == []
    assert lines_of(fetched(run["log_url"])) == []


def test_both_ways_give_all_entries_in_order(project: Project, client: Client) -> None:
    run = project.run(project.task(), status="in_progress")
    url = run["log_url"]
    large = entry(3, text="x\ny" * 40_000)
    appended = append(project, run, entry(1), {"any": [1.50, None]})
    assert appended["id"] == run["id"]
    assert appended["updated_at"] == run["updated_at"]
    append(project, run, large, entry(4))
    project.patch(run, status="completed")
    append(project, run, entry(5))
    expected = [entry(1), {"any": [1.5, None]}, large, entry(4), entry(5)]

    assert lines_of(project.send("GET", f"{project.of(run)}/logs")) == expected
    assert lines_of(project.send("GET", f"{project.of(run)}/logs/")) == expected
    # The address from before shows what came later, and needs no header.
    assert lines_of(fetched(url)) == expected
    raw = project.send("GET", f"{project.of(run)}/logs").content.splitlines()[1]
    assert raw == b'{"any":[1.5,null]}'
    (core,) = core_tasks(project)
    timeline = client.ok("GET", f"/api/tasks/{core['id']}/timeline")["timeline"]
    told = [item for item in timeline if item["event_type"] == "posthog.log_appended"]
    assert [item["payload"]["total_count"] for item in told] == [2, 4, 5]
    assert all(item["task"]["id"] == core["id"] for item in told)
    assert told[0]["run"]["status"] == "running"


def test_a_link_holds_an_hour_for_its_own_path_alone(project: Project, clock: Clock) -> None:
    run, other = (project.run(project.task()) for _ in range(2))
    url = str(run["log_url"])

    assert fetched(url.replace("?", "/?")).status_code == 200
    for broken in (
        url.replace(run["id"], other["id"]),
        url.partition("?")[0],
        f"{url}0",
        f"{url}&more=1",
        url.replace("/log?", "/artifacts/x/content?"),
    ):
        response = fetched(broken)
        assert response.status_code in {403, 404}
        assert response.json()["type"] == "authentication_error"
    clock.advance(3_601)
    assert fetched(url).status_code == 403


@pytest.mark.parametrize(
    ("entries", "code", "attr"),
    [
        (None, "null", "entries"),
        ("x", "not_a_list", "entries"),
        ([], "invalid_input", "entries"),
        ([{}, "x"], "not_a_dict", "entries__1"),
        ([[]], "not_a_dict", "entries__0"),
    ],
)
def test_bad_entries_are_named(project: Project, entries: Any, code: str, attr: str) -> None:
    path = f"{project.of(project.run(project.task()))}/append_log"

    refused = project.refused(400, "POST", path, {"entries": entries})
    assert refused == ("validation_error", code, attr)
    assert project.refused(400, "POST", path, {})[1:] == ("required", "entries")


def test_entries_keep_the_lease_of_a_worker(project: Project, client: Client, clock: Clock) -> None:
    run = project.run(project.task(), status="queued")
    client.ok("PUT", "/api/sessions/phlog", {"agent_name": "coder", "workspace": project.ref})
    claim = client.agent("phlog").ok("POST", "/api/agent/tasks/claim-next", {}, 200)["claim"]
    path = f"/api/task-runs/{claim['run']['id']}"
    before = client.ok("GET", path)["run"]["run"]["lease_until"]
    append(project, run, entry(1))
    assert client.ok("GET", path)["run"]["run"]["lease_until"] == before
    clock.advance(61)
    append(project, run, entry(2))

    assert client.ok("GET", path)["run"]["run"]["lease_until"] > before


def test_entries_are_chosen_by_time_and_type(project: Project) -> None:
    run = project.run(project.task())
    update = {"method": "session/update", "params": {"update": {"sessionUpdate": "tool_call"}}}
    entries: list[JsonObject] = [
        entry(1, timestamp="2026-01-01T00:00:00.000Z"),
        {"notification": update, "timestamp": "2026-01-02T00:00:00+00:00"},
        entry(3, timestamp="2026-01-03T00:00:00Z"),
        {"notification": "x", "timestamp": 5},
    ]
    append(project, run, *entries)

    def chosen(query: str) -> list[int]:
        response = project.send("GET", f"{project.of(run)}/session_logs?{query}")
        assert response.headers["x-total-count"] == "4"
        found = response.json()
        assert int(response.headers["x-filtered-count"]) >= len(found)
        return [entries.index(each) for each in found]

    assert chosen("") == [0, 1, 2, 3]
    assert chosen("after=2026-01-01T00:00:00Z") == [1, 2]
    assert chosen("event_types=tool_call") == [1]
    assert chosen("event_types=tool_call,_posthog/console&after=2026-01-02T12:00:00Z") == [2]
    assert chosen("exclude_types=_posthog/console") == [1, 3]
    assert chosen("limit=2") == [0, 1]
    path = f"{project.of(run)}/session_logs?after=yesterday"
    assert project.refused(400, "GET", path)[1:] == ("invalid_input", "after")


def streamed(url: str, **headers: str) -> list[tuple[str, JsonObject]]:
    """Return the events of a stream until it ends; comments are left out."""
    found = []
    with httpx2.stream("GET", url, headers=headers, timeout=HANG_SECONDS) as response:
        assert response.headers["content-type"] == "text/event-stream"
        for block in response.read().decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line[0] != ":")
            if "data" in fields:
                found.append((fields.get("id", fields.get("event", "")), fields["data"]))
    return [(name, json.loads(data)) for name, data in found]


def test_a_stream_goes_on_until_the_run_has_ended(project: Project) -> None:
    run = project.run(project.task(), status="in_progress")
    append(project, run, entry(1), entry(2))

    def work() -> None:
        append(project, run, entry(3))
        project.patch(run, status="failed")

    later = threading.Timer(0.5, work)
    later.start()
    url = f"{project.client.url}{project.path}{project.of(run)}/stream/"
    expected = [("1-1", entry(1)), ("1-2", entry(2)), ("2-1", entry(3)), ("stream-end", {})]
    assert streamed(url) == expected
    later.join()
    assert streamed(url, **{"Last-Event-ID": "1-1"}) == expected[1:]
    assert streamed(url, **{"Last-Event-ID": "2-1"}) == expected[3:]
