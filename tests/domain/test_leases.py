"""What the holder of a lease may do, and what everybody else is told."""

from collections.abc import Callable
from typing import Any

import pytest

from domain import errors
from domain.commands import AttachSession, CancelRun, ClaimRun, DeleteTask, StartRun
from domain.events import RunCompleted, RunFailed, RunLeaseExtended, RunReleased
from domain.instants import SECOND, rfc3339
from domain.values import NO_JSON, Actor
from tests.support.spec import NOW, Spec, Step, given, on
from tests.support.steps import (
    claim_next,
    complete,
    expire,
    fail,
    heartbeat,
    json,
    leased,
    queued,
    release,
    session,
    task,
    workspace,
    workspace_task,
)

TOKEN = f"sha256:s1@{NOW}"
DEADLINE = NOW + 300 * SECOND
MUTATIONS: dict[str, Callable[..., Step]] = {
    "heartbeat": heartbeat,
    "release": release,
    "complete": complete,
    "fail": fail,
}
every_mutation = pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=list(MUTATIONS))


def held() -> Spec:
    """Return a scenario in which session s1 holds run r1."""
    return given(session("s1"), session("s2"), task("t1"), *leased("t1", "r1"))


def rejected(spec: Spec, reason: str) -> None:
    """Expect a rejection with this reason code, in the text as well."""
    spec.then_refused(errors.LeaseRejectedError, f"task: autonomy lease rejected: {reason}: ")
    assert isinstance(spec.refusal, errors.LeaseRejectedError)
    assert spec.refusal.reason == reason


@pytest.mark.parametrize(("asked", "seconds"), [(0, 300), (1, 1), (600, 600)])
def test_a_heartbeat_moves_the_deadline_also_nearer(asked: int, seconds: int) -> None:
    later = NOW + 10 * SECOND
    spec = held().when(heartbeat("r1", "s1", later, asked))
    spec.then(
        on(
            "t1",
            RunLeaseExtended(
                status="claimed",
                task_status="ready",
                lease_until=later + seconds * SECOND,
                heartbeat_at=later,
                claim_token_hash=TOKEN,
            ),
            "r1",
        )
    )
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", lease_until=later + seconds * SECOND, heartbeat_at=later, claimed_at=NOW)


@pytest.mark.parametrize("seconds", [-1, 86_401])
def test_a_heartbeat_has_the_bounds_of_a_lease(seconds: int) -> None:
    held().when(heartbeat("r1", "s1", lease_seconds=seconds)).then_refused(
        errors.ValidationError, "lease_seconds"
    )


def test_a_heartbeat_names_the_status_of_a_started_run() -> None:
    spec = held().given(StartRun(run_id="r1")).when(heartbeat("r1", "s1"))
    spec.then(
        RunLeaseExtended(
            status="running",
            task_status="in_progress",
            lease_until=DEADLINE,
            heartbeat_at=NOW,
            claim_token_hash=TOKEN,
        )
    )


def test_a_release_gives_the_run_back() -> None:
    later = NOW + SECOND
    spec = held().given(StartRun(run_id="r1")).when(release("r1", "s1", later, " tired "))
    spec.then(
        on(
            "t1",
            RunReleased(
                previous_status="running",
                status="queued",
                task_status="ready",
                reason="tired",
                session_id="s1",
            ),
            "r1",
        )
    )
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="queued",
        attempt=1,
        queued_at=NOW,
        requeued_at=later,
        claimed_by=None,
        claimed_at=0,
        session_id="",
        claim_token_hash="",
        lease_until=0,
        heartbeat_at=0,
        started_at=0,
        ended_at=0,
        expiries=0,
    )
    spec.then_task("t1", status="ready", current_run_id="")
    spec.when(claim_next("s2", later)).then_reply(task_id="t1", run_id="r1", session_id="s2")


def test_a_completion_keeps_the_hash_and_ends_the_lease() -> None:
    spec = held().when(complete("r1", "s1", NOW + SECOND, json(' {"ok": true} ')))
    (past,) = spec.recorded
    assert isinstance(past.fact, RunCompleted)
    spec.then(
        on(
            "t1",
            RunCompleted(
                status="completed",
                task_status="completed",
                result=json('{"ok":true}'),
                claim_token_hash=TOKEN,
                request_hash=past.fact.request_hash,
            ),
            "r1",
        )
    )
    assert len(past.fact.request_hash) == 32
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="completed",
        result=json('{"ok":true}'),
        claim_token_hash=TOKEN,
        session_id="s1",
        claimed_by=Actor("agent_session", "s1"),
        lease_until=0,
        heartbeat_at=0,
        ended_at=NOW + SECOND,
    )


def test_a_failure_keeps_the_hash_and_ends_the_lease() -> None:
    spec = held().when(fail("r1", "s1", NOW + SECOND, " broken ", json('{"a": 1}')))
    (past,) = spec.recorded
    assert isinstance(past.fact, RunFailed)
    spec.then(
        on(
            "t1",
            RunFailed(
                status="failed",
                task_status="ready",
                error="broken",
                metadata=json('{"a":1}'),
                claim_token_hash=TOKEN,
                request_hash=past.fact.request_hash,
            ),
            "r1",
        )
    )
    assert len(past.fact.request_hash) == 32
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="failed",
        error="broken",
        result=NO_JSON,
        metadata=NO_JSON,
        claim_token_hash=TOKEN,
        lease_until=0,
        heartbeat_at=0,
    )


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (fail("x", "s1", error=" "), errors.ValidationError, "fail_run.error is required"),
        (
            fail("x", "s1", metadata=json('{"claim_token":1}')),
            errors.ValidationError,
            "fail_run.metadata must not contain raw lease credentials",
        ),
        (
            fail("x", "s1", metadata=json('"' + "x" * 65_535 + '"')),
            errors.PayloadTooLargeError,
            "fail_run.metadata exceeds 65536 bytes",
        ),
        (
            complete("x", "s1", result=json('{"claim_token":1}')),
            errors.ValidationError,
            "complete_run.result must not contain raw lease credentials",
        ),
        (
            complete("x", "s1", result=json('"' + "x" * 65_535 + '"')),
            errors.PayloadTooLargeError,
            "complete_run.result exceeds 65536 bytes",
        ),
        (
            release("x", "s1", reason="x" * 65_537),
            errors.PayloadTooLargeError,
            "release_run.reason exceeds 65536 bytes",
        ),
    ],
)
def test_values_are_checked_before_the_lease(command: Step, error: type[Any], text: str) -> None:
    held().when(command).then_refused(error, text)


@every_mutation
def test_a_session_without_a_lease_is_told_so(mutate: Callable[..., Step]) -> None:
    rejected(held().when(mutate("r1", "s2")), "AUTONOMY_NO_ACTIVE_LEASE")
    rejected(held().when(mutate("unknown", "s2")), "AUTONOMY_NO_ACTIVE_LEASE")


@every_mutation
def test_a_session_that_holds_another_run_is_told_so(mutate: Callable[..., Step]) -> None:
    spec = held().given(task("t2"), *leased("t2", "r2", "s2"))
    rejected(spec.when(mutate("r1", "s2")), "AUTONOMY_FOREIGN_RUN")
    rejected(spec.when(mutate("unknown", "s2")), "AUTONOMY_FOREIGN_RUN")


@every_mutation
def test_the_deadline_itself_is_too_late(mutate: Callable[..., Step]) -> None:
    spec = held().when(mutate("r1", "s1", DEADLINE))
    rejected(spec, "AUTONOMY_LEASE_EXPIRED")
    assert f"whose lease ran out at {rfc3339(DEADLINE)}" in str(spec.refusal)
    assert held().when(mutate("r1", "s1", DEADLINE - 1)).refusal is None


@every_mutation
@pytest.mark.parametrize(
    "gone", [release("r1", "s1"), expire(DEADLINE)], ids=["released", "expired"]
)
def test_who_lost_the_run_has_no_lease(mutate: Callable[..., Step], gone: Step) -> None:
    rejected(held().given(gone).when(mutate("r1", "s1")), "AUTONOMY_NO_ACTIVE_LEASE")


@every_mutation
@pytest.mark.parametrize(
    "end",
    [complete("r1", "s1", result=json("1")), fail("r1", "s1", error="x"), CancelRun(run_id="r1")],
    ids=["completed", "failed", "canceled"],
)
def test_who_held_a_run_that_ended_is_told_so(mutate: Callable[..., Step], end: Any) -> None:
    spec = held().given(end).when(mutate("r1", "s1"))
    rejected(spec, "AUTONOMY_LEASE_EXPIRED")
    assert ", which is " in str(spec.refusal)


@every_mutation
def test_the_run_of_a_deleted_task_is_unknown(mutate: Callable[..., Step]) -> None:
    spec = held().given(complete("r1", "s1"), DeleteTask(task_id="t1"))
    rejected(spec.when(mutate("r1", "s1")), "AUTONOMY_NO_ACTIVE_LEASE")


@every_mutation
def test_two_leases_of_one_session_are_refused(mutate: Callable[..., Step]) -> None:
    # A clock that was set back makes the first lease, which had run out, active again.
    spec = held().given(task("t2"), queued("t2", "r2"), claim_next("s1", DEADLINE))
    rejected(spec.when(mutate("r1", "s1", NOW)), "AUTONOMY_LEASE_ALREADY_HELD")


@every_mutation
def test_an_operators_claim_is_no_lease(mutate: Callable[..., Step]) -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"), ClaimRun(run_id="r1"))
    spec.given(AttachSession(run_id="r1", session_id="s1")).when(mutate("r1", "s1"))
    rejected(spec, "AUTONOMY_LEASE_EXPIRED")


@every_mutation
def test_a_token_of_a_workspace_touches_no_other_lease(mutate: Callable[..., Step]) -> None:
    spec = given(workspace("w1"), session("s1"), task("t1"), *leased("t1", "r1"))
    spec.when(mutate("r1", "s1"), workspace_limit="w1")
    spec.then_refused(errors.PermissionDeniedError, 'task "t1" is outside it')


def test_a_token_of_the_workspace_may_use_its_leases() -> None:
    spec = given(workspace("w1"), session("s1", workspace="w1"), workspace_task("t1"))
    spec.given(*leased("t1", "r1")).when(complete("r1", "s1"), workspace_limit="w1")
    spec.then_run("r1", status="completed")
    spec.when(complete("r1", "s1"), workspace_limit="w2")
    spec.then_refused(errors.PermissionDeniedError)


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (complete("r1", "s1"), complete("r1", "s1", DEADLINE)),
        (
            complete("r1", "s1", result=json('{"a": 1}')),
            complete("r1", "s1", DEADLINE, json(' {"a":1}')),
        ),
        (fail("r1", "s1"), fail("r1", "s1", DEADLINE, " broken ")),
        (
            fail("r1", "s1", metadata=json("[1, 2]")),
            fail("r1", "s1", DEADLINE, metadata=json("[1,2]")),
        ),
    ],
)
def test_a_repeated_outcome_gives_the_first_answer(first: Step, again: Step) -> None:
    spec = held().given(first).when(again).then_nothing()
    spec.then_reply(task_id="t1", run_id="r1", replayed=True)


def test_a_repeated_outcome_counts_even_when_the_session_works_on() -> None:
    spec = held().given(complete("r1", "s1"), task("t2"), *leased("t2", "r2"))
    spec.when(complete("r1", "s1")).then_reply(task_id="t1", run_id="r1", replayed=True)
    rejected(spec.when(complete("r1", "s1", result=json("2"))), "AUTONOMY_LEASE_EXPIRED")


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (complete("r1", "s1"), complete("r1", "s1", result=json("2"))),
        (complete("r1", "s1"), fail("r1", "s1")),
        (fail("r1", "s1"), complete("r1", "s1")),
        (fail("r1", "s1"), fail("r1", "s1", error="other")),
        (fail("r1", "s1"), fail("r1", "s1", metadata=json("2"))),
    ],
)
def test_another_outcome_is_refused(first: Step, again: Step) -> None:
    rejected(held().given(first).when(again), "AUTONOMY_LEASE_EXPIRED")


def test_the_outcome_of_somebody_else_is_no_repeat() -> None:
    spec = held().given(complete("r1", "s1")).when(complete("r1", "s2"))
    rejected(spec, "AUTONOMY_NO_ACTIVE_LEASE")


def test_of_several_outcomes_one_succeeds() -> None:
    spec = held()
    accepted = []
    for command in (release("r1", "s1"), complete("r1", "s1"), fail("r1", "s1")):
        spec.when(command)
        accepted.append(spec.refusal is None)
    assert accepted == [True, False, False]
