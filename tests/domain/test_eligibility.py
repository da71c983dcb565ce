"""What a task's profile and a session's soul mean for a claim, and the rules one by one."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.commands import ProfileSection, SetProfile
from domain.eligibility import (
    Demand,
    Rule,
    claimant,
    demand_of,
    lease_rule,
    meets,
    run_rules,
    session_rules,
)
from domain.errors import PermissionDeniedError
from domain.events import RunClaimed
from domain.instants import SECOND, rfc3339
from domain.profile import ExecutionProfile, ParticipantPolicy, WorkerProfile
from domain.registry import SchedulerState, SessionState
from domain.task.state import Run, Task
from domain.values import LOCAL_USER, NO_JSON, Json, Origin, Owner, Soul
from domain.world import ClaimQuery
from tests.support.spec import NOW, Spec, given
from tests.support.steps import claim_next, json, queued, release, session, task

HTTP = Origin("http", "tasks.create")
TASK = Task(
    id="t",
    scope="global",
    title="T",
    status="ready",
    created_by=LOCAL_USER,
    origin=HTTP,
    created_at=NOW,
    updated_at=NOW,
)
RUN = Run(id="r", task_id="t", status="queued", attempt=1, origin=HTTP, queued_at=NOW)


def waiting(worker: dict[str, Any], **participants: Any) -> Spec:
    """Return a scenario with one queued run whose task has such a profile."""
    profile = SetProfile(
        task_id="t",
        worker=ProfileSection(**worker),
        participants=ProfileSection(**participants),
    )
    return given(task("t"), queued("t", "r"), profile)


def handed(spec: Spec, session_id: str, **members: Any) -> bool:
    """Whether a session is handed the run."""
    spec.when(claim_next(session_id, **members))
    assert spec.refusal is None, spec.refusal
    return spec.reply.run_id == "r"


@pytest.mark.parametrize(
    ("worker", "participants"),
    [
        ({"agent_name": "ann"}, {}),
        ({"mode": "select", "allowed_agent_names": ("ann", "cat")}, {}),
        ({}, {"allowed_agent_names": ("ann", "cat")}),
        ({"allowed_agent_names": ("ann", "bob")}, {"allowed_agent_names": ("ann", "cat")}),
    ],
)
def test_a_profile_may_name_who_gets_the_run(
    worker: dict[str, Any], participants: dict[str, Any]
) -> None:
    spec = waiting(worker, **participants).given(session("s1", "bob"), session("s2", "ann"))
    assert not handed(spec, "s1", agent_name="bob")
    assert handed(spec, "s2", agent_name="ann")


def test_agents_that_exclude_each_other_leave_nobody() -> None:
    spec = waiting({"agent_name": "ann"}, allowed_agent_names=("bob",))
    spec.given(session("s1", "bob"), session("s2", "ann"))
    assert not handed(spec, "s1", agent_name="bob")
    assert not handed(spec, "s2", agent_name="ann")


def test_what_worker_and_participants_require_has_to_be_offered_together() -> None:
    spec = waiting({"required_capabilities": ("go",)}, required_capabilities=("sql",))
    spec.given(session("s1", capabilities=("go",)), session("s2", capabilities=("sql", "go", "c")))
    assert not handed(spec, "s1")
    assert handed(spec, "s2")


def test_what_is_offered_with_the_claim_counts_besides_what_the_session_has() -> None:
    spec = waiting({"required_capabilities": ("go", "sql")}).given(claim_next("s1"))
    spec.given(claim_next("s2", capabilities=("go",)))
    assert not handed(spec, "s1", capabilities=("go",))
    assert handed(spec, "s2", capabilities=("sql",))


def test_a_declared_session_may_offer_no_more_than_it_is_registered_for() -> None:
    spec = waiting({"required_capabilities": ("go",)}).given(session("s1"))
    spec.when(claim_next("s1", capabilities=("go",))).then_refused(PermissionDeniedError)


def test_what_is_preferred_neither_admits_nor_orders() -> None:
    spec = waiting({"preferred_agent_names": ("ann",), "preferred_capabilities": ("go",)})
    spec.given(task("u"), queued("u", "older", NOW - SECOND), session("s1", capabilities=("go",)))
    spec.when(claim_next("s1")).then_reply(task_id="u", run_id="older", session_id="s1")
    assert handed(spec.given(session("s2", "bob")), "s2", agent_name="bob")


def test_a_profile_counts_as_soon_as_it_is_set_and_no_longer_when_replace() -> None:
    spec = given(task("t"), queued("t", "r"), session("s1"))
    spec.given(SetProfile(task_id="t", worker=ProfileSection(agent_name="ann")))
    assert not handed(spec, "s1")
    assert handed(spec.given(SetProfile(task_id="t")), "s1")


SOUL = {"soul_digest": "sha256:aa", "soul_snapshot_id": "soul-1"}


@pytest.mark.parametrize("sent", ["", '{"a":1.50,"soul":2}'])
def test_a_session_with_a_soul_leaves_its_mark_on_the_run(sent: str) -> None:
    spec = given(task("t"), queued("t", "r", metadata=json(sent)), session("s1", **SOUL))
    spec.when(claim_next("s1", at=NOW + SECOND))
    (fact,) = spec.facts
    assert isinstance(fact, RunClaimed)
    assert fact.soul == Soul(
        snapshot_id="soul-1",
        digest="sha256:aa",
        agent_name="coder",
        captured_at=rfc3339(NOW + SECOND),
    )
    soul = (
        b'"soul":{"snapshot_id":"soul-1","digest":"sha256:aa","agent_name":"coder",'
        b'"captured_at":"2026-04-26T12:00:01Z"}}'
    )
    assert bytes(spec.world.run("r").metadata) == (b'{"a":1.50,' if sent else b"{") + soul
    spec.given(session("s2"), release("r", "s1", NOW + SECOND))
    spec.when(claim_next("s2", at=NOW + SECOND)).then_run("r", status="claimed")
    assert soul in bytes(spec.world.run("r").metadata)


def test_a_run_whose_metadata_is_no_object_is_nothing_for_a_soul() -> None:
    spec = given(task("t"), queued("t", "r", metadata=json("[1]")))
    spec.given(session("s1", soul_digest="sha256:aa"), session("s2"))
    assert not handed(spec, "s1")
    assert handed(spec, "s2")


def test_a_demand_names_its_agent_when_only_one_can_meet_it() -> None:
    assert Demand().only_agent == ""
    assert Demand(worker_agent="a").only_agent == "a"
    assert Demand(worker_agents=("a", "b")).only_agent == ""
    assert Demand(worker_agents=("a", "b"), participant_agents=("b", "c")).only_agent == "b"
    assert Demand(worker_agent="a", participant_agents=("b",)).only_agent == ""


def failed(rules: Any) -> dict[str, tuple[str, str]]:
    """Return expectation and finding of the rules that did not pass, by name."""
    return {rule.rule: (rule.expected, rule.found) for rule in rules if not rule.passed}


def test_the_rules_of_a_run_name_what_holds_it_back() -> None:
    task_ = replace(TASK, status="blocked", approval_policy="manual", approval_state="pending")
    scheduler = SchedulerState(paused=True, paused_by="human:ann")
    run = replace(RUN, status="claimed")
    assert failed(run_rules(TASK, RUN, SchedulerState())) == {}
    assert failed(run_rules(task_, run, scheduler, "p", ["a", "b"])) == {
        "run_queued": ("queued", "claimed"),
        "scheduler_running": ("running", "paused by human:ann"),
        "task_not_paused": ("not paused", "paused with task p"),
        "task_status": (
            "not draft, blocked or canceled",
            "blocked: approval pending, waits for a, waits for b",
        ),
    }


@pytest.mark.parametrize("status", ["draft", "canceled", "blocked"])
def test_a_status_that_holds_back_is_named_as_it_is(status: str) -> None:
    found = failed(run_rules(replace(TASK, status=status), RUN, SchedulerState()))
    assert found == {"task_status": ("not draft, blocked or canceled", status)}


def asking(**members: Any) -> ClaimQuery:
    """Return what a session s1 of agent coder may be handed."""
    usual = {"id": "s1", "agent_name": "coder"}
    least = members.pop("least", 0)
    return claimant(SessionState(**{**usual, **members}), least=least)


def test_the_rules_of_a_session_name_what_it_lacks() -> None:
    profile = ExecutionProfile(
        worker=WorkerProfile(
            mode="select",
            agent_name="ann",
            allowed_agent_names=("ann", "bob"),
            required_capabilities=("go",),
        ),
        participants=ParticipantPolicy(
            allowed_agent_names=("ann",), required_capabilities=("c", "go")
        ),
    )
    picky = replace(TASK, workspace_id="w", owner=Owner("pool", "ann"), profile=profile)
    run = replace(RUN, coordination_channel_id="room", metadata=Json(b"[]"))
    claim = asking(channel="hall", capabilities=("sql",), soul_digest="x", least=30)
    assert failed(session_rules(picky, run, claim)) == {
        "workspace": ("w", "no workspace"),
        "channel": ("room", "hall"),
        "priority": ("at least 30", "medium (20)"),
        "owner": ("pool:ann", "agent coder, session s1"),
        "worker_agent": ("ann", "coder"),
        "worker_allowed_agents": ("ann, bob", "coder"),
        "participant_allowed_agents": ("ann", "coder"),
        "capabilities": ("c, go", "sql"),
        "soul": ("no soul: the metadata is no object", "a soul"),
    }
    assert not meets(demand_of(picky, run), claim)


def test_everything_passes_where_nothing_is_asked() -> None:
    rules = session_rules(TASK, RUN, asking())
    assert failed(rules) == {}
    assert [(rule.expected, rule.found) for rule in rules] == [
        ("no workspace", "no workspace"),
        ("no channel", "any channel"),
        ("at least 0", "medium (20)"),
        ("anybody", "agent coder, session s1"),
        ("anybody", "coder"),
        ("anybody", "coder"),
        ("anybody", "coder"),
        ("none", "none"),
        ("any", "no soul"),
    ]
    assert demand_of(TASK, replace(RUN, metadata=NO_JSON)) is demand_of(TASK, RUN)


def test_a_session_with_all_its_leases_gets_no_more() -> None:
    assert lease_rule(1, 2) == Rule(rule="leases", passed=True, expected="fewer than 2", found="1")
    assert not lease_rule(2, 2).passed
