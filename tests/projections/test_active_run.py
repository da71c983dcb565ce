"""Which run of a task is shown as its active one."""

from msgspec.structs import replace

from domain.task.state import Run, Task, TaskState
from domain.values import LOCAL_USER, Origin
from projections.tasks import active_run

HTTP = Origin("http", "test")
TASK = Task(
    id="t",
    scope="global",
    title="t",
    status="ready",
    created_by=LOCAL_USER,
    origin=HTTP,
    created_at=1,
    updated_at=1,
)
QUEUED = Run(id="a", task_id="t", status="queued", attempt=1, origin=HTTP, queued_at=5)


def active_of(*runs: Run) -> str:
    state = TaskState(task=TASK, runs={run.id: run for run in runs}, version=1)
    run = active_run(state)
    return run.id if run else ""


def test_a_task_without_an_open_run_has_none() -> None:
    assert active_of() == active_of(replace(QUEUED, status="completed")) == ""


def test_the_only_open_run_is_active() -> None:
    assert active_of(QUEUED, replace(QUEUED, id="b", status="failed")) == "a"


def test_of_several_the_furthest_is_active_then_the_latest_then_the_largest_id() -> None:
    running = replace(QUEUED, id="b", status="running", queued_at=1)
    assert active_of(QUEUED, running) == "b"
    assert active_of(QUEUED, replace(QUEUED, id="b", queued_at=4)) == "a"
    assert active_of(QUEUED, replace(QUEUED, id="b")) == "b"
