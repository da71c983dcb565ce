"""Executing Ona tasks: the plan, how the root follows its steps, and stopping."""

from itertools import count
from typing import Any

import msgspec
import pytest

from domain import commands as c
from domain import events as e
from domain.errors import (
    GraphLimitError,
    InvalidTransitionError,
    RunNotFoundError,
    ValidationError,
)
from domain.force_commands import ForceFailRun, ReleaseRun, RetryRun
from domain.ona.commands import DeleteOnaTask, StopOnaExecution, UpdateOnaTask
from domain.ona.executions import EXTENSION
from domain.ona.values import TaskSpec
from domain.task.state import Run, TaskState, latest_run
from domain.uuids import uuid_of
from domain.values import Actor, Owner
from tests.support.ona import ENVIRONMENT, define, ona_id, start
from tests.support.spec import Past, Spec, given, on

ROOT = "task-1"
_leases = count(1)


def tree(spec: Spec, task_id: str) -> TaskState:
    state = spec.world.states[f"task:{task_id}"]
    assert isinstance(state, TaskState)
    return state


def run_of(spec: Spec, task_id: str) -> Run:
    run = latest_run(tree(spec, task_id).runs.values())
    assert run is not None
    return run


def chain(*, parallel: int = 1) -> Spec:
    """Start a task that depends on `parallel` others: steps task-2 … and at last the task."""
    firsts = [define(f"first-{number}") for number in range(parallel)]
    last = define("last", *(ona_id(number + 1) for number in range(parallel)))
    return given(*firsts, last, start(parallel + 1))


def claim(spec: Spec) -> str:
    """Let a new session claim the next step and start it; return the run's id."""
    number = next(_leases)
    spec.given(
        c.ClaimNext(
            session_id=f"s{number}",
            agent_name="coder",
            workspace_id=ENVIRONMENT,
            claim_token_hash=f"sha256:{number}",
        )
    )
    return spec.reply.run_id


def begin(spec: Spec) -> str:
    run_id = claim(spec)
    spec.given(c.StartRun(run_id=run_id))
    return run_id


def session_of(spec: Spec, run_id: str) -> str:
    return spec.world.run(run_id).session_id


def complete(spec: Spec, run_id: str, result: str = "{}") -> None:
    report = c.CompleteLease(
        run_id=run_id, session_id=session_of(spec, run_id), result=msgspec.Raw(result.encode())
    )
    spec.given(report)


def fail(spec: Spec, run_id: str) -> None:
    spec.given(c.FailLease(run_id=run_id, session_id=session_of(spec, run_id), error="broken"))


def stop(root_id: str = ROOT) -> StopOnaExecution:
    return StopOnaExecution(execution_id=uuid_of(root_id))


def metadata(spec: Spec, task_id: str) -> Any:
    return msgspec.json.decode(tree(spec, task_id).task.metadata)


def test_an_execution_is_a_task_held_by_the_extension_with_a_child_for_each_step() -> None:
    spec = chain()

    root, first, last = (tree(spec, f"task-{number}") for number in (1, 2, 3))
    assert spec.reply == c.Reply(task_id=ROOT)
    assert spec.statuses == {"task-1": "ready", "task-2": "ready", "task-3": "blocked"}
    assert root.task.children == ("task-2", "task-3")
    assert (root.task.title, root.task.identifier, root.task.facade) == ("LAST", "last", "ona")
    assert (root.task.owner, run_of(spec, ROOT).claimed_by) == (
        Owner("extension", "ona"),
        EXTENSION,
    )
    assert [edge.depends_on_task_id for edge in last.task.dependencies] == ["task-2"]
    assert run_of(spec, "task-2").status == "queued"
    assert not last.runs
    assert (first.task.ancestors, first.task.max_attempts) == ((ROOT,), 1)


def test_a_step_carries_what_its_worker_needs() -> None:
    spec = given(define("a"), define("b", ona_id(1), spec=TaskSpec(command="make")), start(2))

    assert metadata(spec, ROOT) == {
        "ona": {"task_id": ona_id(2), "reference": "b", "started_by": "manual"}
    }
    # Without a command there is an empty one, which does nothing.
    assert metadata(spec, "task-2") == {
        "command": "",
        "ona": {"task_id": ona_id(1), "group": 0},
    }
    assert metadata(spec, "task-3") == {
        "command": "make",
        "ona": {"task_id": ona_id(2), "group": 1, "depends_on": ["task-2"]},
    }


def test_a_step_is_called_by_name_reference_or_id() -> None:
    names = []
    for name, reference in (("N", "r"), (" ", "r"), (" ", "")):
        spec = given(define(reference, name=name, named=bool(reference)), start(1))
        names.append(tree(spec, ROOT).task.title)
    assert names == ["N", "r", ona_id(1)]


def test_groups_are_layers_of_the_dependencies_and_each_waits_for_the_one_before() -> None:
    a, b, d = ona_id(1), ona_id(2), ona_id(4)
    spec = given(
        define("a"), define("b", a), define("c"), define("d", b, ona_id(3)), define("e", a, d)
    ).given(start(5))

    groups: dict[int, list[str]] = {}
    for step_id in tree(spec, ROOT).task.children:
        groups.setdefault(metadata(spec, step_id)["ona"]["group"], []).append(step_id)
    names = [[tree(spec, each).task.identifier for each in group] for group in groups.values()]
    assert names == [["a", "c"], ["b"], ["d"], ["e"]]
    for number in (1, 2, 3):
        for step_id in groups[number]:
            edges = [edge.depends_on_task_id for edge in tree(spec, step_id).task.dependencies]
            assert edges == groups[number - 1]


def test_a_plan_of_more_steps_than_children_are_allowed_is_refused() -> None:
    spec = given(*(define(f"t{number}") for number in range(64)))
    halves = [[ona_id(each) for each in range(start, start + 32)] for start in (1, 33)]
    spec.given(
        define("x", *halves[0]), define("y", *halves[1]), define("z", ona_id(65), ona_id(66))
    )
    spec.when(start(67)).then_refused(GraphLimitError, "has 67 steps, at most 64")
    spec.given(start(65))
    assert len(tree(spec, ROOT).task.children) == 33


def test_a_plan_is_a_copy() -> None:
    spec = chain()
    spec.given(UpdateOnaTask(ona_task_id=ona_id(1), command="other"))
    assert metadata(spec, "task-2")["command"] == ""


def test_the_root_runs_from_the_first_start_to_the_last_end() -> None:
    spec = chain()
    first = begin(spec)
    assert run_of(spec, ROOT).status == "running"
    assert spec.facts[-1] == e.RunStarted(status="running", task_status="in_progress")

    complete(spec, first)
    assert spec.statuses == {"task-1": "in_progress", "task-2": "completed", "task-3": "ready"}

    complete(spec, begin(spec))
    assert run_of(spec, ROOT).status == "completed"
    assert set(spec.statuses.values()) == {"completed"}


def test_the_root_runs_also_when_steps_end_without_having_been_started() -> None:
    spec = chain()
    complete(spec, claim(spec))
    assert run_of(spec, ROOT).status == "running"


def test_a_failure_ends_later_groups_and_lets_those_beside_it_go_on() -> None:
    spec = chain(parallel=2)
    first, second = begin(spec), begin(spec)

    fail(spec, first)
    assert spec.statuses == {
        "task-1": "in_progress",
        "task-2": "failed",
        "task-3": "in_progress",
        "task-4": "canceled",
    }
    complete(spec, second)
    root = run_of(spec, ROOT)
    assert (root.status, root.error) == ("failed", 'step "FIRST-0" failed: broken')
    assert spec.recorded[-1].causation_id == spec.recorded[0].event_id


def test_a_step_canceled_by_itself_cancels_the_execution() -> None:
    spec = chain()
    spec.given(c.CancelRun(run_id=run_of(spec, "task-2").id))
    assert set(spec.statuses.values()) == {"canceled"}
    assert run_of(spec, ROOT).status == "canceled"


def test_a_deleted_step_is_waited_for_no_longer() -> None:
    spec = chain(parallel=2)
    spec.given(c.CancelTask(task_id="task-2"))
    assert spec.statuses["task-4"] == "canceled"
    complete(spec, begin(spec))
    assert run_of(spec, ROOT).status == "canceled"
    spec.given(c.DeleteTask(task_id="task-4"))


def test_a_stop_cancels_at_once_whatever_runs() -> None:
    spec = chain()
    run_id = begin(spec)
    spec.when(stop())
    assert set(spec.statuses.values()) == {"canceled"}
    assert spec.world.run(run_id).status == "canceled"
    spec.when(stop()).then()


def test_a_finished_execution_cannot_be_stopped() -> None:
    spec = given(define("a"), start(1))
    complete(spec, claim(spec))
    spec.when(stop()).then()


def test_an_execution_whose_task_is_gone_needs_no_stop() -> None:
    spec = given(define("a"), start(1))
    complete(spec, claim(spec))
    spec.given(c.DeleteTask(task_id="task-2"), c.DeleteTask(task_id=ROOT))
    spec.when(stop(), checked=False).then()


def test_an_unknown_execution_cannot_be_stopped() -> None:
    given().when(stop()).then_refused(RunNotFoundError, f'task execution "{uuid_of(ROOT)}"')
    given().when(StopOnaExecution(execution_id="x")).then_refused(ValidationError, "id must be")


def test_deleting_a_task_stops_its_open_executions() -> None:
    spec = given(define("a"), start(1), start(1))
    complete(spec, claim(spec))
    spec.given(DeleteOnaTask(ona_task_id=ona_id(1)))
    assert [run_of(spec, each).status for each in ("task-1", "task-3")] == [
        "completed",
        "canceled",
    ]


@pytest.mark.parametrize(
    "ending",
    [
        lambda run_id: c.CancelRun(run_id=run_id),
        lambda run_id: ForceFailRun(run_id=run_id, reason="by hand"),
    ],
)
def test_an_execution_that_somebody_ends_by_hand_takes_its_steps_along(ending: Any) -> None:
    spec = chain()
    spec.given(ending(run_of(spec, ROOT).id))
    assert {spec.statuses[each] for each in ("task-2", "task-3")} == {"canceled"}


def test_a_step_retried_after_the_end_changes_nothing_of_the_execution() -> None:
    spec = chain()
    fail(spec, begin(spec))
    assert run_of(spec, ROOT).status == "failed"
    retry = RetryRun(run_id=run_of(spec, "task-2").id)
    spec.when(retry).then_refused(InvalidTransitionError, "exhausted max_attempts=1")
    spec.given(c.UpdateTask(task_id="task-2", max_attempts=2), retry)
    complete(spec, begin(spec))
    assert spec.statuses == {"task-1": "failed", "task-2": "completed", "task-3": "canceled"}


def test_a_root_whose_run_was_put_back_still_follows_its_steps() -> None:
    spec = chain()
    spec.given(ReleaseRun(run_id=run_of(spec, ROOT).id, reason="by hand"))
    begin(spec)
    assert run_of(spec, ROOT).status == "running"


def test_other_tasks_below_an_execution_are_no_steps() -> None:
    spec = given(define("a"), start(1))
    extra = c.CreateTask(
        id="extra", parent_task_id=ROOT, scope="workspace", workspace=ENVIRONMENT, title="x"
    )
    spec.given(extra)
    complete(spec, claim(spec))
    assert run_of(spec, ROOT).status == "completed"


def test_a_step_whose_root_is_gone_follows_nobody() -> None:
    deleted = on(ROOT, e.TaskDeleted(status="ready"))
    spec = chain()
    run_id = claim(spec)
    spec.given(Past(deleted.stream, deleted.fact))
    report = c.CompleteLease(run_id=run_id, session_id=session_of(spec, run_id))
    spec.when(report, checked=False)
    assert not [past for past in spec.recorded if past.task_id == ROOT]


def test_steps_belong_to_whoever_started_them() -> None:
    agent = Actor("automation", "nightly")
    spec = given(define("a")).when(start(1), actor=agent)
    assert tree(spec, "task-2").task.created_by == agent
