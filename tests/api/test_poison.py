"""An event that a projector cannot take, and a rebuild that a crash has interrupted."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from api.server import listen
from api.services import build, now
from api.settings import Settings
from domain.world import Change
from projections.catalog import PROJECTORS
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


FRAIL: tuple[Projector, ...] = tuple(
    FrailRuns() if each.name == "runs" else each for each in PROJECTORS
)


def test_a_poison_event_stops_one_read_model_and_nothing_else(tmp_path: Path) -> None:
    settings = Settings(port=0, store=place_in(tmp_path))
    with listen(settings) as listener:
        port = listener.getsockname()[1]
        services = build(replace(settings, port=port), projectors=FRAIL)
        with LiveServer(services).running(listener) as server:
            client = server.client
            work(client, 2)
            poisoned = client.create(title="poison")
            work(client, 2)

            found = check_detached(client)
            assert found["failure"]["error"] == "ArithmeticError: a poisonous title"
            tasks = client.ok("GET", "/api/tasks")["tasks"]
            assert poisoned["id"] in [task["id"] for task in tasks]
            sequence = found["failure"]["sequence"]
            body = {"sequence": sequence, "reason": "only a test"}
            client.ok("POST", "/api/projections/runs/skip", body)
            assert finished(client, "runs")["state"] == "live"
            work(client, 1)

    # The event that is passed over has no run, so the rows are those of any rebuild.
    prove(place_in(tmp_path))


def check_detached(client: Client) -> dict[str, dict[str, object]]:
    found = status(client, "runs")
    assert found["state"] == "detached"
    assert found["failure"]["event_type"] == "task.created"
    assert found["position"] < found["failure"]["sequence"] < found["head"]
    assert "taskledger projections skip runs" in found["failure"]["advice"]
    kinds = until(lambda: [item["event_type"] for item in ops(client)])
    assert kinds == ["ops.projection_detached"]
    return found


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
