"""App versions and operations as rows: what waits, what is listed, what is found."""

from typing import Any

import pytest

from domain import events as core
from domain.tempest import events as e
from domain.tempest.state import app_stream, operation_stream
from domain.tempest.values import HealthReport, ResourceDefinition, Variable, actor_of
from domain.values import Actor, Json, Owner
from projections.queries import tempest as queries
from projections.queries.tempest import OperationFilters
from projections.tempest import APPS, OPERATIONS, REQUESTS
from tests.projections.support import Ledger

OWNER = actor_of("store", "v1").ref
ANN = Actor("human", "ann")
BUCKET = ResourceDefinition(
    type="bucket",
    display_name="Bucket",
    description="",
    lifecycle_stage="other",
    list_supported=True,
)


def connect(ledger: Ledger, version: str = "v1", workspace: str = "") -> None:
    fact = e.TempestVersionConnected(
        app_id="store", version=version, workspace_id=workspace, resources=(BUCKET,)
    )
    ledger.step(lambda plan: plan.emit(app_stream("store", version), fact))


def asked(**more: Any) -> e.TempestOperationQueued:
    given = {
        "app_id": "store",
        "version": "v1",
        "request_type": "execute_resource_operation",
        "operation": "create",
        "resource_type": "bucket",
        "requested_by": ANN,
        "page": 1,
        "request": Json(b"{}"),
        **more,
    }
    return e.TempestOperationQueued(**given)


def ask(ledger: Ledger, number: int, workspace: str = "", version: str = "v1", **more: Any) -> None:
    """Queue operation `t<number>` with run `r<number>`."""
    task_id = f"t{number}"
    owner = Owner("extension", actor_of("store", version).ref)
    ledger.create(task_id, workspace=workspace, owner=owner, facade="tempest", **more)
    fact = asked(workspace_id=workspace, version=version)
    stream = operation_stream(task_id)
    ledger.step(lambda plan: plan.emit(stream, fact, task_id=task_id))
    ledger.enqueue(task_id, f"r{number}")


def waiting(ledger: Ledger, ref: str = OWNER) -> list[str]:
    return [run_id for _, run_id in ledger.tempest_operations(ref)]


def test_what_waits_is_found_in_order() -> None:
    ledger = Ledger()
    for number in range(12):
        ask(ledger, number, priority="urgent" if number == 11 else "medium")
    ask(ledger, 20, version="v2")
    assert waiting(ledger) == ["r11", *(f"r{number}" for number in range(11))]
    assert waiting(ledger, actor_of("store", "v2").ref) == ["r20"]
    plan = ledger.store.plan_of(
        "SELECT run_id FROM tempest_operations WHERE claimable = 1 AND owner = ?"
        " AND (rank, queued_at, run_id) > (?, ?, ?) ORDER BY rank, queued_at, run_id LIMIT 8",
        ("", 0, 0, ""),
    )
    assert "tempest_operations_claim" in plan
    assert "TEMP B-TREE" not in plan


def test_what_is_claimed_paused_given_away_or_held_back_does_not_wait() -> None:
    ledger = Ledger()
    for number in range(5):
        ask(ledger, number)
    ledger.claim("r0")
    ledger.pause("t1")
    owned = core.TaskUpdated(changed_fields=("owner",), status="ready", owner=Owner("human", "ann"))
    ledger.emit("t2", owned)
    ledger.emit("t3", core.TaskUpdated(changed_fields=("owner",), status="ready", owner=None))
    assert waiting(ledger) == ["r4"]
    ledger.emit(
        "t4",
        core.TaskStatusChanged(
            previous_status="ready", status="blocked", cause_event_id="e", cause_task_id="t9"
        ),
    )
    assert waiting(ledger) == []
    ledger.release("r0")
    ledger.resume("t1")
    assert waiting(ledger) == ["r0", "r1"]


def test_a_later_attempt_takes_the_place_of_the_first() -> None:
    ledger = Ledger()
    ask(ledger, 1, max_attempts=2)
    ledger.claim("r1")
    ledger.run_fact("r1", core.RunFailed, "failed", "ready", error="no")
    ledger.enqueue("t1", "r2")
    assert waiting(ledger) == ["r2"]
    found = queries.operation_of(ledger.store, "t1")
    assert found is not None
    assert (found.run_id, found.status) == ("r2", "queued")


def test_no_session_waits_for_an_operation_and_it_starves_nobody() -> None:
    ledger = Ledger()
    ask(ledger, 1)
    assert ledger.waiting_runs(ledger.now, 10) == []
    ledger.create("t9", owner=Owner("extension", "other"))
    ledger.enqueue("t9", "r9")
    assert ledger.waiting_runs(ledger.now, 10) == [("t9", "r9")]


def test_the_lease_of_an_app_runs_out_without_a_session() -> None:
    ledger = Ledger()
    ask(ledger, 1)
    claimed = core.RunClaimed(
        status="claimed",
        task_status="ready",
        claimed_by=actor_of("store", "v1"),
        claim_token_hash="sha256:1",
        lease_until=ledger.now + 5,
    )
    ledger.emit("t1", claimed, "r1")
    assert ledger.expired_leases(claimed.lease_until - 1, 1) == []
    assert ledger.expired_leases(claimed.lease_until, 1) == [("t1", "r1")]


def test_tasks_of_the_task_api_leave_no_rows() -> None:
    ledger = Ledger()
    ledger.create("t1", owner=Owner("extension", OWNER))
    ledger.enqueue("t1", "r1")
    assert ledger.store.rows(OPERATIONS) == []
    assert waiting(ledger) == []


def test_a_deleted_operation_is_gone() -> None:
    ledger = Ledger()
    ask(ledger, 1)
    ledger.delete("t1")
    assert ledger.store.rows(OPERATIONS) == ledger.store.rows(REQUESTS) == []
    assert queries.operation_of(ledger.store, "t1") is None
    assert queries.request_of_task(ledger.store, "t1") is None


def test_apps_are_listed_by_name() -> None:
    ledger = Ledger()
    connect(ledger, "v2", "w1")
    connect(ledger)
    connect(ledger, "v3", "w2")
    report = HealthReport(type="bucket", status="degraded", message="slow")
    ill = e.TempestHealthReported(app_id="store", version="v1", reports=(report,))
    ledger.step(lambda plan: plan.emit(app_stream("store", "v1"), ill))
    assert len(ledger.store.rows(APPS)) == 3
    assert [app.version for app in queries.apps(ledger.store)] == ["v1", "v2", "v3"]
    assert [app.version for app in queries.apps(ledger.store, "w1")] == ["v1", "v2"]
    found = queries.app_of(ledger.store, "store", "v1")
    assert found is not None
    assert [(each.status, each.message) for each in found.health] == [("degraded", "slow")]
    assert [(each.type, each.operations) for each in found.resource_types] == [
        ("bucket", ("list",))
    ]
    assert queries.app_of(ledger.store, "store", "v9") is None


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (OperationFilters(), [4, 3, 2, 1]),
        (OperationFilters(app_id="store", version="v2"), [4]),
        (OperationFilters(workspace_id="w1"), [3]),
        (OperationFilters(status="queued"), [4, 3, 2]),
        (OperationFilters(before="t3"), [2, 1]),
        (OperationFilters(app_id="other"), []),
    ],
)
def test_operations_are_listed_the_last_first(
    filters: OperationFilters, numbers: list[int]
) -> None:
    ledger = Ledger()
    ask(ledger, 1)
    ask(ledger, 2)
    ask(ledger, 3, workspace="w1", priority="high")
    ask(ledger, 4, version="v2")
    ledger.claim("r1")
    found = queries.operations(ledger.store, filters, 10)
    assert [each.task_id for each in found] == [f"t{number}" for number in numbers]
    assert queries.operations(ledger.store, filters, 1) == found[:1]


def test_an_operation_tells_what_it_asks_without_values() -> None:
    ledger = Ledger()
    ask(ledger, 1, priority="low")
    fact = asked(environment=(Variable(name="A", type="secret"),), secret_id="sec-1")
    stream = operation_stream("t1")
    ledger.step(lambda plan: plan.emit(stream, fact, task_id="t1"))
    found = queries.operation_of(ledger.store, "t1")
    assert found is not None
    assert (found.priority, found.requested_by, found.operation) == ("low", ANN, "create")
    assert [(each.name, each.type) for each in found.environment_variables] == [("A", "secret")]
    of_run = queries.operation_of_run(ledger.store, "r1")
    assert of_run is not None
    assert of_run.secret_id == "sec-1"
    assert queries.operation_of_run(ledger.store, "r9") is None
