"""Explaining a run: what is told for each session is what a claim of that session comes to."""

from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events as e
from domain.commands import ClaimNext
from domain.decide import decide
from domain.errors import ActiveLeaseError
from domain.instants import rfc3339
from domain.profile import ExecutionProfile, ParticipantPolicy, WorkerProfile
from domain.recorded import SCHEDULER_STREAM
from domain.registry import SchedulerState, SessionState
from domain.values import NO_JSON, Actor, Json, Owner
from domain.world import Context, Plan
from projections.queries.eligibility import Asked, eligible_sessions, explain_run
from projections.wire.explain import Explanation
from tests.projections.support import HTTP, Ledger
from tests.projections.test_claims import require


def scheduler_of(ledger: Ledger) -> SchedulerState:
    state = ledger.state(SCHEDULER_STREAM)
    return state if isinstance(state, SchedulerState) else SchedulerState()


def explained(ledger: Ledger, **asked: Any) -> Explanation:
    """Explain the run `run`."""
    found = explain_run(ledger.store, "run", scheduler_of(ledger), ledger.now, Asked(**asked))
    assert found is not None
    return found


def handed(ledger: Ledger, session: SessionState, least: int = 0) -> bool:
    """Whether a claim of a session, which nobody notes, gets the run `run`."""
    ids = iter(range(100))
    context = Context(
        actor=Actor("agent_session", session.id),
        origin=HTTP,
        now=ledger.now,
        command_id="cmd",
        new_id=lambda prefix: f"{prefix}-{next(ids)}",
    )
    plan = Plan(ledger, context, head=len(ledger.history), recorded_at=ledger.now)
    command = ClaimNext(
        session_id=session.id,
        agent_name=session.agent_name,
        priority_min=least,
        claim_token_hash="sha256:x",
    )
    try:
        return decide(command, plan).run_id == "run"
    except ActiveLeaseError:
        return False


class RandomCase:
    """One queued run, some sessions, and now and then something in the way."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ledger = Ledger()
        self._sessions()
        self._task()
        for chance, step in (
            (0.1, lambda: self.ledger.pause("parent")),
            (0.1, lambda: self.ledger.pause("task")),
            (0.1, self._pause_scheduler),
            (0.1, lambda: self.ledger.claim("run")),
        ):
            if self.random.random() < chance:
                step()

    def _sessions(self) -> None:
        pick = self.random.choice
        for number in range(6):
            self.ledger.session(
                f"s{number}",
                agent_name=pick(("ann", "ann", "bob")),
                workspace_id=pick(("", "", "", "ws")),
                channel=pick(("", "", "room")),
                capabilities=pick(((), ("go",), ("go", "sql"))),
                soul_digest=pick(("", "", "sha256:aa")),
                concurrency=pick((1, 1, 2)),
                declared=True,
            )
            if self.random.random() < 0.2:
                self.ledger.create(f"busy{number}")
                self.ledger.enqueue(f"busy{number}", f"busy{number}")
                self.ledger.claim(f"busy{number}", f"s{number}", lease=self.random.choice((1, 99)))

    def _task(self) -> None:
        pick = self.random.choice
        workspace = pick(("", "", "", "ws"))
        self.ledger.create("parent", workspace=workspace)
        self.ledger.create(
            "task",
            parent="parent",
            workspace=workspace,
            status=pick(("ready",) * 7 + ("blocked", "draft", "canceled")),
            priority=pick(("low", "medium", "urgent")),
            owner=pick(
                (
                    None,
                    None,
                    None,
                    None,
                    Owner("pool", "ann"),
                    Owner("agent_session", "s1"),
                    Owner("human", "x"),
                )
            ),
        )
        self.ledger.enqueue(
            "task",
            "run",
            coordination_channel_id=pick(("", "room")),
            metadata=pick((NO_JSON, Json(b"{}"), Json(b"3"))),
        )
        if self.random.random() < 0.5:
            require(self.ledger, "task", self._profile())

    def _profile(self) -> ExecutionProfile:
        pick = self.random.choice
        return ExecutionProfile(
            worker=WorkerProfile(
                mode="inherit",
                agent_name=pick(("", "", "ann")),
                allowed_agent_names=pick(((), (), ("ann", "cat"))),
                required_capabilities=pick(((), ("go",))),
            ),
            participants=ParticipantPolicy(
                allowed_agent_names=pick(((), (), ("bob",))),
                required_capabilities=pick(((), ("sql",))),
            ),
        )

    def _pause_scheduler(self) -> None:
        fact = e.SchedulerPaused()
        self.ledger.step(lambda plan: plan.emit(SCHEDULER_STREAM, fact))


@settings(max_examples=120)
@given(st.builds(RandomCase, st.integers(0, 2**32)), st.sampled_from((0, 0, 20)))
def test_all_rules_pass_for_exactly_the_sessions_that_would_get_the_run(
    case: RandomCase, least: int
) -> None:
    ledger = case.ledger
    found = explained(ledger, priority_min=least)
    for told in found.sessions:
        session = ledger.state(f"session:{told.session_id}")
        assert isinstance(session, SessionState)
        all_pass = all(rule.passed for rule in (*found.rules, *told.rules))
        assert told.eligible == all_pass == handed(ledger, session, least), told
    assert len(found.sessions) == 6
    assert found.eligible_sessions == sum(told.eligible for told in found.sessions)
    ledger.store.close()


def failed(rules: Any) -> Iterator[tuple[str, str]]:
    return ((rule.rule, rule.found) for rule in rules if not rule.passed)


def test_the_run_and_its_task_are_told_with_what_holds_them_back(ledger: Ledger) -> None:
    ledger.create("first")
    ledger.create("done")
    ledger.create("task", status="blocked")
    for blocker in ("first", "done"):
        ledger.depend("task", blocker)
    ledger.emit(
        "done",
        e.TaskStatusChanged(
            previous_status="ready", status="completed", cause_event_id="x", cause_task_id="x"
        ),
    )
    ledger.enqueue("task", "run")
    ledger.pause("task")
    found = explained(ledger)

    assert (found.run.id, found.task.id, found.task.paused_by_task_id) == ("run", "task", "task")
    assert (found.claimable, found.sessions, found.as_of) == (False, (), rfc3339(ledger.now))
    assert list(failed(found.rules)) == [
        ("task_not_paused", "paused with task task"),
        ("task_status", "blocked: waits for first"),
    ]


def test_only_active_sessions_are_told_or_those_asked_for(ledger: Ledger) -> None:
    ledger.create("task", workspace="ws")
    ledger.enqueue("task", "run")
    for name, workspace in (("a", "ws"), ("b", ""), ("c", "ws")):
        ledger.session(name, workspace_id=workspace)
    stopped = e.SessionStopped(session_id="c")
    ledger.step(lambda plan: plan.emit("session:c", stopped))

    def told(**asked: Any) -> list[tuple[str, bool]]:
        return [(each.session_id, each.eligible) for each in explained(ledger, **asked).sessions]

    assert told() == [("a", True), ("b", False)]
    assert told(workspace_id="ws") == [("a", True)]
    assert told(session_id="b") == [("b", False)]
    for nobody in ({"session_id": "c"}, {"session_id": "b", "workspace_id": "ws"}):
        assert told(**nobody) == []
    assert told(session_id="nobody") == []


def test_nothing_unknown_is_explained(ledger: Ledger) -> None:
    assert explain_run(ledger.store, "run", SchedulerState(), ledger.now, Asked()) is None


def test_a_busy_session_still_counts_as_one_that_suits(ledger: Ledger) -> None:
    ledger.session("s1")
    ledger.session("s2", agent_name="other")
    ledger.create("busy")
    ledger.enqueue("busy", "busy")
    ledger.claim("busy", "s1")
    ledger.create("task", owner=Owner("pool", "coder"))
    ledger.enqueue("task", "run")

    assert eligible_sessions(ledger.store, ledger.task("task").task, ledger.run("run")) == 1
    (busy, other) = explained(ledger).sessions
    assert list(failed(busy.rules)) == [("leases", "1")]
    assert list(failed(other.rules)) == [("owner", "agent other, session s2")]
