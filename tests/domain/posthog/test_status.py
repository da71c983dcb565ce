"""The ways between the statuses of PostHog, through everything in between."""

import pytest

from domain.commands import ClaimNext, ExpireLeases, StartRun
from domain.errors import InvalidTransitionError, RunNotFoundError
from domain.events import RunClaimed, RunReleased, RunRequeued, RunStarted, RunStarting
from domain.posthog.commands import SetPosthogOutput, StartPosthogRun
from domain.posthog.status import shown_status
from domain.task.state import TaskState
from domain.values import Actor
from tests.domain.posthog.scenes import RUN, WORKSPACE, change, definition, new_run, types
from tests.support.spec import HUMAN, NOW, Spec, Step, given
from tests.support.steps import json

MINUTE = 60_000_000
QUEUED = ["task.published", "task.run_enqueued"]
RUNNING = ["task.run_claimed", "task.run_starting", "task.run_started"]
STEPS = {
    ("not_started", "queued"): QUEUED,
    ("not_started", "in_progress"): [*QUEUED, *RUNNING],
    ("not_started", "completed"): [*QUEUED, *RUNNING, "task.run_completed"],
    ("not_started", "failed"): [*QUEUED, *RUNNING, "task.run_failed"],
    ("not_started", "cancelled"): ["task.canceled"],
    ("queued", "in_progress"): RUNNING,
    ("queued", "cancelled"): ["task.run_canceled", "task.canceled"],
    ("in_progress", "queued"): ["task.run_released"],
    ("in_progress", "completed"): ["task.run_completed"],
    ("in_progress", "cancelled"): ["task.run_canceled", "task.canceled"],
}


def scene(status: str) -> Spec:
    return given(WORKSPACE, definition(), new_run(status=status))


def shown(spec: Spec) -> str:
    state = spec.world.state("task:task-1")
    assert isinstance(state, TaskState)
    return shown_status(state)


def leased(*, started: bool = False) -> Spec:
    """Return a queued run that an agent has claimed for five minutes."""
    claim = ClaimNext(
        session_id="s1",
        agent_name="coder",
        header_workspace_id="w1",
        claim_token_hash="sha256:aa",
        lease_seconds=300,
    )
    spec = scene("queued").given(Step(command=claim, actor=Actor("agent_session", "s1")))
    return spec.given(StartRun(run_id="run-1")) if started else spec


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_each_step_is_an_event_of_one_command(before: str, after: str) -> None:
    spec = scene(before).when(change(status=after))

    assert types(spec) == STEPS[before, after]
    assert shown(spec) == after


def test_the_caller_works_on_a_run_without_any_session() -> None:
    scene("queued").when(change(status="in_progress")).then(
        RunClaimed(status="claimed", task_status="ready", claimed_by=HUMAN, lease_until=0),
        RunStarting(status="starting", task_status="in_progress"),
        RunStarted(status="running", task_status="in_progress"),
    )


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_what_has_ended_stays_so(status: str) -> None:
    spec = scene(status)
    spec.when(change(status=status)).then_nothing()
    spec.when(change(status="queued", stage="x")).then_refused(InvalidTransitionError, "final")
    spec.when(StartPosthogRun(**RUN)).then_refused(InvalidTransitionError)
    done = SetPosthogOutput(**RUN, output=json("{}"), completes=True)
    if status != "completed":
        spec.when(done).then_refused(InvalidTransitionError)


def test_what_was_queued_is_not_unqueued() -> None:
    spec = scene("queued").when(change(status="not_started"))
    spec.then_refused(InvalidTransitionError, "not_started again")


def test_a_failure_says_why() -> None:
    spec = scene("in_progress").given(change(status="failed", error_message="no disk"))
    assert spec.world.run("run-1").error == "no disk"
    spec = given(WORKSPACE, definition(), new_run(status="failed", error_message="x" * 70_000))
    assert spec.world.run("run-1").error == "x" * 65_536
    assert scene("failed").world.run("run-1").error == "failed"


def test_what_a_worker_has_claimed_shows_as_queued_and_can_be_ended_for_it() -> None:
    spec = leased()
    assert shown(spec) == "queued"
    spec.when(change(status="queued")).then_nothing()
    spec.when(change(status="completed"))
    assert types(spec) == ["task.run_starting", "task.run_started", "task.run_completed"]
    assert spec.world.run("run-1").session_id == "s1"


def test_a_run_is_taken_from_a_worker_when_it_is_queued_again() -> None:
    leased(started=True).when(change(status="queued")).then(
        RunReleased(
            previous_status="running",
            status="queued",
            task_status="ready",
            session_id="s1",
            manual=True,
            actor_kind="human",
            actor_id="local-user",
            previous_session_id="s1",
            previous_lease_until=NOW + 5 * MINUTE,
        )
    )


def needing_attention() -> Spec:
    spec = leased(started=True)
    spec.policy = type(spec.policy)(max_lease_expiries=1)
    return spec.given(Step(command=ExpireLeases(reason="late"), at=NOW + 6 * MINUTE))


def test_a_run_that_needs_attention_shows_as_in_progress_until_somebody_decides() -> None:
    spec = needing_attention()
    assert shown(spec) == "in_progress"
    spec.when(change(status="in_progress")).then_nothing()
    spec.when(change(status="queued")).then(
        RunRequeued(
            manual=True,
            actor_kind="human",
            actor_id="local-user",
            previous_status="needs_attention",
            status="queued",
            task_status="ready",
        )
    )
    spec = needing_attention().when(change(status="completed"))
    assert types(spec) == ["task.run_requeued", *RUNNING, "task.run_completed"]


def test_starting_queues_a_run_once() -> None:
    spec = scene("not_started").when(StartPosthogRun(**RUN))
    assert types(spec) == QUEUED
    spec.when(StartPosthogRun(**RUN)).then_nothing()
    spec.given(change(status="in_progress")).when(StartPosthogRun(**RUN)).then_nothing()


def test_a_run_is_found_under_its_own_task_alone() -> None:
    spec = scene("queued").given(definition(posthog_task_id="p2"))
    spec.when(change(posthog_task_id="p2", stage="x")).then_refused(RunNotFoundError)
    spec.when(change(posthog_run_id="none", stage="x")).then_refused(RunNotFoundError)
