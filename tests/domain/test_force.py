"""What operators do to runs by hand."""

from typing import Any

import pytest

from domain import errors
from domain.commands import CancelTask, EscalateRuns
from domain.events import (
    RunOperatorForcedFail,
    RunOperatorRetry,
    RunRecoveredFromAttention,
    RunReleased,
    RunRequeued,
    TaskStatusChanged,
)
from domain.force_commands import ForceFailRun, RecoverRun, ReleaseRun, RetryRun
from domain.instants import SECOND
from domain.values import NO_JSON, Actor
from domain.world import Policy
from tests.domain.by_hand import (
    BY_HUMAN,
    FORCE_FAIL,
    IN_PLACE,
    RECOVER,
    RELEASE,
    RETRY,
    STATUSES,
    TRANSITION,
    code_of,
    stuck,
)
from tests.domain.runs import in_status
from tests.support.spec import NOW, Step, given, on
from tests.support.steps import (
    claim_next,
    completed,
    expire,
    failed,
    heartbeat,
    json,
    leased,
    queued,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

# Release.


def test_release_takes_a_leased_run_from_its_holder() -> None:
    spec = given(task("t1"), *leased("t1", "r1"))
    token = spec.world.run("r1").claim_token_hash
    command = ReleaseRun(run_id="r1", reason=" gone ", metadata=json('{"a": 1}'))
    spec.when(command, at=NOW + SECOND)
    released = RunReleased(
        previous_status="claimed",
        status="queued",
        task_status="ready",
        reason="gone",
        session_id="s1",
        **BY_HUMAN,
        previous_session_id="s1",
        previous_claim_token_hash_truncated=token.removeprefix("sha256:")[:8],
        previous_lease_until=NOW + 300 * SECOND,
        metadata=json('{"a":1}'),
    )
    spec.then(on("t1", released, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="queued",
        attempt=1,
        queued_at=NOW,
        requeued_at=NOW + SECOND,
        claimed_by=None,
        claimed_at=0,
        session_id="",
        claim_token_hash="",
        lease_until=0,
        heartbeat_at=0,
    )
    spec.then_task("t1", status="ready", current_run_id="")
    spec.when(heartbeat("r1", "s1")).then_refused(
        errors.LeaseRejectedError, "AUTONOMY_NO_ACTIVE_LEASE"
    )


def test_release_of_an_operators_claim_tells_of_no_lease() -> None:
    in_status("claimed").when(RELEASE).then(
        RunReleased(previous_status="claimed", status="queued", task_status="ready", **BY_HUMAN)
    )


@pytest.mark.parametrize("status", [each for each in STATUSES if each != "claimed"])
def test_only_a_claimed_run_is_released(status: str) -> None:
    spec = in_status(status).when(RELEASE)
    spec.then_refused(
        TRANSITION, f'Task run not releasable: task run "r1" is {status}, expected claimed'
    )
    assert code_of(spec) == ("task_run_not_releasable", "error")


# Fail.


@pytest.mark.parametrize("status", ["queued", "claimed", "needs_attention"])
def test_a_run_is_failed_by_hand(status: str) -> None:
    spec = in_status(status)
    before = spec.world.run("r1")
    metadata = json('{"a":1}')
    spec.when(ForceFailRun(run_id="r1", reason=" stuck ", metadata=metadata), at=NOW + SECOND)
    fact = RunOperatorForcedFail(
        **BY_HUMAN,
        previous_status=before.status,
        status="failed",
        task_status="ready",
        reason="stuck",
        metadata=metadata,
    )
    spec.then(on("t1", fact, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="failed",
        failure_kind="operator_forced",
        error="stuck",
        result=NO_JSON,
        metadata=NO_JSON,
        ended_at=NOW + SECOND,
        claimed_by=before.claimed_by,
    )
    spec.then_task("t1", status="ready", current_run_id="")


def test_a_leased_run_that_is_failed_by_hand_keeps_claimer_and_session_but_no_lease() -> None:
    spec = given(task("t1", max_attempts=1), *leased("t1", "r1")).when(FORCE_FAIL)
    spec.then_run(
        "r1",
        claimed_by=Actor("agent_session", "s1"),
        session_id="s1",
        claim_token_hash="",
        lease_until=0,
        heartbeat_at=0,
    )
    spec.then_task("t1", status="failed")
    spec.when(heartbeat("r1", "s1")).then_refused(
        errors.LeaseRejectedError, "AUTONOMY_LEASE_EXPIRED"
    )


@pytest.mark.parametrize("status", ["starting", "running"])
def test_a_run_somebody_works_on_is_not_failed_by_hand(status: str) -> None:
    spec = in_status(status).when(FORCE_FAIL)
    spec.then_refused(TRANSITION, f'Task run still active: task run "r1" is {status}')
    assert code_of(spec) == ("task_run_still_active", "error")


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_a_run_that_has_ended_is_not_failed_by_hand(status: str) -> None:
    spec = in_status(status).when(FORCE_FAIL)
    spec.then_refused(TRANSITION, f'Task run already terminal: task run "r1" is {status}')
    assert code_of(spec) == ("task_run_already_terminal", "info")


def test_failing_a_run_by_hand_needs_a_reason() -> None:
    spec = in_status("queued").when(ForceFailRun(run_id="r1", reason=" "))
    spec.then_refused(errors.RequiresReasonError, "force_fail_run requires a reason")
    assert code_of(spec) == ("force_op_requires_reason", "error")


def test_dependents_see_that_a_completed_task_shows_its_completion_again() -> None:
    spec = given(task("t1"), *completed("t1", "r0"), task("t2"), waits("t2", "t1"))
    spec.given(queued("t1", "r1"), claim_next("s1")).then_task("t2", status="blocked")
    spec.when(RELEASE).then_task("t2", status="blocked")
    spec.when(FORCE_FAIL).then_task("t1", status="ready").then_task("t2", status="blocked")


# Retry.


def test_retry_queues_a_successor() -> None:
    spec = given(task("t1", network_channel="dev"), *failed("t1", "r1"))
    metadata = json('{"again":true}')
    spec.when(RetryRun(run_id="r1", metadata=metadata), at=NOW + SECOND, run_id="r2")
    fact = RunOperatorRetry(
        **BY_HUMAN,
        source_run_id="r1",
        new_run_id="r2",
        task_status="ready",
        attempt=2,
        network_channel="dev",
        metadata=metadata,
    )
    spec.then(on("t1", fact, "r2")).then_reply(task_id="t1", run_id="r2")
    spec.then_run(
        "r2",
        status="queued",
        attempt=2,
        previous_run_id="r1",
        queued_at=NOW + SECOND,
        metadata=metadata,
        idempotency_key="",
        network_channel="dev",
    )
    spec.then_run("r1", status="failed", failure_kind="")


def test_the_successor_has_the_channel_of_its_source() -> None:
    spec = given(workspace("w1"), workspace_task("t1", network_channel="ops"))
    spec.given(queued("t1", "r1", network_channel="dev"), FORCE_FAIL)
    spec.when(RETRY, run_id="r2").then_run(
        "r2", network_channel="dev", coordination_channel_id="dev"
    )


@pytest.mark.parametrize("status", [each for each in STATUSES if each != "failed"])
def test_only_a_failed_run_is_retried(status: str) -> None:
    spec = in_status(status).when(RETRY)
    spec.then_refused(TRANSITION, f'Task run not failed: task run "r1" is {status}')
    assert code_of(spec) == ("task_run_still_active", "error")


@pytest.mark.parametrize(
    ("past", "text"),
    [
        ([Step(command=RETRY, run_id="r2")], 'task run "r1" already has retry run "r2"'),
        ([CancelTask(task_id="t1")], 'task "t1" is canceled'),
        ([queued("t1", "r2")], 'task "t1" has open run "r2"'),
        (
            [*failed("t1", "r2"), *failed("t1", "r3")],
            'task "t1" exhausted max_attempts=3',
        ),
    ],
)
def test_a_retry_needs_room_for_a_run(past: list[Any], text: str) -> None:
    spec = given(task("t1"), *failed("t1", "r1"), *past).when(RETRY)
    spec.then_refused(TRANSITION, text)


def test_a_chain_of_retries_ends_somewhere() -> None:
    spec = given(task("t1", max_attempts=10), *failed("t1", "r0"))
    for number in range(1, 11):
        fact = RunOperatorRetry(
            **BY_HUMAN,
            source_run_id=f"r{number - 1}",
            new_run_id=f"r{number}",
            task_status="ready",
            attempt=number + 1,
        )
        spec.given(on("t1", fact, f"r{number}"))
        spec.given(ForceFailRun(run_id=f"r{number}", reason="again"))
    spec.when(RetryRun(run_id="r10"))
    spec.then_refused(errors.RetryChainError, 'task run "r10" is retry 10 of its first run')
    assert code_of(spec) == ("retry_chain_too_deep", "error")
    assert spec.refusal is not None
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.evidence == {"run_id": "r10", "task_id": "t1", "depth": 10}
    spec.when(RetryRun(run_id="r9")).then_refused(TRANSITION, "already has retry run")


# Recover.


def test_recover_fails_the_run_and_queues_its_successor() -> None:
    spec = given(*stuck())
    metadata = json("1")
    command = RecoverRun(run_id="r1", reason=" looked at ", metadata=metadata)
    spec.when(command, at=NOW + SECOND, run_id="r2")
    fact = RunRecoveredFromAttention(
        **BY_HUMAN,
        source_run_id="r1",
        new_run_id="r2",
        previous_status="needs_attention",
        status="queued",
        task_status="ready",
        attempt=2,
        reason="looked at",
        metadata=metadata,
    )
    spec.then(on("t1", fact, "r2")).then_reply(task_id="t1", run_id="r2")
    spec.then_run(
        "r1",
        status="failed",
        failure_kind="operator_forced",
        error="looked at",
        ended_at=NOW + SECOND,
    )
    spec.then_run("r2", status="queued", attempt=2, previous_run_id="r1", metadata=metadata)


def test_without_a_reason_the_recovered_run_keeps_its_diagnostic() -> None:
    spec = given(session("s1"), task("t1"))
    spec.policy = Policy(max_lease_expiries=1)
    spec.given(*leased("t1", "r1"), expire(NOW + 300 * SECOND))
    diagnostic = spec.world.run("r1").error
    assert diagnostic
    spec.when(RECOVER, run_id="r2").then_run("r1", status="failed", error=diagnostic)


def test_recover_in_place_needs_no_attempt() -> None:
    spec = given(session("s1"), task("t1", max_attempts=1))
    spec.policy = Policy(max_lease_expiries=1)
    spec.given(*leased("t1", "r1"), expire(NOW + 300 * SECOND)).then_run("r1", expiries=1)
    command = RecoverRun(run_id="r1", reason="why", metadata=json("1"), in_place=True)
    spec.when(command, at=NOW + 301 * SECOND)
    fact = RunRequeued(
        **BY_HUMAN,
        previous_status="needs_attention",
        status="queued",
        task_status="ready",
        reason="why",
        metadata=json("1"),
    )
    spec.then(on("t1", fact, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1", status="queued", attempt=1, error="", expiries=0, requeued_at=NOW + 301 * SECOND
    )
    spec.when(claim_next("s1", NOW + 302 * SECOND)).then_run("r1", status="claimed")


@pytest.mark.parametrize("command", [RECOVER, IN_PLACE])
@pytest.mark.parametrize("status", [each for each in STATUSES if each != "needs_attention"])
def test_only_a_run_that_needs_attention_is_recovered(status: str, command: Any) -> None:
    spec = in_status(status).when(command)
    spec.then_refused(TRANSITION, f'Task run not recoverable: task run "r1" is {status}')
    assert code_of(spec) == ("task_run_not_recoverable", "error")


def test_recover_needs_an_attempt() -> None:
    spec = given(*stuck(max_attempts=1)).when(RECOVER)
    spec.then_refused(TRANSITION, 'task "t1" exhausted max_attempts=1')


def test_recovering_a_run_of_a_task_that_shows_as_completed_blocks_its_dependents() -> None:
    spec = given(task("t1"), *completed("t1", "r0"), task("t2"), waits("t2", "t1"))
    spec.policy = Policy(max_lease_expiries=1)
    spec.given(session("s1"), queued("t1", "r1"), claim_next("s1"), expire(NOW + 300 * SECOND))
    spec.then_task("t1", status="completed").then_task("t2", status="ready")
    spec.when(RECOVER, run_id="r2")
    assert [type(fact) for fact in spec.facts] == [RunRecoveredFromAttention, TaskStatusChanged]
    spec.then_task("t1", status="ready").then_task("t2", status="blocked")


def test_a_run_that_starved_starves_anew_after_it_was_recovered_in_place() -> None:
    cycle = EscalateRuns(min_queued_age=SECOND, event_after=1, needs_attention_after=2, limit=5)
    spec = given(task("t1"), queued("t1", "r1"))
    for seconds in (1, 2):
        spec.given(Step(command=cycle, at=NOW + seconds * SECOND))
    spec.then_run("r1", status="needs_attention")
    spec.given(Step(command=IN_PLACE, at=NOW + 2 * SECOND))
    spec.when(cycle, at=NOW + 2 * SECOND).then_run("r1", status="queued")
    spec.when(cycle, at=NOW + 3 * SECOND).then_run("r1", status="queued")
    spec.when(cycle, at=NOW + 4 * SECOND).then_run("r1", status="needs_attention")
