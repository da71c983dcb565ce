"""Leases past their deadline."""

import pytest

from domain.commands import ClaimRun, ExpireLeases, PauseScheduler, PauseTask, StartRun
from domain.events import RunLeaseExpired, RunNeedsAttention
from domain.instants import SECOND
from domain.values import BOOT_ACTOR, BOOT_ORIGIN, SCHEDULER_ACTOR, SCHEDULER_ORIGIN
from domain.world import Policy
from tests.support.spec import NOW, Spec, Step, given, on
from tests.support.steps import (
    claim_next,
    complete,
    expire,
    heartbeat,
    leased,
    queued,
    release,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

DEADLINE = NOW + 300 * SECOND


def held() -> Spec:
    """Return a scenario in which session s1 holds run r1."""
    return given(session("s1"), session("s2"), task("t1"), *leased("t1", "r1"))


def test_an_expired_run_goes_back_to_the_queue() -> None:
    spec = held().given(StartRun(run_id="r1"))
    sweep = ExpireLeases(limit=100, reason="scheduler_sweep")
    spec.when(sweep, at=DEADLINE, actor=SCHEDULER_ACTOR, origin=SCHEDULER_ORIGIN)
    spec.then(
        on(
            "t1",
            RunLeaseExpired(
                previous_status="running",
                status="queued",
                task_status="ready",
                reason="scheduler_sweep",
                session_id="s1",
                lease_until=DEADLINE,
                previous_claim_token_hash=f"sha256:s1@{NOW}",
                expiries=1,
            ),
            "r1",
        )
    )
    spec.then_reply()
    assert spec.recorded[0].actor.label == "daemon:scheduler"
    spec.then_run(
        "r1",
        status="queued",
        attempt=1,
        queued_at=NOW,
        requeued_at=DEADLINE,
        expiries=1,
        claimed_by=None,
        claimed_at=0,
        session_id="",
        claim_token_hash="",
        lease_until=0,
        heartbeat_at=0,
        started_at=0,
    )
    spec.then_task("t1", status="ready", current_run_id="")


def test_the_fact_names_the_coordination_channel() -> None:
    spec = given(workspace("w1"), session("s1", workspace="w1"))
    spec.given(workspace_task("t1", network_channel="dev"), *leased("t1", "r1"))
    boot = Step(
        command=ExpireLeases(reason="orphaned_on_boot"),
        actor=BOOT_ACTOR,
        origin=BOOT_ORIGIN,
        at=DEADLINE,
    )
    (fact,) = spec.when(boot).facts
    assert isinstance(fact, RunLeaseExpired)
    assert (fact.reason, fact.coordination_channel_id) == ("orphaned_on_boot", "dev")


def test_a_lease_expires_at_its_deadline_and_not_before() -> None:
    held().when(expire(DEADLINE - 1)).then_nothing()
    assert len(held().when(expire(DEADLINE)).facts) == 1


def test_a_heartbeat_puts_the_expiry_off() -> None:
    held().given(heartbeat("r1", "s1", NOW + SECOND)).when(expire(DEADLINE)).then_nothing()


def test_the_oldest_deadline_goes_first_up_to_the_limit() -> None:
    spec = given()
    for name, seconds in (("c", 30), ("a", 10), ("d", 40), ("b", 20)):
        spec.given(session(name), task(name), queued(name, f"r-{name}"))
        spec.given(claim_next(name, lease_seconds=seconds))
    spec.when(expire(DEADLINE, limit=2))
    assert [past.run_id for past in spec.recorded] == ["r-a", "r-b"]
    spec.when(expire(DEADLINE))
    assert [past.run_id for past in spec.recorded] == ["r-c", "r-d"]


def test_an_operators_claim_never_expires() -> None:
    spec = given(task("t1"), queued("t1", "r1"), ClaimRun(run_id="r1"))
    spec.when(expire(NOW + 10**15)).then_nothing()


def test_leases_expire_while_everything_is_paused() -> None:
    spec = held().given(PauseScheduler(), PauseTask(task_id="t1", reason="why"))
    spec.when(expire(DEADLINE)).then_run("r1", status="queued")


def test_an_ended_run_does_not_expire() -> None:
    held().given(complete("r1", "s1")).when(expire(DEADLINE)).then_nothing()


def test_an_expired_run_of_a_blocked_task_stays_blocked() -> None:
    spec = held().given(StartRun(run_id="r1"), task("t0"), waits("t1", "t0"))
    spec.then_task("t1", status="in_progress")
    spec.when(expire(DEADLINE)).then_task("t1", status="blocked")


def expired_twice() -> Spec:
    """Return a scenario whose run lost two leases and is leased again."""
    spec = given(session("s1"), task("t1"), queued("t1", "r1"))
    for number in range(2):
        spec.given(claim_next("s1", NOW + number * 300 * SECOND))
        spec.given(expire(NOW + (number + 1) * 300 * SECOND))
    return spec.given(claim_next("s1", NOW + 600 * SECOND))


THIRD_DEADLINE = NOW + 900 * SECOND


def test_the_third_expiry_takes_the_run_off_the_queue() -> None:
    spec = expired_twice().when(expire(THIRD_DEADLINE))
    diagnostic = "lease expired 3 times; the run is no longer handed out"
    spec.then(
        on(
            "t1",
            RunLeaseExpired(
                previous_status="claimed",
                status="queued",
                task_status="ready",
                reason="scheduler_sweep",
                session_id="s1",
                lease_until=THIRD_DEADLINE,
                previous_claim_token_hash=f"sha256:s1@{NOW + 600 * SECOND}",
                expiries=3,
            ),
            "r1",
        ),
        on(
            "t1",
            RunNeedsAttention(
                previous_status="queued",
                status="needs_attention",
                diagnostic=diagnostic,
                queued_at=NOW,
                task_status="ready",
            ),
            "r1",
        ),
    )
    assert spec.recorded[1].causation_id == spec.recorded[0].event_id
    spec.then_run("r1", status="needs_attention", error=diagnostic, session_id="", expiries=3)
    spec.then_task("t1", status="ready", current_run_id="")
    spec.when(claim_next("s1", THIRD_DEADLINE)).then_reply(session_id="s1")


@pytest.mark.parametrize(("cap", "status"), [(1, "needs_attention"), (2, "queued")])
def test_the_cap_is_a_setting(cap: int, status: str) -> None:
    spec = held()
    spec.policy = Policy(max_lease_expiries=cap)
    spec.when(expire(DEADLINE)).then_run("r1", status=status)


def test_a_release_counts_no_expiry() -> None:
    spec = expired_twice().given(release("r1", "s1", NOW + 600 * SECOND))
    spec.then_run("r1", status="queued", expiries=2)
