"""What operators do with a given run: the transition table, claims, ends."""

from typing import Any

import pytest

from domain import errors
from domain.commands import (
    CancelRun,
    ClaimRun,
    Command,
    CompleteLease,
    CompleteRun,
    FailRun,
    OwnerInput,
    StartRun,
)
from domain.events import (
    RunCanceled,
    RunClaimed,
    RunCompleted,
    RunFailed,
    RunForceStopped,
)
from domain.instants import SECOND
from domain.task.outcomes import outcome_hash
from domain.values import NO_JSON, Actor, Origin
from domain.world import Policy
from tests.domain.runs import ATTACH, CANCEL, CLAIM, COMPLETE, FAIL, PASTS, START, in_status
from tests.support.spec import HUMAN, NOW, Step, given, on
from tests.support.steps import (
    agent,
    child,
    claim_next,
    completed,
    expire,
    json,
    leased,
    queued,
    session,
    task,
    waits,
)

TRANSITION = errors.InvalidTransitionError
MOVES: dict[str, tuple[Command, dict[str, str]]] = {
    "claim": (CLAIM, {"queued": "claimed"}),
    "start": (START, {"claimed": "running", "starting": "running"}),
    "attach": (ATTACH, {"claimed": "starting"}),
    "complete": (COMPLETE, {"running": "completed"}),
    "fail": (FAIL, {"starting": "failed", "running": "failed"}),
    "cancel": (
        CANCEL,
        dict.fromkeys(("queued", "claimed", "starting", "running", "needs_attention"), "canceled"),
    ),
}
TARGET = {
    "claim": "claimed",
    "start": "starting",
    "complete": "completed",
    "fail": "failed",
    "cancel": "canceled",
}
ATTACH_REFUSED: dict[str, type[errors.DomainError]] = {
    "queued": errors.SessionAttachError,
    "needs_attention": errors.SessionAttachError,
    "starting": errors.SessionAlreadyBoundError,
    "running": errors.SessionAlreadyBoundError,
    "completed": errors.SessionAlreadyBoundError,
    "failed": errors.SessionAlreadyBoundError,
}


@pytest.mark.parametrize("status", PASTS)
@pytest.mark.parametrize("move", MOVES)
def test_the_transition_table(move: str, status: str) -> None:
    command, allowed = MOVES[move]
    spec = in_status(status).when(command)
    if TARGET.get(move) == status in {"completed", "failed"}:
        spec.then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)
        return
    if status in allowed:
        spec.then_run("r1", status=allowed[status]).then_reply(task_id="t1", run_id="r1")
        return
    if status == "canceled" and move in {"claim", "start", "attach"}:
        spec.then_refused(TRANSITION, 'task "t1" is canceled')
    elif move == "attach":
        spec.then_refused(ATTACH_REFUSED[status])
    else:
        text = f'task run "r1" cannot transition from "{status}" to "{TARGET[move]}"'
        spec.then_refused(TRANSITION, text)


@pytest.mark.parametrize("command", [CLAIM, START, ATTACH, COMPLETE, FAIL, CANCEL])
def test_an_unknown_run_is_not_found(command: Command) -> None:
    given(session("s1")).when(command).then_refused(
        errors.RunNotFoundError, 'task: task run not found: task run "r1"'
    )


@pytest.mark.parametrize("command", [CLAIM, START, ATTACH, COMPLETE, FAIL, CANCEL])
def test_a_token_of_a_workspace_touches_no_other_run(command: Command) -> None:
    spec = in_status("claimed").when(command, workspace_limit="w1")
    spec.then_refused(errors.PermissionDeniedError, 'task "t1" is outside it')


@pytest.mark.parametrize("command", [CLAIM, START, ATTACH])
def test_a_blocked_task_is_held_back(command: Command) -> None:
    spec = given(task("t0"), task("t1"), session("s1"), queued("t1", "r1"))
    if command is not CLAIM:
        spec.given(CLAIM)
    spec.given(waits("t1", "t0")).when(command).then_refused(TRANSITION, 'task "t1" is blocked')


def test_an_operators_claim_has_no_lease() -> None:
    spec = in_status("queued").when(CLAIM, at=NOW + SECOND)
    spec.then(
        on(
            "t1",
            RunClaimed(status="claimed", task_status="ready", claimed_by=HUMAN, lease_until=0),
            "r1",
        )
    )
    spec.then_run(
        "r1",
        claimed_by=HUMAN,
        claimed_at=NOW + SECOND,
        lease_until=0,
        heartbeat_at=0,
        session_id="",
        claim_token_hash="",
    )


ANN = OwnerInput(kind="human", ref="ann")
POOL = OwnerInput(kind="pool", ref="coder")
SESSION = OwnerInput(kind="agent_session", ref="s1")
DAEMON = Actor("daemon", "scheduler")
S1, S2 = Actor("agent_session", "s1"), Actor("agent_session", "s2")


@pytest.mark.parametrize(
    ("owner", "actor", "allowed"),
    [
        (None, HUMAN, True),
        (ANN, HUMAN, True),
        (ANN, S1, True),
        (OwnerInput(kind="automation", ref="a"), HUMAN, True),
        (OwnerInput(kind="extension", ref="a"), HUMAN, True),
        (OwnerInput(kind="network_peer", ref="a"), HUMAN, True),
        (POOL, HUMAN, False),
        (POOL, Actor("agent_session", "coder"), False),
        (POOL, DAEMON, False),
        (SESSION, HUMAN, False),
        (SESSION, S2, False),
        (SESSION, Actor("extension", "s1"), False),
        (SESSION, S1, True),
        (SESSION, DAEMON, True),
    ],
)
def test_the_owner_rule(owner: OwnerInput | None, actor: Actor, allowed: bool) -> None:
    claim = ClaimRun(run_id="r1", idempotency_key="k")
    spec = given(task("t1", owner=owner), queued("t1", "r1")).when(claim, actor=actor)
    if allowed:
        spec.then_run("r1", claimed_by=actor)
    else:
        assert owner is not None
        spec.then_refused(
            errors.PermissionDeniedError, f'task "t1" belongs to {owner.kind} "{owner.ref}"'
        )


def test_the_owner_is_checked_last() -> None:
    spec = given(task("t1", owner=POOL), *leased("t1", "r1")).when(CLAIM)
    spec.then_refused(TRANSITION, 'cannot transition from "claimed" to "claimed"')


def test_complete_keeps_the_result() -> None:
    spec = in_status("running").when(
        CompleteRun(run_id="r1", result=json(' {"ok": true} ')), at=NOW + SECOND
    )
    ended = RunCompleted(
        status="completed",
        task_status="completed",
        result=json('{"ok":true}'),
        request_hash=outcome_hash("completed", "", json('{"ok":true}'), "human:local-user"),
    )
    spec.then(on("t1", ended, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", status="completed", ended_at=NOW + SECOND, error="", started_at=NOW)
    spec.then_task("t1", status="completed", closed_at=NOW + SECOND, current_run_id="")


def test_fail_keeps_the_error_and_metadata_only_in_the_fact() -> None:
    spec = in_status("running").when(
        FailRun(run_id="r1", error=" broken ", metadata=json('{"a": 1}')), at=NOW + SECOND
    )
    ended = RunFailed(
        status="failed",
        task_status="ready",
        error="broken",
        metadata=json('{"a":1}'),
        request_hash=outcome_hash("failed", "broken", json('{"a":1}'), "human:local-user"),
    )
    spec.then(on("t1", ended, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", error="broken", result=NO_JSON, metadata=NO_JSON, ended_at=NOW + SECOND)
    spec.then_task("t1", status="ready", closed_at=0)


@pytest.mark.parametrize(
    ("first", "again", "other"),
    [
        (
            CompleteRun(run_id="r1", result=json('{"n": 1}')),
            CompleteRun(run_id="r1", result=json('{"n":1}')),
            CompleteRun(run_id="r1", result=json('{"n":2}')),
        ),
        (
            FailRun(run_id="r1", error="broken", metadata=json("1")),
            FailRun(run_id="r1", error=" broken ", metadata=json(" 1 ")),
            FailRun(run_id="r1", error="broken"),
        ),
        (CompleteRun(run_id="r1"), CompleteRun(run_id="r1", result=json("null")), FAIL),
        (FAIL, FAIL, CompleteRun(run_id="r1")),
    ],
)
def test_who_ended_a_run_may_say_it_again(first: Command, again: Command, other: Command) -> None:
    spec = in_status("running").given(first).when(again, at=NOW + SECOND)
    spec.then_nothing().then_reply(task_id="t1", run_id="r1", replayed=True)
    spec.when(other).then_refused(TRANSITION, "cannot transition from")
    spec.when(again, actor=Actor("human", "ann")).then_refused(TRANSITION, "cannot transition")


@pytest.mark.parametrize(
    ("command", "error", "text"),
    [
        (FailRun(run_id="r1", error=" "), errors.ValidationError, "fail_run.error is required"),
        (
            FailRun(run_id="r1", error="e", metadata=json('{"claim_token":1}')),
            errors.ValidationError,
            "fail_run.metadata must not contain raw lease credentials",
        ),
        (
            FailRun(run_id="r1", error="e", metadata=json('"' + "x" * 65_535 + '"')),
            errors.PayloadTooLargeError,
            "fail_run.metadata exceeds 65536 bytes",
        ),
        (
            CompleteRun(run_id="r1", result=json('"' + "x" * 65_535 + '"')),
            errors.PayloadTooLargeError,
            "complete_run.result exceeds 65536 bytes",
        ),
        (
            CompleteRun(run_id="r1", result=json('[{"claim_token":1}]')),
            errors.ValidationError,
            "complete_run.result must not contain raw lease credentials",
        ),
        (
            CancelRun(run_id="r1", metadata=json("{")),
            errors.ValidationError,
            "cancel_run.metadata must contain valid JSON",
        ),
        (
            CancelRun(run_id="r1", reason="x" * 65_537),
            errors.PayloadTooLargeError,
            "cancel_run.reason exceeds 65536 bytes",
        ),
        (
            StartRun(run_id="r1", session_id="x" * 1025),
            errors.PayloadTooLargeError,
            "start_run.session_id exceeds 1024 bytes",
        ),
    ],
)
def test_a_bad_value_is_refused(command: Command, error: type[Any], text: str) -> None:
    in_status("running").when(command).then_refused(error, text)


def test_a_result_of_exactly_the_limit_is_kept() -> None:
    result = json('"' + "x" * 65_534 + '"')
    in_status("running").when(CompleteRun(run_id="r1", result=result)).then_run("r1", result=result)


@pytest.mark.parametrize(("command", "outcome"), [(COMPLETE, "completion"), (FAIL, "failure")])
def test_a_leased_run_is_ended_by_its_holder_only(command: Command, outcome: str) -> None:
    spec = given(task("t1"), *leased("t1", "r1"))
    text = f'task: invalid claim token: task run "r1" requires token-fenced {outcome}'
    spec.when(command).then_refused(errors.InvalidClaimTokenError, text)
    spec.given(START).when(command).then_refused(errors.InvalidClaimTokenError, text)
    spec.given(agent("s1", CompleteLease(run_id="r1", session_id="s1")))
    spec.when(command).then_refused(errors.InvalidClaimTokenError, text)


def test_cancel_keeps_claimer_session_and_lease_visible() -> None:
    spec = given(task("t1"), *leased("t1", "r1"))
    before = spec.world.run("r1")
    spec.when(CancelRun(run_id="r1", reason=" why ", metadata=json("1")), at=NOW + SECOND)
    ended = RunCanceled(
        status="canceled",
        task_status="canceled",
        reason="why",
        metadata=json("1"),
        session_id="s1",
    )
    stopped = RunForceStopped(session_id="s1", grace_timeout_ms=0)
    spec.then(on("t1", ended, "r1"), on("t1", stopped, "r1"))
    spec.then_reply(task_id="t1", run_id="r1")
    spec.then_run(
        "r1",
        status="canceled",
        claimed_by=S1,
        session_id="s1",
        claim_token_hash=before.claim_token_hash,
        lease_until=before.lease_until,
        heartbeat_at=NOW,
        ended_at=NOW + SECOND,
        result=NO_JSON,
        error="",
    )


@pytest.mark.parametrize(
    ("status", "stopped"),
    [
        ("queued", False),
        ("claimed", False),
        ("starting", True),
        ("running", True),
        ("needs_attention", False),
    ],
)
def test_a_canceled_run_is_taken_from_the_session_that_works_on_it(
    status: str, stopped: bool
) -> None:
    spec = in_status(status).when(CANCEL)
    found = [type(fact) for fact in spec.facts]
    assert found == [RunCanceled, *([RunForceStopped] if stopped else [])]


def test_a_session_whose_lease_ran_out_is_not_stopped() -> None:
    spec = given(task("t1"), *leased("t1", "r1")).when(CANCEL, at=NOW + 300 * SECOND)
    assert [type(fact) for fact in spec.facts] == [RunCanceled]


def test_canceling_a_run_that_needs_attention_cancels_a_task_that_showed_as_completed() -> None:
    spec = given(task("t1"), *completed("t1", "r0"), queued("t1", "r1"), session("s1"))
    spec.given(task("t2"), waits("t2", "t1"))
    spec.policy = Policy(max_lease_expiries=1)
    spec.given(claim_next("s1"), expire(NOW + 300 * SECOND))
    spec.then_run("r1", status="needs_attention")
    spec.then_task("t1", status="completed").then_task("t2", status="ready")
    spec.when(CANCEL).then_task("t1", status="canceled").then_task("t2", status="blocked")


def test_a_child_run_does_not_move_the_parent() -> None:
    spec = given(task("p"), child("p", "t1"), queued("t1", "r1")).when(CLAIM)
    spec.then_task("p", status="ready", latest_event_seq=3)


def test_the_latest_time_of_a_run_is_its_last_activity() -> None:
    spec = given(task("t1"), queued("t1", "r1"))
    assert spec.world.run("r1").last_activity_at == NOW
    for second, command in enumerate((CLAIM, START, COMPLETE), 1):
        spec.when(command, at=NOW + second * SECOND)
        assert spec.world.run("r1").last_activity_at == NOW + second * SECOND


def test_the_actor_of_every_fact_is_the_caller() -> None:
    robot = Step(
        command=ClaimRun(run_id="r1", idempotency_key="k"),
        actor=Actor("automation", "cron"),
        origin=Origin("automation", "cron"),
    )
    spec = in_status("queued").when(robot, correlation_id="trace-1")
    (past,) = spec.recorded
    assert past.correlation_id == "trace-1"
    assert (past.actor, past.origin) == (robot.actor, robot.origin)
    assert (past.command_id, past.occurred_at, past.recorded_at) == ("command-4", NOW, NOW)
