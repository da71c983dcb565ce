"""Starting a run and attaching a session to it."""

from typing import Any

import pytest

from domain import errors
from domain.commands import (
    AttachSession,
    ClaimRun,
    Command,
    StartRun,
    StopSession,
    UpdateTask,
)
from domain.events import (
    RunRejected,
    RunSessionBound,
    RunStarted,
    RunStarting,
)
from domain.instants import SECOND
from tests.domain.runs import ATTACH, CANCEL, CLAIM, START, in_status
from tests.support.spec import NOW, Spec, given, on
from tests.support.steps import (
    agent,
    claim_next,
    leased,
    queued,
    session,
    task,
    workspace,
    workspace_task,
)

TRANSITION = errors.InvalidTransitionError


def test_a_start_records_three_facts() -> None:
    spec = in_status("claimed").when(START, at=NOW + SECOND)
    state: dict[str, Any] = {"task_status": "in_progress"}
    spec.then(
        on("t1", RunStarting(status="starting", **state), "r1"),
        on("t1", RunSessionBound(status="starting", session_id="sess-1", **state), "r1"),
        on("t1", RunStarted(status="running", session_id="sess-1", **state), "r1"),
    )
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", status="running", session_id="sess-1", started_at=NOW + SECOND)
    spec.then_task("t1", status="in_progress", current_run_id="r1")


def test_a_start_takes_the_given_session() -> None:
    spec = in_status("claimed").when(StartRun(run_id="r1", session_id=" mine "))
    spec.then_run("r1", session_id="mine")


def test_an_agent_starts_in_its_own_session() -> None:
    start = StartRun(run_id="r1", idempotency_key="k")
    in_status("claimed").when(agent("s1", start)).then_run("r1", session_id="s1")


def test_a_starting_run_goes_on_in_its_session() -> None:
    spec = in_status("starting").when(START)
    spec.then(RunStarted(status="running", task_status="in_progress", session_id="s1"))


def test_a_bound_session_is_not_swapped_by_a_start() -> None:
    spec = in_status("starting").when(StartRun(run_id="r1", session_id="s2"))
    spec.then_refused(errors.SessionAlreadyBoundError, 'task run "r1" has session "s1"')
    spec.when(StartRun(run_id="r1", session_id="s1")).then_run("r1", status="running")


def test_a_session_works_on_one_run_at_a_time() -> None:
    spec = in_status("starting").given(task("t2"), queued("t2", "r2"), ClaimRun(run_id="r2"))
    text = 'task: session already bound: session "s1" is bound to active run "r1"'
    spec.when(StartRun(run_id="r2", session_id="s1")).then_refused(
        errors.SessionAlreadyBoundError, text
    )
    spec.when(AttachSession(run_id="r2", session_id="s1")).then_refused(
        errors.SessionAlreadyBoundError, text
    )
    spec.given(CANCEL).when(AttachSession(run_id="r2", session_id="s1"))
    spec.then_run("r2", session_id="s1")


def test_a_starting_run_without_a_session_does_not_start() -> None:
    spec = in_status("claimed").given(
        on("t1", RunStarting(status="starting", task_status="in_progress"), "r1")
    )
    spec.when(START).then_refused(TRANSITION, 'task run "r1" is starting without a session')


def test_a_leased_run_keeps_its_lease_when_it_is_started() -> None:
    spec = given(task("t1"), *leased("t1", "r1"))
    before = spec.world.run("r1")
    spec.when(START).then_run(
        "r1",
        status="running",
        session_id="s1",
        claim_token_hash=before.claim_token_hash,
        lease_until=before.lease_until,
    )
    spec.then(
        RunStarting(status="starting", task_status="in_progress", session_id="s1"),
        RunSessionBound(status="starting", task_status="in_progress", session_id="s1"),
        RunStarted(status="running", task_status="in_progress", session_id="s1"),
    )


def test_a_leased_run_starts_in_its_session_even_while_an_old_lease_is_not_swept() -> None:
    later = NOW + 300 * SECOND
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), task("t2"))
    spec.given(queued("t2", "r2"), claim_next("s1", later))
    spec.when(StartRun(run_id="r2"), at=later).then_run("r2", status="running", session_id="s1")


def stale() -> Spec:
    """Return a scenario whose run uses a channel that another workspace took meanwhile."""
    spec = given(workspace("w1"), workspace("w2"), session("s1"))
    spec.given(workspace_task("t1", "w1"), queued("t1", "r1"), CLAIM)
    spec.given(workspace_task("t2", "w2"), queued("t2", "r2", network_channel="dev"))
    return spec.given(UpdateTask(task_id="t1", network_channel="dev"))


@pytest.mark.parametrize(("command", "operation"), [(START, "start"), (ATTACH, "attach")])
def test_a_stale_channel_is_recorded_and_refused(command: Command, operation: str) -> None:
    spec = stale().when(command)
    rejected = RunRejected(
        operation=operation, reason="stale_network_channel", network_channel="dev"
    )
    spec.then(on("t1", rejected, "r1"))
    spec.then_reply(task_id="t1", run_id="r1", stale_channel="dev")
    spec.then_run("r1", status="claimed", session_id="")


def test_the_runs_own_channel_goes_before_the_tasks() -> None:
    spec = given(workspace("w1"), workspace("w2"))
    spec.given(workspace_task("t1", "w1", network_channel="ops"), queued("t1", "r1"), CLAIM)
    spec.given(workspace_task("t2", "w2"), queued("t2", "r2", network_channel="dev"))
    spec.given(UpdateTask(task_id="t1", network_channel="dev")).when(START)
    spec.then_run("r1", status="running")


def test_the_channel_of_a_global_task_is_never_stale() -> None:
    spec = given(workspace("w1"), workspace_task("t2"), queued("t2", "r2", network_channel="dev"))
    spec.given(task("t1", network_channel="dev"), queued("t1", "r1"), CLAIM).when(START)
    spec.then_run("r1", status="running")


def test_attach_binds_a_session() -> None:
    spec = in_status("claimed").when(AttachSession(run_id="r1", session_id=" s1 "))
    bound = RunSessionBound(status="starting", task_status="in_progress", session_id="s1")
    spec.then(on("t1", bound, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", status="starting", session_id="s1")
    spec.then_task("t1", status="in_progress")


def test_attach_completes_a_starting_run_without_a_session() -> None:
    starting = RunStarting(status="starting", task_status="in_progress")
    spec = in_status("claimed").given(on("t1", starting, "r1")).when(ATTACH)
    spec.then_run("r1", status="starting", session_id="s1")


@pytest.mark.parametrize(
    ("past", "attach", "error", "text"),
    [
        ("claimed", AttachSession(run_id="r1", session_id=" "), errors.ValidationError,
         "attach_session.session_id is required"),
        ("claimed", AttachSession(run_id="r1", session_id="s9"), errors.SessionNotFoundError,
         'session: session not found: "s9"'),
        ("claimed", AttachSession(run_id="r1", session_id="gone"), errors.SessionAttachError,
         'session "gone" is stopped'),
        ("queued", ATTACH, errors.SessionAttachError,
         'task: session attach not allowed: task run "r1" is queued'),
        ("running", ATTACH, errors.SessionAlreadyBoundError, 'task run "r1" has session "sess-1"'),
        ("completed", ATTACH, errors.SessionAlreadyBoundError, "has session"),
    ],
)  # fmt: skip
def test_a_bad_attach_is_refused(
    past: str, attach: Command, error: type[errors.DomainError], text: str
) -> None:
    spec = in_status(past).given(session("gone"), StopSession(session_id="gone"))
    spec.when(attach).then_refused(error, text)
