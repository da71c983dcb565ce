"""Sessions that hold several leases: how many, which, and what their holder may do."""

from collections.abc import Callable
from typing import Any

import pytest

from domain import errors
from domain.commands import ClaimNext, PauseScheduler
from domain.events import RunClaimed, SessionRegistered
from domain.instants import SECOND
from domain.values import Actor
from domain.world import Policy
from tests.support.spec import NOW, Past, Spec, Step, given, on
from tests.support.steps import (
    agent,
    claim_next,
    claim_several,
    complete,
    fail,
    heartbeat,
    queued,
    release,
    session,
    task,
)

S1 = Actor("agent_session", "s1")
DEADLINE = NOW + 300 * SECOND


def waiting(*registered: Any, runs: int = 4) -> Spec:
    """Return a scenario with so many queued runs: r1 of t1, r2 of t2, …"""
    numbers = range(1, runs + 1)
    steps = [step for n in numbers for step in (task(f"t{n}"), queued(f"t{n}", f"r{n}"))]
    return given(*registered, *steps)


def handed(spec: Spec) -> list[str]:
    """Return the runs that the last command handed out."""
    assert spec.refusal is None, spec.refusal
    return [past.run_id for past in spec.recorded if isinstance(past.fact, RunClaimed)]


def claim_of(number: int) -> Past:
    """Return the claim of a run, the first ones in their order."""
    fact = RunClaimed(
        status="claimed",
        task_status="ready",
        claimed_by=S1,
        claim_token_hash=f"sha256:s1@{NOW}#{number - 1}",
        lease_until=DEADLINE,
        session_id="s1",
    )
    return on(f"t{number}", fact, f"r{number}")


def test_the_best_runs_are_handed_out_together() -> None:
    spec = waiting(session("s1", concurrency=3)).when(claim_several("s1", 3))
    spec.then(claim_of(1), claim_of(2), claim_of(3))
    spec.then_reply(task_id="t1", run_id="r1", session_id="s1")


@pytest.mark.parametrize(
    ("asked", "runs", "expected"),
    [(1, 4, 1), (2, 4, 2), (3, 4, 3), (10, 4, 3), (3, 2, 2), (3, 0, 0)],
)
def test_nobody_gets_more_than_asked_declared_or_there(
    asked: int, runs: int, expected: int
) -> None:
    spec = waiting(session("s1", concurrency=3), runs=runs).when(claim_several("s1", asked))
    assert len(handed(spec)) == expected


def test_what_is_held_counts() -> None:
    spec = waiting(session("s1", concurrency=3)).given(claim_several("s1", 2))
    assert handed(spec.when(claim_several("s1", 3, NOW + 1))) == ["r3"]
    spec.when(claim_several("s1", 3, NOW + 2))
    text = 'session "s1" already owns 3 active task-run leases'
    spec.then_refused(errors.ActiveLeaseError, text)
    spec.given(complete("r2", "s1"))
    assert handed(spec.when(claim_several("s1", 3, NOW + 3))) == ["r4"]


def test_one_at_a_time_is_possible_as_well() -> None:
    spec = waiting(session("s1", concurrency=2))
    assert handed(spec.when(claim_next("s1"))) == ["r1"]
    assert handed(spec.when(claim_next("s1", NOW + 1))) == ["r2"]
    spec.when(claim_next("s1", NOW + 2)).then_refused(errors.ActiveLeaseError)


def test_a_session_that_declares_nothing_holds_one() -> None:
    spec = waiting(session("s1"))
    assert handed(spec.when(claim_several("s1", 3))) == ["r1"]
    text = 'session "s1" already owns an active task-run lease'
    spec.when(claim_several("s1", 3)).then_refused(errors.ActiveLeaseError, text)


def test_leases_that_ran_out_do_not_count() -> None:
    spec = waiting(session("s1", concurrency=2)).given(claim_several("s1", 2))
    assert handed(spec.when(claim_several("s1", 2, DEADLINE))) == ["r3", "r4"]


def test_an_unknown_session_declares_by_claiming() -> None:
    fact = SessionRegistered(session_id="s1", agent_name="coder", concurrency=3)
    spec = waiting().when(claim_several("s1", 3))
    spec.then(Past("session:s1", fact), claim_of(1), claim_of(2), claim_of(3))


def test_a_session_that_registered_itself_may_ask_for_more_later() -> None:
    spec = waiting().given(claim_next("s1", capabilities=("go",)))
    spec.when(claim_several("s1", 3, NOW + 1))
    more = SessionRegistered(
        session_id="s1", agent_name="coder", capabilities=("go",), concurrency=3
    )
    assert spec.facts[0] == more
    assert handed(spec) == ["r2", "r3"]
    assert handed(spec.given(complete("r2", "s1")).when(claim_next("s1", NOW + 2))) == ["r4"]


def test_strict_sessions_have_to_be_registered() -> None:
    spec = waiting()
    spec.policy = Policy(strict_sessions=True)
    spec.when(claim_several("s1", 3)).then_refused(errors.IdentityError)


def test_nothing_is_handed_out_while_the_scheduler_is_paused() -> None:
    spec = waiting(session("s1", concurrency=3)).given(PauseScheduler())
    spec.when(claim_several("s1", 3)).then_nothing().then_reply(session_id="s1")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"lease_seconds": -1}, "lease_seconds must not be negative: -1"),
        ({"priority_min": -1}, "claim_next.priority_min must not be negative: -1"),
        ({"capabilities": ("a b",)}, "claim_next.required_capabilities must be ids"),
    ],
)
def test_a_bad_claim_is_refused(members: dict[str, Any], text: str) -> None:
    spec = waiting(session("s1", concurrency=3)).when(claim_several("s1", 3, **members))
    spec.then_refused(errors.ValidationError, text)


@pytest.mark.parametrize("mutate", [heartbeat, complete, fail, release])
def test_each_lease_is_held_for_itself(mutate: Callable[..., Step]) -> None:
    spec = waiting(session("s1", concurrency=3), session("s2")).given(claim_several("s1", 3))
    spec.when(mutate("r2", "s1"))
    assert [past.run_id for past in spec.recorded] == ["r2"]
    spec.when(mutate("r4", "s1")).then_refused(errors.LeaseRejectedError, "AUTONOMY_FOREIGN_RUN")
    spec.when(mutate("r3", "s2")).then_refused(
        errors.LeaseRejectedError, "AUTONOMY_NO_ACTIVE_LEASE"
    )
    spec.when(mutate("r3", "s1", DEADLINE)).then_refused(
        errors.LeaseRejectedError, "AUTONOMY_LEASE_EXPIRED"
    )


@pytest.mark.parametrize("concurrency", [0, -1, 101])
def test_a_session_declares_from_one_to_a_hundred(concurrency: int) -> None:
    spec = given().when(session("s1", concurrency=concurrency))
    spec.then_refused(errors.ValidationError, "session.concurrency must be ")


def test_a_session_cannot_declare_less_than_it_holds() -> None:
    spec = waiting(session("s1", concurrency=3)).given(claim_several("s1", 2))
    text = 'session "s1" holds 2; session.concurrency must not be less'
    spec.when(session("s1")).then_refused(errors.ActiveLeaseError, text)
    spec.given(session("s1", concurrency=2), complete("r1", "s1"), session("s1"))
    spec.when(complete("r2", "s1"))
    assert spec.refusal is None


def test_both_kinds_of_claim_ask_for_the_same() -> None:
    several = claim_several("s1", 1, claim_token_hashes=("sha256:x",))
    one = agent("s1", ClaimNext(session_id="s1", agent_name="coder", claim_token_hash="sha256:x"))
    assert waiting().when(several).recorded == waiting().when(one).recorded
