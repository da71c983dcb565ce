"""Who may do something to runs and tasks by hand, how often, and what is refused at once."""

import re
from typing import Any

import pytest

from domain import errors
from domain.commands import ClaimRun, PauseTask, ResumeTask
from domain.force_commands import ForceFailRun, RecoverRun, ReleaseRun, RetryRun
from domain.instants import SECOND
from domain.refusals import DOCS
from domain.task.force import bulk_run_ids, required_reason
from domain.task.state import Forced, TaskState
from domain.values import Actor
from domain.world import Policy
from tests.domain.by_hand import (
    EVERY,
    FORCE_FAIL,
    RELEASE,
    RETRY,
    TRANSITION,
    code_of,
    stuck,
)
from tests.domain.runs import ATTENTION, in_status
from tests.support.spec import NOW, Step, given, on
from tests.support.steps import json, leased, queued, release, session, task, workspace

# What is refused whatever the status, and in which order.


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        (ReleaseRun, "force_release_run"),
        (ForceFailRun, "force_fail_run"),
        (RetryRun, "retry_run"),
        (RecoverRun, "recover_run"),
    ],
)
@pytest.mark.parametrize(
    ("metadata", "error", "text"),
    [
        ("{", errors.ValidationError, "must contain valid JSON"),
        (
            '{"claim_token":1}',
            errors.ValidationError,
            "must not contain raw lease credentials",
        ),
        ('"' + "x" * 16_383 + '"', errors.PayloadTooLargeError, "exceeds 16384 bytes"),
    ],
)
def test_bad_metadata_is_refused(
    command: type[Any], operation: str, metadata: str, error: type[Any], text: str
) -> None:
    given_reason = {"reason": "why"} if command is ForceFailRun else {}
    spec = given().when(command(run_id="r9", metadata=json(metadata), **given_reason))
    spec.then_refused(error, f"{operation}.metadata {text}")


@pytest.mark.parametrize("command", EVERY)
def test_an_unknown_run_is_not_found(command: Any) -> None:
    given().when(command).then_refused(errors.RunNotFoundError, 'task run "r1"')


@pytest.mark.parametrize("command", EVERY)
def test_a_run_outside_the_tokens_workspace_is_out_of_reach(command: Any) -> None:
    spec = given(workspace("w1"), *stuck()).when(command, workspace_limit="w1")
    spec.then_refused(errors.PermissionDeniedError, 'the token is bound to workspace "w1"')


# What agents may do.

S1, S2 = Actor("agent_session", "s1"), Actor("agent_session", "s2")
PAUSE, RESUME = PauseTask(task_id="t1", reason="why"), ResumeTask(task_id="t1")


def by(actor: Actor, command: Any, at: int = NOW, run_id: str = "") -> Step:
    return Step(command=command, actor=actor, at=at, run_id=run_id)


@pytest.mark.parametrize("command", [*EVERY, PAUSE, RESUME, ForceFailRun(run_id="r1")])
def test_agents_may_be_kept_from_it(command: Any) -> None:
    spec = given()
    spec.policy = Policy(allow_agent_force=False)
    spec.when(by(S1, command)).then_refused(
        errors.ForbiddenOperatorError, "Force operation: agents may not do this here"
    )
    assert code_of(spec) == ("forbidden_operator_action", "error")
    assert spec.refusal is not None
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.evidence == {"actor_kind": "agent_session", "actor_id": "s1"}


def test_people_may_do_it_where_agents_may_not() -> None:
    spec = in_status("claimed")
    spec.policy = Policy(allow_agent_force=False)
    spec.when(RELEASE).then_run("r1", status="queued")
    spec.when(by(Actor("automation", "cron"), PAUSE)).then_task("t1", paused=True)


def test_an_agent_does_ten_such_things_a_minute_to_a_task() -> None:
    spec = given(task("t1"), task("t2"), *(by(S1, PAUSE, NOW + n) for n in range(10)))
    spec.when(by(S1, RESUME, NOW + 60 * SECOND - 1))
    spec.then_refused(
        errors.ForceRateError,
        'Force operation rate limited: agent_session:s1 did 10 force operations on task "t1"',
    )
    assert code_of(spec) == ("force_op_rate_limited", "warn")
    assert spec.refusal is not None
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.evidence == {
        "actor_kind": "agent_session",
        "actor_id": "s1",
        "task_id": "t1",
        "limit": 10,
    }
    spec.when(by(S2, RESUME)).then_task("t1", paused=False)
    spec.when(RESUME).then_task("t1", paused=False)
    spec.when(by(S1, PauseTask(task_id="t2", reason="why"))).then_task("t2", paused=True)
    spec.when(by(S1, RESUME, NOW + 60 * SECOND)).then_task("t1", paused=False)
    spec.when(by(S1, RESUME, NOW + 60 * SECOND)).then_refused(errors.ForceRateError)


def test_what_was_refused_does_not_count() -> None:
    spec = given(task("t1"), queued("t1", "r1"))
    for _ in range(20):
        spec.when(by(S1, RELEASE)).then_refused(TRANSITION)
    spec.when(by(S1, PAUSE)).then_task("t1", paused=True)


def test_every_such_thing_counts() -> None:
    spec = given(task("t1", max_attempts=10), session("s1"), queued("t1", "r1"))
    spec.given(ClaimRun(run_id="r1"), by(S1, RELEASE), by(S1, FORCE_FAIL))
    spec.given(by(S1, RETRY, run_id="r2"), on("t1", ATTENTION, "r2"))
    spec.given(by(S1, RecoverRun(run_id="r2", in_place=True)), on("t1", ATTENTION, "r2"))
    spec.given(by(S1, RecoverRun(run_id="r2"), run_id="r3"), by(S1, PAUSE), by(S1, RESUME))
    state = spec.world.states["task:t1"]
    assert isinstance(state, TaskState)
    assert state.forced == (Forced(actor=S1, at=NOW),) * 7


def test_a_holder_that_gives_its_run_back_does_nothing_by_hand() -> None:
    spec = given(task("t1"), *leased("t1", "r1")).when(release("r1", "s1"))
    state = spec.world.states["task:t1"]
    assert isinstance(state, TaskState)
    assert state.forced == ()


def test_the_rate_goes_before_the_status() -> None:
    spec = given(task("t1"), queued("t1", "r1"), *(by(S1, PAUSE, NOW + n) for n in range(10)))
    spec.when(by(S1, RELEASE)).then_refused(errors.ForceRateError)
    spec.when(by(S1, ReleaseRun(run_id="r9"))).then_refused(errors.RunNotFoundError)
    spec.when(by(S1, ForceFailRun(run_id="r1"))).then_refused(errors.RequiresReasonError)


# Many runs at once.


def test_the_runs_of_a_bulk_operation_are_named_once_each() -> None:
    assert bulk_run_ids((" b", "a", "b "), "bulk") == ("b", "a")
    assert len(bulk_run_ids(tuple(map(str, range(50))), "bulk")) == 50


@pytest.mark.parametrize(
    ("run_ids", "error", "text"),
    [
        ((), errors.ValidationError, "bulk.run_ids must not be empty"),
        (("a", " "), errors.ValidationError, "bulk.run_ids[1] is required"),
        (("a" * 1025,), errors.PayloadTooLargeError, "bulk.run_ids[0] exceeds 1024 bytes"),
        (("a",) * 51, errors.BulkTooLargeError, "at most 50 runs at once: 51"),
    ],
)
def test_bad_lists_of_runs_are_refused(
    run_ids: tuple[str, ...], error: type[errors.DomainError], text: str
) -> None:
    with pytest.raises(error, match=re.escape(text)):
        bulk_run_ids(run_ids, "bulk")


def test_too_many_runs_come_with_a_diagnostic() -> None:
    with pytest.raises(errors.BulkTooLargeError) as caught:
        bulk_run_ids(("a",) * 51, "bulk")
    diagnostic = caught.value.diagnostic
    assert diagnostic is not None
    assert (diagnostic.code, diagnostic.severity) == ("bulk_too_large", "error")
    assert diagnostic.evidence == {"limit": 50, "count": 51}
    assert diagnostic.id == "task.force.bulk_too_large"
    assert diagnostic.doc_url == DOCS


def test_a_reason_is_needed_where_it_is_asked_for() -> None:
    assert required_reason(" why ", "bulk") == "why"
    with pytest.raises(errors.RequiresReasonError):
        required_reason("", "bulk")
