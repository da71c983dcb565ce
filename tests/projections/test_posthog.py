"""The read models of the PostHog Tasks API: what their lists ask the store, and the merging."""

import pytest

from domain.commands import RegisterWorkspace
from domain.decide import decide
from domain.posthog.commands import CreatePosthogRun, CreatePosthogTask
from domain.values import NO_JSON, Actor, Json
from projections.posthog import queries
from projections.posthog.projector import merged, without
from projections.posthog.queries import PosthogFilters
from projections.posthog.rows import number_of
from tests.projections.support import Ledger

ANN = Actor("human", "ann")


@pytest.fixture(name="filled")
def _filled(ledger: Ledger) -> Ledger:
    """Three definitions, of which the first has two runs."""
    ledger.step(lambda plan: decide(RegisterWorkspace(workspace_id="w1"), plan))
    for name, repository in (("p1", "a/x"), ("p2", "b/x"), ("p3", "")):
        made = CreatePosthogTask(posthog_task_id=name, workspace_id="w1", repository=repository)
        ledger.step(lambda plan, made=made: decide(made, plan), ANN)  # type: ignore[misc]
    for stage in ("build", "test"):
        run = CreatePosthogRun(workspace_id="w1", posthog_task_id="p1", stage=stage)
        ledger.step(lambda plan, run=run: decide(run, plan))  # type: ignore[misc]
    return ledger


def listed(ledger: Ledger, **filters: object) -> list[str]:
    wanted = PosthogFilters(workspace_id="w1", **filters)  # type: ignore[arg-type]
    count, found = queries.posthog_tasks(ledger.store, wanted, 10, 0)
    assert count == len(found)
    return [task.id for task in found]


def test_definitions_are_found_by_what_they_are(filled: Ledger) -> None:
    assert listed(filled) == ["p3", "p2", "p1"]
    assert listed(filled, origin_product="user_created") == ["p3", "p2", "p1"]
    assert listed(filled, repository="X") == ["p2", "p1"]
    assert listed(filled, repository="A/x") == ["p1"]
    assert listed(filled, repository="a/") == []
    assert listed(filled, organization="B") == ["p2"]
    assert listed(filled, stage="build") == ["p1"]
    assert listed(filled, creator=number_of(ANN)) == ["p3", "p2", "p1"]
    assert listed(filled, creator=0) == []
    assert queries.posthog_task(filled.store, "none") is None


def test_pages_and_newest_runs_are_read_from_indexes(filled: Ledger) -> None:
    filled.store.selects.clear()
    queries.posthog_tasks(filled.store, PosthogFilters(workspace_id="w1"), 10, 0)
    newest = queries.latest_runs(filled.store, ["p1", "p2"])
    count, runs = queries.posthog_runs(filled.store, "p1", 1, 1)

    assert list(newest) == ["p1"]
    assert (newest["p1"].stage, count, [run.stage for run in runs]) == ("test", 2, ["build"])
    found = queries.posthog_run(filled.store, "p1", runs[0].id)
    assert found == runs[0]
    assert queries.posthog_run(filled.store, "p2", runs[0].id) is None
    for statement in filled.store.selects:
        plan = filled.store.plan_of(statement, ("x",) * statement.count("?"))
        assert "SCAN" not in plan
        assert "TEMP B-TREE" not in plan


def test_manifests_are_empty_at_first(filled: Ledger) -> None:
    assert queries.artifacts(filled.store, ["r1"]) == {"r1": []}
    assert queries.artifact_at(filled.store, "r1", "x") is None


def test_objects_are_merged_and_anything_else_is_replaced() -> None:
    first, second = Json(b'{"a":1,"b":2}'), Json(b'{"b":3,"c":4}')

    assert bytes(merged(first, second)) == b'{"a":1,"b":3,"c":4}'
    assert merged(first, Json(b"[1]")) == Json(b"[1]")
    assert merged(NO_JSON, second) == second
    assert merged(first, NO_JSON) == first
    assert bytes(without(first, ("a", "x"))) == b'{"b":2}'
    assert without(first, ()) is first
    assert bytes(without(Json(b"[1]"), ("a",))) == b"[1]"
