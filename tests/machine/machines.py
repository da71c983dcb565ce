"""Random requests about runs, and the two machines that have all of it."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine import reviews
from tests.machine.gates import DirectGate, HttpGate, agent_of
from tests.machine.hand_rules import HandRules, has_runs
from tests.machine.rules import (
    IN_WORKSPACE,
    SESSIONS,
    UNKNOWN,
    actors,
    keys,
    numbers,
)
from tests.machine.state import ACTIVE, SECOND

claimers = st.sampled_from((*SESSIONS, *SESSIONS, IN_WORKSPACE, UNKNOWN))
sessions = st.sampled_from((*SESSIONS, *SESSIONS, IN_WORKSPACE))
bound = st.sampled_from(("", "", *SESSIONS))
leases = st.sampled_from((0, 60, 600))
results = st.sampled_from((None, 1, "done", {"answer": [42]}))
errors = st.sampled_from(("broken", "broken", "worse", " "))


def has_claims(machine: "Machine") -> bool:
    """Whether a session ever had a run."""
    return any(run.session for run in machine.model.runs())


class Machine(HandRules):
    """Tasks, runs, leases and the scheduler."""

    def held(self, number: int, session: str) -> str:
        """Return the id of a run, mostly of one the session holds or held."""
        mine = [run for run in self.model.runs() if run.session == session]
        mine.sort(key=lambda run: run.status in ACTIVE)
        if number % 8 and mine:
            return mine[-1 if number % 4 else 0].id
        return self.run_id(number, *ACTIVE)

    # What operators do.

    @precondition(has_runs)
    @rule(number=numbers, actor=actors, key=keys)
    def claim(self, number: int, actor: str, key: str) -> None:
        run_id = self.run_id(number, "queued")
        path, body = f"/task-runs/{run_id}/claim", {"idempotency_key": key}
        who = actor or "human"
        self.ask(actor, lambda: self.model.claim(run_id, who, key), "POST", path, body)

    @precondition(has_runs)
    @rule(number=numbers, actor=actors, key=keys, session=bound)
    def start_run(self, number: int, actor: str, key: str, session: str) -> None:
        run_id = self.run_id(number, "claimed", "starting")
        self.ask(
            actor,
            lambda: self.model.start_run(run_id, actor or "human", key, session),
            "POST",
            f"/task-runs/{run_id}/start",
            {"idempotency_key": key, "session_id": session},
        )

    @precondition(has_runs)
    @rule(number=numbers, session=st.sampled_from((*SESSIONS, UNKNOWN)))
    def attach(self, number: int, session: str) -> None:
        run_id = self.run_id(number, "claimed", "starting")
        path, body = f"/task-runs/{run_id}/attach-session", {"session_id": session}
        self.ask("", lambda: self.model.attach(run_id, session), "POST", path, body)

    @precondition(has_runs)
    @rule(number=numbers, result=results)
    def complete_run(self, number: int, result: Any) -> None:
        run_id = self.run_id(number, "running")
        path, body = f"/task-runs/{run_id}/complete", {"result": result}
        self.ask("", lambda: self.model.complete_run(run_id, result), "POST", path, body)

    @precondition(has_runs)
    @rule(number=numbers, error=errors)
    def fail_run(self, number: int, error: str) -> None:
        run_id = self.run_id(number, "starting", "running")
        path, body = f"/task-runs/{run_id}/fail", {"error": error}
        self.ask("", lambda: self.model.fail_run(run_id, error), "POST", path, body)

    @precondition(lambda self: has_runs(self) and self.steps % 3 == 0)
    @rule(number=numbers)
    def cancel_run(self, number: int) -> None:
        run_id = self.run_id(number, *ACTIVE, "needs_attention")
        path = f"/task-runs/{run_id}/cancel"
        self.ask("", lambda: self.model.cancel_run(run_id), "POST", path)

    @precondition(has_runs)
    @rule(number=numbers, session=bound, ends=st.sampled_from((True, True, False)))
    def operate(self, number: int, session: str, ends: bool) -> None:
        self.claim(number, "", "")
        self.start_run(number, "", "", session)
        if ends:
            self.complete_run(number, "done")

    # What agents do.

    @rule(session=claimers, least=st.sampled_from((0, 0, 0, 30)), lease=leases)
    def claim_next(self, session: str, least: int, lease: int) -> None:
        self.sound = False
        self.both.ask(
            lambda: self.model.claim_next(session, agent_of(session), least, lease),
            "POST",
            "/agent/tasks/claim-next",
            {"priority_min": least, "lease_seconds": lease},
            session,
        )
        self.compare()

    @precondition(has_claims)
    @rule(number=numbers, session=sessions, lease=leases)
    def heartbeat(self, number: int, session: str, lease: int) -> None:
        run_id = self.held(number, session)
        path, body = f"/agent/tasks/{run_id}/heartbeat", {"lease_seconds": lease}
        self.ask(session, lambda: self.model.heartbeat(run_id, session, lease), "POST", path, body)

    @precondition(has_claims)
    @rule(number=numbers, session=sessions, result=results)
    def complete(self, number: int, session: str, result: Any) -> None:
        run_id = self.held(number, session)
        path, body = f"/agent/tasks/{run_id}/complete", {"result": result}
        self.ask(session, lambda: self.model.complete(run_id, session, result), "POST", path, body)

    @precondition(has_claims)
    @rule(number=numbers, session=sessions, error=errors)
    def fail(self, number: int, session: str, error: str) -> None:
        run_id = self.held(number, session)
        path, body = f"/agent/tasks/{run_id}/fail", {"error": error}
        self.ask(session, lambda: self.model.fail(run_id, session, error), "POST", path, body)

    @precondition(has_claims)
    @rule(number=numbers, session=sessions)
    def release(self, number: int, session: str) -> None:
        run_id = self.held(number, session)
        path = f"/agent/tasks/{run_id}/release"
        self.ask(session, lambda: self.model.release(run_id, session), "POST", path, {})

    @precondition(has_runs)
    @rule(session=sessions, ends=st.sampled_from(("complete", "complete", "fail", "release")))
    def work(self, session: str, ends: str) -> None:
        self.claim_next(session, 0, 0)
        if ends == "complete":
            self.complete(1, session, "done")
        elif ends == "fail":
            self.fail(1, session, "broken")
        else:
            self.release(1, session)

    # Reviews.

    @precondition(has_runs)
    @rule(number=numbers, actor=actors, attempt=reviews.attempts, late=st.booleans())
    def request_review(self, number: int, actor: str, attempt: int, late: bool) -> None:
        reviews.request_review(self, number, actor, attempt, late)

    @precondition(reviews.has_reviews)
    @rule(session=sessions)
    def take_review(self, session: str) -> None:
        reviews.take_review(self, session)

    @precondition(reviews.has_reviews)
    @rule(number=numbers, actor=actors, outcome=reviews.outcomes)
    def judge(self, number: int, actor: str, outcome: str) -> None:
        reviews.judge(self, number, actor, outcome)

    # The scheduler.

    @rule(number=numbers)
    def control(self, number: int) -> None:
        if self.model.scheduler_paused:
            self.ask("", self.model.resume_scheduler, "POST", "/scheduler/resume")
        elif number % 4 == 0:
            body = {"reason": "wait"}
            self.ask("", self.model.pause_scheduler, "POST", "/scheduler/pause", body)

    def let_time_pass(self, seconds: int) -> None:
        """Move the clock where that is possible, and take back the leases that ran out by then."""


class HttpMachine(Machine):
    """Over HTTP, where hardly any time passes."""

    gate_class = HttpGate


class DirectMachine(Machine):
    """In this process, where time goes as the machine says."""

    gate_class = DirectGate

    @precondition(has_claims)
    @rule(seconds=st.sampled_from((1, 61, 301, 700)))
    def time_passes(self, seconds: int) -> None:
        self.gate.now += seconds * SECOND
        self.model.now = self.gate.now

    @precondition(has_claims)
    @rule(seconds=st.sampled_from((0, 700)))
    def let_time_pass(self, seconds: int) -> None:
        self.sound = False
        self.gate.now += seconds * SECOND
        self.gate.sweep()
        self.model.now = self.gate.now
        self.model.events = []
        self.model.sweep()
        self.both.learn()
        self.compare()
