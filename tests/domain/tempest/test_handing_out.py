"""Handing operations out, and what becomes of those that nobody reports on."""

from domain import commands as core
from domain import events as e
from domain.errors import (
    LeaseRejectedError,
    PermissionDeniedError,
    RunNotFoundError,
    ValidationError,
)
from domain.force_commands import RecoverRun, ReleaseRun, RetryRun
from domain.instants import SECOND
from domain.starving import StarvationState
from domain.tempest import commands as c
from domain.values import SCHEDULER_ACTOR, SCHEDULER_ORIGIN, Actor
from tests.domain.tempest.steps import (
    NEXT,
    OWNER,
    SELF,
    ask,
    by_app,
    connect,
    execute,
    report,
    take,
)
from tests.domain.test_held_back import hold, spec_of
from tests.support.spec import NOW, Spec, given, on
from tests.support.steps import claim_next, expire, session, task, waits, workspace

DEADLINE = NOW + 600 * SECOND


def asked() -> Spec:
    return given(workspace("w1"), connect(), ask(run_id="r1"))


def test_an_operation_is_handed_to_its_app_under_a_lease() -> None:
    spec = asked().when(take())
    claimed = e.RunClaimed(
        status="claimed",
        task_status="ready",
        claimed_by=SELF,
        claim_token_hash=f"sha256:{('store', 'v1')}@{NOW}",
        lease_until=DEADLINE,
    )
    spec.then(on("task-1", claimed, "r1")).then_reply(task_id="task-1", run_id="r1")
    (recorded,) = spec.recorded
    assert (recorded.actor, recorded.origin) == (SELF, NEXT)


def test_nothing_is_handed_out_twice() -> None:
    spec = asked().given(take()).when(take())
    spec.then_nothing().then_reply()


def test_another_version_gets_nothing() -> None:
    asked().when(take(app=("store", "v2"))).then_reply()
    asked().when(take(app=("other", "v1"))).then_reply()


def test_the_highest_priority_goes_first_then_the_longest_wait() -> None:
    spec = given(connect())
    for number, priority in enumerate(("low", "", "urgent", "", "high")):
        spec.given(ask(run_id=f"r{number}", priority=priority, at=NOW + number))
    handed = [spec.when(take(NOW + 10 + n)).reply.run_id for n in range(6)]
    assert handed == ["r2", "r4", "r1", "r3", "r0", ""]


def test_nothing_is_handed_out_while_claiming_is_stopped() -> None:
    asked().given(core.PauseScheduler()).when(take()).then_reply()


def test_what_is_paused_canceled_or_blocked_is_not_handed_out() -> None:
    asked().given(core.PauseTask(task_id="task-1", reason="why")).when(take()).then_reply()
    asked().given(core.CancelTask(task_id="task-1")).when(take()).then_reply()
    asked().given(task("t0"), waits("task-1", "t0")).when(take()).then_reply()


def test_what_belongs_to_somebody_else_by_now_is_not_handed_out() -> None:
    spec = asked().given(
        core.UpdateTask(task_id="task-1", owner=core.OwnerInput(kind="human", ref="ann"))
    )
    spec.when(take()).then_reply()


def test_no_agent_is_handed_an_operation() -> None:
    asked().given(session("s1")).when(claim_next("s1")).then_reply(session_id="s1")


def test_an_app_of_a_workspace_is_not_for_others() -> None:
    spec = given(workspace("w1")).when(connect(), workspace_limit="w1").given(ask(run_id="r1"))
    spec.when(take(), workspace_limit="w2").then_refused(PermissionDeniedError)
    spec.when(take(), workspace_limit="w1").then_reply(task_id="task-1", run_id="r1")


def test_apps_have_proper_names() -> None:
    given().when(take(app=("", "v1"))).then_refused(ValidationError, "app_id is required")


def test_an_operation_comes_back_when_its_lease_ends() -> None:
    spec = asked().given(take(), expire(DEADLINE))
    spec.then_run("r1", status="queued", expiries=1)
    spec.when(take(DEADLINE)).then_reply(task_id="task-1", run_id="r1")


def test_the_third_time_it_fails() -> None:
    spec = asked()
    for number in range(3):
        at = NOW + number * 600 * SECOND
        spec.given(take(at))
        spec.when(
            core.ExpireLeases(reason="scheduler_sweep"),
            at=at + 600 * SECOND,
            actor=SCHEDULER_ACTOR,
            origin=SCHEDULER_ORIGIN,
        )
    failed = e.RunFailed(
        status="failed",
        task_status="failed",
        error="lease expired 3 times",
        failure_kind="lease_expired",
    )
    spec.then(spec.facts[0], on("task-1", failed, "r1"))
    spec.then_run("r1", status="failed", failure_kind="lease_expired", expiries=3)
    spec.then_task("task-1", status="failed")
    spec.when(take(NOW + 1800 * SECOND)).then_reply()


def test_a_failed_operation_may_be_given_another_attempt() -> None:
    spec = asked().given(take(), report("r1", status="error", message="no room"))
    spec.given(core.UpdateTask(task_id="task-1", max_attempts=2))
    spec.given(RetryRun(run_id="r1")).when(take()).then_reply(task_id="task-1", run_id="run-1")


def test_an_operation_waits_for_its_app_as_long_as_it_takes() -> None:
    cycle = core.EscalateRuns(min_queued_age=0, event_after=1, needs_attention_after=1, limit=10)
    spec = asked().when(cycle, at=NOW + 86_400 * SECOND).then_nothing()
    assert not isinstance(spec.world.state("starvation"), StarvationState)


def test_no_session_can_report_for_an_app() -> None:
    spec = asked().given(session("s1"), session(OWNER), take())
    for session_id in ("s1", OWNER):
        complete = core.CompleteLease(run_id="r1", session_id=session_id)
        spec.when(complete, actor=Actor("agent_session", session_id), origin=NEXT)
        spec.then_refused(LeaseRejectedError)


def test_a_person_may_take_an_operation_back() -> None:
    spec = asked().given(take(), ReleaseRun(run_id="r1"))
    spec.when(take(NOW + 1)).then_reply(task_id="task-1", run_id="r1")


def aside(run_id: str = "r1") -> c.SetAsideOperation:
    return c.SetAsideOperation(run_id=run_id, reason="the values of A are not in this store")


def test_what_could_not_be_handed_over_is_handed_out_again_at_once() -> None:
    back = c.GiveBackOperation(run_id="r1", reason="the client went away")
    spec = asked().given(take()).when(by_app(back))
    released = e.RunReleased(
        previous_status="claimed",
        status="queued",
        task_status="ready",
        reason="the client went away",
    )
    spec.then(on("task-1", released, "r1")).then_run("r1", status="queued", expiries=0)
    spec.when(take(NOW + 1)).then_reply(task_id="task-1", run_id="r1")
    asked().when(by_app(back)).then_refused(RunNotFoundError, "is queued")


def test_what_cannot_be_handed_out_whole_waits_for_somebody() -> None:
    spec = asked().given(ask(run_id="r2"), take()).when(by_app(aside()))
    released = e.RunReleased(
        previous_status="claimed",
        status="queued",
        task_status="ready",
        reason="the values of A are not in this store",
    )
    attention = e.RunNeedsAttention(
        previous_status="queued",
        status="needs_attention",
        diagnostic="the values of A are not in this store",
        queued_at=NOW,
        task_status="ready",
    )
    spec.then(on("task-1", released, "r1"), on("task-1", attention, "r1"))
    spec.when(take(NOW + 1)).then_reply(task_id="task-2", run_id="r2")
    spec.given(RecoverRun(run_id="r1", in_place=True))
    spec.when(take(NOW + 2)).then_reply(task_id="task-1", run_id="r1")


def test_only_the_holder_sets_an_operation_aside() -> None:
    asked().when(by_app(aside())).then_refused(RunNotFoundError, "is queued")
    other = by_app(aside(), app=("other", "v1"))
    asked().given(take()).when(other).then_refused(RunNotFoundError, "is claimed")
    asked().given(take()).when(by_app(aside(), DEADLINE)).then_refused(RunNotFoundError)


def test_a_task_that_is_held_back_holds_no_other_up() -> None:
    spec = spec_of("task-1").given(connect(), ask(run_id="r1"))
    spec.given(ask(execute("update", "b-1"), run_id="r2", at=NOW + 1))
    hold(spec)
    spec.when(take(NOW + 2), checked=False).then_reply(task_id="task-2", run_id="r2")
