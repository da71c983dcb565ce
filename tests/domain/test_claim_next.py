"""Claim-next: who gets which run, in what order, and what a lease is made of."""

from collections.abc import Iterator
from typing import Any

import pytest

from domain import errors
from domain.commands import (
    ApproveTask,
    AttachSession,
    CancelTask,
    ClaimRun,
    OwnerInput,
    PauseScheduler,
    PauseTask,
    RejectTask,
    ResumeScheduler,
    ResumeTask,
    StopSession,
    UpdateTask,
)
from domain.events import RunClaimed, RunNeedsAttention, SessionRegistered
from domain.instants import SECOND
from domain.registry import SessionState
from domain.values import NO_JSON, Actor
from domain.world import ClaimQuery, Policy
from tests.support.spec import NOW, Past, Spec, given, on
from tests.support.steps import (
    child,
    claim_next,
    complete,
    completed,
    failed,
    leased,
    manual,
    queued,
    running,
    session,
    task,
    waits,
    workspace,
    workspace_task,
)

S1 = Actor("agent_session", "s1")
REGISTERED = Past("session:s1", SessionRegistered(session_id="s1", agent_name="coder"))


def claimed(spec: Spec, session_id: str = "s1", **members: Any) -> str:
    """Return the run a session is handed, empty when there is none."""
    spec.when(claim_next(session_id, **members))
    assert spec.refusal is None, spec.refusal
    assert spec.reply.session_id == session_id
    return spec.reply.run_id


def test_a_claim_makes_a_lease() -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"))
    spec.when(claim_next("s1", at=NOW + SECOND, claim_token_hash="sha256:x", lease_seconds=60))
    spec.then(
        on(
            "t1",
            RunClaimed(
                status="claimed",
                task_status="ready",
                claimed_by=S1,
                claim_token_hash="sha256:x",
                lease_until=NOW + 61 * SECOND,
                session_id="s1",
            ),
            "r1",
        )
    )
    spec.then_reply(task_id="t1", run_id="r1", session_id="s1")
    spec.then_run(
        "r1",
        status="claimed",
        claimed_by=S1,
        session_id="s1",
        claim_token_hash="sha256:x",
        claimed_at=NOW + SECOND,
        heartbeat_at=NOW + SECOND,
        lease_until=NOW + 61 * SECOND,
        started_at=0,
        ended_at=0,
        error="",
        result=NO_JSON,
    )
    spec.then_task("t1", current_run_id="r1", status="ready")


@pytest.mark.parametrize(
    ("asked", "policy", "seconds"),
    [(0, Policy(), 300), (1, Policy(), 1), (86_400, Policy(), 86_400),
     (0, Policy(default_lease_seconds=7), 7)],
)  # fmt: skip
def test_the_length_of_a_lease(asked: int, policy: Policy, seconds: int) -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"))
    spec.policy = policy
    assert claimed(spec, lease_seconds=asked) == "r1"
    spec.then_run("r1", lease_until=NOW + seconds * SECOND)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"lease_seconds": -1}, "lease_seconds must not be negative: -1"),
        ({"lease_seconds": 86_401}, "lease_seconds exceeds 86400"),
        ({"priority_min": -1}, "claim_next.priority_min must not be negative: -1"),
        ({"capabilities": ("a b",)}, "claim_next.required_capabilities must be ids"),
    ],
)
def test_a_bad_claim_is_refused(members: dict[str, Any], text: str) -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"))
    spec.when(claim_next("s1", **members)).then_refused(errors.ValidationError, text)


def test_without_work_there_is_nothing() -> None:
    spec = given(session("s1"), task("t1")).when(claim_next("s1"))
    spec.then_nothing().then_reply(session_id="s1")


def test_rule_1_only_queued_runs() -> None:
    attention = RunNeedsAttention(
        previous_status="queued", status="needs_attention", task_status="ready"
    )
    spec = given(session("s1"), session("s2"), task("t1"), queued("t1", "r1"))
    spec.given(on("t1", attention, "r1"), task("t2"), *running("t2", "r2"))
    spec.given(task("t3"), *completed("t3", "r3"), task("t4"), *leased("t4", "r4", "s2"))
    assert claimed(spec) == ""


def test_rule_2_not_while_the_scheduler_is_paused() -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"), PauseScheduler())
    assert claimed(spec) == ""
    assert claimed(spec.given(ResumeScheduler())) == "r1"


@pytest.mark.parametrize("paused", ["t", "a", "p"])
def test_rule_3_not_while_the_task_or_an_ancestor_is_paused(paused: str) -> None:
    spec = given(session("s1"), task("p"), child("p", "a"), child("a", "t"), queued("t", "r1"))
    spec.given(PauseTask(task_id=paused, reason="why"))
    assert claimed(spec) == ""
    assert claimed(spec.given(ResumeTask(task_id=paused))) == "r1"


def test_rule_4_not_while_the_task_is_blocked() -> None:
    spec = given(session("s1"), task("t0"), task("t1"), waits("t1", "t0"), queued("t1", "r1"))
    assert claimed(spec) == ""
    assert claimed(spec.given(*completed("t0", "r0"))) == "r1"


def test_rule_4_not_before_the_approval() -> None:
    spec = given(session("s1"), manual("t1"), queued("t1", "r1"))
    assert claimed(spec) == ""
    assert claimed(spec.given(RejectTask(task_id="t1"))) == ""
    assert claimed(spec.given(UpdateTask(task_id="t1", approval_policy="none"))) == "r1"


def test_rule_4_an_approved_run_is_handed_out() -> None:
    spec = given(session("s1"), manual("t1")).when(ApproveTask(task_id="t1"), run_id="r1")
    assert claimed(spec) == "r1"


@pytest.mark.parametrize("end", [completed("t1", "r0"), failed("t1", "r0")])
def test_rule_4_a_new_attempt_is_handed_out(end: tuple[Any, ...]) -> None:
    assert claimed(given(session("s1"), task("t1"), *end, queued("t1", "r1"))) == "r1"


@pytest.mark.parametrize(
    ("priority", "value"), [("low", 10), ("medium", 20), ("high", 30), ("urgent", 40)]
)
def test_rule_5_the_least_priority(priority: str, value: int) -> None:
    spec = given(session("s1"), task("t1", priority=priority), queued("t1", "r1"))
    assert claimed(spec, priority_min=value + 1) == ""
    assert claimed(spec, priority_min=value) == "r1"


def test_rule_7_the_workspace() -> None:
    spec = given(workspace("w1"), workspace("w2"), session("s1"), session("s2", workspace="w2"))
    spec.given(workspace_task("t1", "w1"), queued("t1", "r1"))
    assert claimed(spec, "s1") == ""
    assert claimed(spec, "s2") == ""
    assert claimed(spec.given(session("s3", workspace="w1")), "s3") == "r1"
    spec.given(task("t2"), queued("t2", "r2"))
    assert claimed(spec, "s2") == ""
    assert claimed(spec, "s1") == "r2"


def test_rule_7_the_channel() -> None:
    spec = given(workspace("w1"), session("s1", workspace="w1", channel="dev"))
    spec.given(workspace_task("t1"), queued("t1", "r1"))
    spec.given(workspace_task("t2"), queued("t2", "r2", network_channel="ops"))
    assert claimed(spec) == ""
    spec.given(workspace_task("t3"), queued("t3", "r3", network_channel="dev"))
    assert claimed(spec) == "r3"
    assert claimed(spec.given(session("s2", workspace="w1")), "s2") == "r1"


@pytest.mark.parametrize(
    ("owner", "allowed"),
    [
        (("pool", "coder"), True),
        (("pool", "tester"), False),
        (("agent_session", "s1"), True),
        (("agent_session", "s2"), False),
        (("human", "coder"), False),
        (("automation", "s1"), False),
        (("extension", "coder"), False),
        (("network_peer", "coder"), False),
    ],
)
def test_rule_9_the_owner(owner: tuple[str, str], allowed: bool) -> None:
    kind, ref = owner
    spec = given(session("s1"), task("t1", owner=OwnerInput(kind=kind, ref=ref)))
    assert claimed(spec.given(queued("t1", "r1"))) == ("r1" if allowed else "")


def _handed_out(spec: Spec) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        spec.given(session(f"a{number}"))
        run_id = claimed(spec, f"a{number}")
        if not run_id:
            return
        yield run_id


def test_the_order_is_priority_then_age_then_id() -> None:
    spec = given()
    for name, priority, at in (
        ("d", "medium", 1),
        ("b", "low", 0),
        ("c", "medium", 1),
        ("a", "medium", 2),
        ("f", "urgent", 9),
        ("e", "high", 5),
        ("g", "medium", 0),
    ):
        spec.given(task(name, priority=priority), queued(name, f"r-{name}", NOW + at))
    assert list(_handed_out(spec)) == [f"r-{name}" for name in "fegcdab"]


def test_a_changed_priority_counts_at_once() -> None:
    spec = given(task("a"), queued("a", "ra"), task("b"), queued("b", "rb"))
    spec.given(UpdateTask(task_id="b", priority="high"))
    assert list(_handed_out(spec)) == ["rb", "ra"]


def test_a_run_goes_to_one_session_only() -> None:
    spec = given(session("s1"), session("s2"), task("t1"), queued("t1", "r1"))
    assert (claimed(spec, "s1"), claimed(spec, "s2")) == ("r1", "")


def test_a_session_holds_one_lease() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), task("t2"), queued("t2", "r2"))
    text = 'task: active run lease exists: session "s1" already owns an active task-run lease'
    for command in (claim_next("s1"), claim_next("s1", at=NOW + 299 * SECOND)):
        spec.when(command).then_refused(errors.ActiveLeaseError, text)
    spec.given(complete("r1", "s1"))
    assert claimed(spec) == "r2"


def test_an_expired_lease_no_longer_stops_its_holder() -> None:
    spec = given(session("s1"), session("s2"), task("t1"), *leased("t1", "r1"))
    spec.given(task("t2"), queued("t2", "r2"))
    assert claimed(spec, "s1", at=NOW + 300 * SECOND) == "r2"
    assert claimed(spec, "s2", at=NOW + 300 * SECOND) == ""


def test_a_session_bound_without_a_lease_may_claim() -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"), ClaimRun(run_id="r1"))
    spec.given(AttachSession(run_id="r1", session_id="s1"), task("t2"), queued("t2", "r2"))
    assert claimed(spec) == "r2"


def test_the_lease_is_looked_at_before_the_scheduler() -> None:
    spec = given(session("s1"), task("t1"), *leased("t1", "r1"), PauseScheduler())
    spec.when(claim_next("s1")).then_refused(errors.ActiveLeaseError)


def test_an_unknown_session_is_registered_with_what_it_offers() -> None:
    spec = given(workspace("w1"), workspace_task("t1"), queued("t1", "r1"))
    claim = claim_next("s1", workspace_id="w1", capabilities=("go", "go"))
    spec.when(claim)
    registered = SessionRegistered(
        session_id="s1", agent_name="coder", workspace_id="w1", capabilities=("go",)
    )
    assert spec.facts[0] == registered
    assert spec.recorded[0].originator_id == "session:s1"
    spec.then_reply(task_id="t1", run_id="r1", session_id="s1")
    assert spec.world.state("session:s1") == SessionState(
        id="s1",
        agent_name="coder",
        workspace_id="w1",
        capabilities=("go",),
        created_at=NOW,
        updated_at=NOW,
        version=1,
    )


def test_an_unknown_session_is_registered_even_without_work() -> None:
    given().when(claim_next("s1")).then(REGISTERED).then_reply(session_id="s1")


def test_a_session_that_registered_itself_may_offer_more_later() -> None:
    spec = given(REGISTERED, task("t1"), queued("t1", "r1"))
    assert claimed(spec, capabilities=("rust",)) == "r1"


def test_strict_sessions_are_not_registered_by_claiming() -> None:
    spec = given(task("t1"), queued("t1", "r1"))
    spec.policy = Policy(strict_sessions=True)
    spec.when(claim_next("s1")).then_refused(
        errors.IdentityError, 'agent session "s1" is unknown or not active: register'
    )
    assert claimed(spec.given(session("s1"))) == "r1"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"session_id": "gone"}, "identity_stale"),
        ({"agent_name": "tester"}, "identity_mismatch"),
        ({"header_workspace_id": "w1"}, "identity_unauthorized"),
    ],
)
def test_a_known_session_has_to_be_what_it_says(members: dict[str, Any], reason: str) -> None:
    spec = given(workspace("w1"), session("s1"), session("gone"), StopSession(session_id="gone"))
    claim = claim_next(members.pop("session_id", "s1"), **members)
    spec.when(claim).then_refused(errors.IdentityError)
    assert isinstance(spec.refusal, errors.IdentityError)
    assert spec.refusal.reason == reason
    assert spec.refusal.diagnostic is not None
    assert spec.refusal.diagnostic.code == reason


def test_a_session_may_not_claim_in_another_workspace() -> None:
    spec = given(workspace("w1"), workspace("w2"), session("s1"), session("s2", workspace="w2"))
    for session_id in ("s1", "s2"):
        spec.when(claim_next(session_id, workspace_id="w1")).then_refused(
            errors.PermissionDeniedError, f'session "{session_id}" may not claim in workspace "w1"'
        )
    spec.when(claim_next("s2", workspace_id=" w2 ", header_workspace_id="w2")).then_nothing()


def test_an_unknown_session_names_one_known_workspace() -> None:
    spec = given(workspace("w1", name="home"), workspace("w2"))
    spec.when(claim_next("s1", workspace_id="w1", header_workspace_id="w2")).then_refused(
        errors.PermissionDeniedError, 'session "s1" may not claim in another workspace'
    )
    for ref in ("w9", "home"):
        spec.when(claim_next("s1", header_workspace_id=ref)).then_refused(
            errors.IdentityError, f'workspace "{ref}" is not registered: register the workspace'
        )
    spec.when(claim_next("s1", header_workspace_id="w1", workspace_id="w1"))
    spec.then(SessionRegistered(session_id="s1", agent_name="coder", workspace_id="w1"))


def test_a_declared_session_offers_only_what_it_is_registered_for() -> None:
    spec = given(session("s1", capabilities=("go", "rust")), task("t1"), queued("t1", "r1"))
    spec.when(claim_next("s1", capabilities=("go", "java"))).then_refused(
        errors.PermissionDeniedError, 'session "s1" is not registered for capability "java"'
    )
    assert claimed(spec, capabilities=("rust",)) == "r1"


@pytest.mark.parametrize("paused", [False, True])
def test_a_token_of_a_workspace_claims_only_there(paused: bool) -> None:
    spec = given(workspace("w1"), workspace("w2"), session("s1", workspace="w2"))
    if paused:
        spec.given(PauseScheduler())
    for session_id, workspace_id in (("s1", "w2"), ("new", "w2"), ("new", "")):
        spec.when(claim_next(session_id, workspace_id=workspace_id), workspace_limit="w1")
        spec.then_refused(errors.PermissionDeniedError, 'the token is bound to workspace "w1"')
    spec.when(claim_next("new", workspace_id="w1"), workspace_limit="w1").then_reply(
        session_id="new"
    )


def test_a_queue_that_lags_behind_hands_out_nothing_twice() -> None:
    spec = given(session("s1"), session("s2"), task("t1"), *leased("t1", "r1"))
    spec.given(task("t2"), queued("t2", "r2"))
    rows = [("t1", "r1"), ("t2", "r2")]

    def lagging(_: ClaimQuery) -> Iterator[tuple[str, str]]:
        return iter(rows)

    spec.world.claimable_runs = lagging  # type: ignore[method-assign, assignment]
    assert claimed(spec, "s2") == "r2"


def test_a_canceled_task_hands_out_nothing() -> None:
    spec = given(session("s1"), task("t1"), queued("t1", "r1"), CancelTask(task_id="t1"))
    assert claimed(spec) == ""
