"""What operators do with a given run: the transition table, claims, starts, ends."""

from typing import Any

import pytest

from domain import errors
from domain.commands import (
    AttachSession,
    CancelRun,
    ClaimRun,
    Command,
    CompleteLease,
    CompleteRun,
    FailRun,
    OwnerInput,
    StartRun,
    StopSession,
    UpdateTask,
)
from domain.events import (
    RunCanceled,
    RunClaimed,
    RunCompleted,
    RunFailed,
    RunNeedsAttention,
    RunRejected,
    RunSessionBound,
    RunStarted,
    RunStarting,
)
from domain.instants import SECOND
from domain.values import NO_JSON, Actor, Origin
from tests.support.spec import HUMAN, NOW, Spec, Step, given, on
from tests.support.steps import (
    agent,
    canceled,
    child,
    claim_next,
    completed,
    failed,
    json,
    leased,
    queued,
    running,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

TRANSITION = errors.InvalidTransitionError
ATTENTION = RunNeedsAttention(
    previous_status="queued", status="needs_attention", task_status="ready"
)
CLAIM, START = ClaimRun(run_id="r1"), StartRun(run_id="r1")
ATTACH = AttachSession(run_id="r1", session_id="s1")
COMPLETE, CANCEL = CompleteRun(run_id="r1"), CancelRun(run_id="r1")
FAIL = FailRun(run_id="r1", error="broken")

PASTS: dict[str, tuple[Any, ...]] = {
    "queued": (queued("t1", "r1"),),
    "claimed": (queued("t1", "r1"), CLAIM),
    "starting": (queued("t1", "r1"), CLAIM, ATTACH),
    "running": running("t1", "r1"),
    "completed": completed("t1", "r1"),
    "failed": failed("t1", "r1"),
    "canceled": canceled("t1", "r1"),
    "needs_attention": (queued("t1", "r1"), on("t1", ATTENTION, "r1")),
}
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
TARGET = {"start": "starting", "claim": "claimed", "cancel": "canceled"}


def in_status(status: str) -> Spec:
    """Return a scenario whose run is in a status."""
    return given(task("t1"), session("s1"), *PASTS[status])


@pytest.mark.parametrize("status", PASTS)
@pytest.mark.parametrize("move", MOVES)
def test_the_transition_table(move: str, status: str) -> None:
    command, allowed = MOVES[move]
    spec = in_status(status).when(command)
    if status in allowed:
        spec.then_run("r1", status=allowed[status]).then_reply(task_id="t1", run_id="r1")
        return
    assert spec.refusal is not None
    if move == "attach":
        bound = status in {"starting", "running", "completed", "failed"}
        held_back = status == "canceled"
        spec.then_refused(
            TRANSITION
            if held_back
            else errors.SessionAlreadyBoundError
            if bound
            else errors.SessionAttachError
        )
    elif status == "canceled" and move in {"claim", "start"}:
        spec.then_refused(TRANSITION, 'task "t1" is canceled')
    else:
        target = {"complete": "completed", "fail": "failed", **TARGET}[move]
        text = f'task run "r1" cannot transition from "{status}" to "{target}"'
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


def test_complete_keeps_the_result() -> None:
    spec = in_status("running").when(
        CompleteRun(run_id="r1", result=json(' {"ok": true} ')), at=NOW + SECOND
    )
    ended = RunCompleted(status="completed", task_status="completed", result=json('{"ok":true}'))
    spec.then(on("t1", ended, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", status="completed", ended_at=NOW + SECOND, error="", started_at=NOW)
    spec.then_task("t1", status="completed", closed_at=NOW + SECOND, current_run_id="")


def test_fail_keeps_the_error_and_metadata_only_in_the_fact() -> None:
    spec = in_status("running").when(
        FailRun(run_id="r1", error=" broken ", metadata=json('{"a": 1}')), at=NOW + SECOND
    )
    ended = RunFailed(
        status="failed", task_status="ready", error="broken", metadata=json('{"a":1}')
    )
    spec.then(on("t1", ended, "r1")).then_reply(task_id="t1", run_id="r1")
    spec.then_run("r1", error="broken", result=NO_JSON, metadata=NO_JSON, ended_at=NOW + SECOND)
    spec.then_task("t1", status="ready", closed_at=0)


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
    spec.then(on("t1", ended, "r1")).then_reply(task_id="t1", run_id="r1")
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


def test_canceling_a_run_that_needs_attention_reopens_what_it_hid() -> None:
    spec = given(task("t1"), *completed("t1", "r0"), task("t2"), waits("t2", "t1"))
    spec.given(queued("t1", "r1")).then_task("t2", status="blocked")
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
