"""An event that a projector cannot take, and a rebuild that a crash has interrupted."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.server import listen
from api.services import build, now
from api.settings import Settings
from domain.world import Change
from projections.catalog import PROJECTORS
from projections.dashboard import DashboardProjector
from projections.lookup import LookupProjector
from projections.rows import Projector, Rows
from projections.runs import RunsProjector
from replay.ledger import Ledger
from replay.places import environment_of
from replay.rebuild import Workshop
from replay.workbench import CanceledError
from tests.api.live import Client, LiveServer, serving
from tests.api.test_projections import finished, ops, status, until, work
from tests.support.places import place_in
from tests.support.verify import prove


class FrailRuns(RunsProjector):
    """Cannot take the runs of a task with a certain title."""

    def apply(self, change: Change, rows: Rows) -> None:
        super().apply(change, rows)
        if change.task is not None and change.task.task.title == "poison":
            message = "a poisonous title"
            raise ArithmeticError(message)


class FrailDashboard(DashboardProjector):
    """Cannot count a task with a certain title."""

    def apply(self, change: Change, rows: Rows) -> None:
        super().apply(change, rows)
        if change.task is not None and change.task.task.title == "poison":
            message = "a poisonous title"
            raise ArithmeticError(message)


class FrailLookup(LookupProjector):
    """Cannot look up what belongs to a task with a certain title."""

    def apply(self, change: Change, rows: Rows) -> None:
        if change.task is not None and change.task.task.title == "poison":
            message = "a poisonous title"
            raise ArithmeticError(message)
        super().apply(change, rows)


def frail(projector: Projector) -> tuple[Projector, ...]:
    return tuple(projector if each.name == projector.name else each for each in PROJECTORS)


@contextmanager
def serving_frail(folder: Path, projector: Projector) -> Iterator[Client]:
    settings = Settings(port=0, store=place_in(folder))
    with listen(settings) as listener:
        port = listener.getsockname()[1]
        services = build(replace(settings, port=port), projectors=frail(projector))
        with LiveServer(services).running(listener) as server:
            yield server.client


def test_a_poison_event_holds_one_task_of_one_read_model_back_and_nothing_else(
    tmp_path: Path,
) -> None:
    with serving_frail(tmp_path, FrailRuns()) as client:
        work(client, 2)
        poisoned = client.create(title="poison")["id"]
        work(client, 2)

        found = status(client, "runs")
        assert (found["state"], found["held_count"]) == ("live", 1)
        assert found["position"] == found["head"]
        (held,) = found["held"]
        assert held["stream"] == f"task:{poisoned}"
        assert held["event_type"] == "task.created"
        assert held["error"] == "ArithmeticError: a poisonous title"
        assert "taskledger projections skip runs" in held["advice"]
        assert poisoned in [task["id"] for task in client.ok("GET", "/api/tasks")["tasks"]]
        (notice,) = client.ok("GET", "/readyz")["notices"]
        assert notice.startswith(f"runs stands still for 1 streams, first for task:{poisoned}")
        (told,) = until(lambda: ops(client))
        assert told["event_type"] == "ops.projection_detached"
        assert told["payload"]["held_stream"] == f"task:{poisoned}"

        body = {"sequence": held["sequence"], "reason": "only a test"}
        client.ok("POST", "/api/projections/runs/skip", body)
        assert "held_count" not in finished(client, "runs")
        assert client.ok("GET", "/readyz")["notices"] == []
        work(client, 1)

    # The event that is passed over has no run, so the rows are those of any rebuild.
    prove(place_in(tmp_path))


def test_what_counts_across_tasks_is_detached_as_a_whole(tmp_path: Path) -> None:
    with serving_frail(tmp_path, FrailDashboard()) as client:
        client.create(title="poison")
        work(client, 2)

        found = status(client, "dashboard")
        assert found["state"] == "detached"
        assert found["position"] < found["failure"]["sequence"] < found["head"]
        (notice,) = client.ok("GET", "/readyz")["notices"]
        assert notice == "dashboard is detached: ArithmeticError: a poisonous title"
        assert until(lambda: ops(client))[0]["event_type"] == "ops.projection_detached"

        body = {"sequence": found["failure"]["sequence"], "reason": "only a test"}
        client.ok("POST", "/api/projections/dashboard/skip", body)
        assert finished(client, "dashboard")["state"] == "live"


def test_what_deciding_needs_refuses_only_the_commands_of_the_task(tmp_path: Path) -> None:
    with serving_frail(tmp_path, FrailLookup()) as client:
        refused = client.post("/api/tasks", {"title": "poison", "scope": "global"})
        work(client, 2)

        assert refused.status_code == 503
        assert "lookup cannot take a task.created" in refused.json()["error"]
        assert len(client.ok("GET", "/api/tasks")["tasks"]) == 2


def test_an_event_of_a_newer_release_stops_only_the_commands_of_its_task(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        work(server.client, 2)
        strange = server.client.create(title="strange")["id"]
        server.client.enqueue(strange)
    append(tmp_path, f"task:{strange}", "task.of_tomorrow")

    with serving(tmp_path) as server:
        client = server.client
        refused = client.post(f"/api/tasks/{strange}/pause", {"reason": "now"})
        assert refused.status_code == 503
        assert "'task.of_tomorrow', is unreadable" in refused.json()["error"]
        assert "start a release that can" in refused.json()["error"]
        work(client, 2)
        assert client.ok("GET", f"/api/tasks/{strange}")["task"]["summary"]["id"] == strange
        head = server.services.ledger.head
        past = client.ok("GET", f"/api/tasks?as_of={head}")["tasks"]
        assert past == client.ok("GET", "/api/tasks")["tasks"]
        taken = [claimed(client, f"s{number}") for number in range(5)]
        assert strange not in taken
        assert [bool(each) for each in taken] == [True] * 4 + [False]
        assert {each["state"] for each in client.ok("GET", "/api/projections")["projections"]} == {
            "live"
        }


def test_a_rebuild_that_an_event_stops_says_so_and_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        strange = server.client.create(title="strange")["id"]
        sequence = server.services.ledger.head + 1
    append(tmp_path, f"task:{strange}", "task.of_tomorrow")

    with serving(tmp_path) as server:
        client = server.client
        client.ok("POST", "/api/projections/tasks/rebuild", status=202)
        stopped = finished(client, "tasks")["rebuild_failure"]
        assert (stopped["sequence"], stopped["event_type"]) == (sequence, "task.of_tomorrow")
        assert f"projections skip tasks --sequence {sequence} --reason" in stopped["advice"]
        (notice,) = client.ok("GET", "/readyz")["notices"]
        assert notice.startswith("the rebuild of tasks stopped: ")

        body = {"sequence": sequence, "reason": "only a test"}
        client.ok("POST", "/api/projections/tasks/skip", body)
        advice = status(client, "tasks")["rebuild_failure"]["advice"]
        assert advice.endswith("begin again: taskledger projections rebuild tasks")
        client.ok("POST", "/api/projections/tasks/rebuild", status=202)
        assert finished(client, "tasks")["last"]["end"] == "done"
        assert client.ok("GET", "/readyz")["notices"] == []


def claimed(client: Client, session_id: str) -> str:
    """Return the task of the next run, empty when there is none."""
    agent = client.agent(session_id)
    answer = agent.post("/api/agent/tasks/claim-next", {"lease_seconds": 600})
    return answer.json()["claim"]["task"]["id"] if answer.status_code == 200 else ""


def append(folder: Path, stream: str, kind: str) -> None:
    """Write an event as a newer release would, with its read models in step."""
    with closing(Ledger(environment_of(place_in(folder)))) as ledger:
        connection = ledger.writer.begin()
        versions = "SELECT max(originator_version) FROM stored_events WHERE originator_id=?"
        version = connection.execute(versions, (stream,)).fetchone()[0]
        state = b'{"schema_version":1,"recorded_at":1700000000000000}'
        row = (ledger.head + 1, stream, version + 1, kind, state)
        connection.execute("INSERT INTO stored_events VALUES (?,?,?,?,?)", row)
        connection.execute("UPDATE tracking SET notification_id=?", (ledger.head + 1,))
        ledger.writer.commit()


def test_outcomes_are_told_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        work(server.client, 3)
        server.client.ok("POST", "/api/projections/runs/rebuild", status=202)
        assert finished(server.client, "runs")["last"]["end"] == "done"
        body = {"dry_run": True}
        server.client.ok("POST", "/api/projections/tasks/rebuild", body, status=202)
        finished(server.client, "tasks")
        assert until(lambda: ops(server.client))[-1]["event_type"] == "ops.projection_compared"

    with serving(tmp_path) as server:
        last = status(server.client, "runs")["last"]
        assert (last["work"], last["end"], bool(last["digest"])) == ("rebuild", "done", True)
        last = status(server.client, "tasks")["last"]
        assert (last["work"], last["end"]) == ("check", "done")


@pytest.mark.parametrize("reports", [0, 1, 2])
def test_a_server_finishes_the_rebuild_that_a_crash_has_interrupted(
    tmp_path: Path, reports: int
) -> None:
    with serving(tmp_path) as server:
        work(server.client, 300)
    interrupt(tmp_path, reports)

    with serving(tmp_path) as server:
        found = until(lambda: (now_ := finished(server.client, "runs")).get("last") and now_)
        assert found["last"]["end"] == "done"
    prove(place_in(tmp_path))


def interrupt(folder: Path, reports: int) -> None:
    """Leave a rebuild behind that was stopped after so many reports."""
    told: list[object] = []
    ledger = Ledger(environment_of(place_in(folder)))
    try:
        shop = Workshop(
            ledger,
            next(each for each in PROJECTORS if each.name == "runs"),
            now,
            report=told.append,
            stopping=lambda: len(told) >= reports and shop.standing().rebuild is not None,
        )
        with pytest.raises(CanceledError):
            shop.rebuild()
    finally:
        ledger.close()
