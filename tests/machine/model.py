"""The model's operations on runs, leases and the scheduler; with them it is complete."""

from typing import Any

from tests.machine.by_hand import ByHand
from tests.machine.reviews import Reviews
from tests.machine.state import (
    ACTIVE,
    MAX_EXPIRIES,
    OPEN,
    PRIORITIES,
    SECOND,
    TRANSITION,
    VALIDATION,
    Outcome,
    RefusedError,
    Run,
    Session,
)

DEFAULT_LEASE = 300
ATTENTION = "lease expired {} times; the run is no longer handed out"
HELD_BACK = {"blocked", "draft", "canceled"}


class Model(Reviews, ByHand):
    """Everything the API is asked to do."""

    # What operators do with a given run.

    def claim(self, run_id: str, actor: str, key: str) -> Outcome:
        """Claim a run without a lease."""
        self._require_key(actor, key, "claim_run")
        run = self._workable(run_id)
        self._check_status(run, {"queued"}, "claimed")
        kind, ref = run.task.owner or ("", "")
        if kind == "pool" or (kind == "agent_session" and ref != actor):
            raise RefusedError(403, "task: permission denied")
        run.status = "claimed"
        run.claimed_by = ("human", "local-user") if actor == "human" else ("agent_session", actor)
        self.note("task.run_claimed", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def start_run(self, run_id: str, actor: str, key: str, session_id: str) -> Outcome:
        """Bring a claimed or starting run to running."""
        self._require_key(actor, key, "start_run")
        run = self._workable(run_id)
        self._check_status(run, {"claimed", "starting"}, "starting")
        if run.session and session_id not in {"", run.session}:
            raise RefusedError(409, "task: session already bound")
        if run.status == "claimed":
            own = "" if actor == "human" else actor
            if not run.session:
                self._check_free(session_id or own, run)
                run.session = session_id or own
            self.note("task.run_starting", run.task, run)
            self.note("task.run_session_bound", run.task, run)
        run.status, run.started = "running", True
        self.note("task.run_started", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def attach(self, run_id: str, session_id: str) -> Outcome:
        """Bind a session to a claimed run."""
        run = self._workable(run_id)
        if run.session:
            raise RefusedError(409, "task: session already bound")
        if run.status not in {"claimed", "starting"}:
            raise RefusedError(409, "task: session attach not allowed")
        self._check_free(session_id, run)
        if session_id not in self.sessions:
            raise RefusedError(404, "session: session not found")
        run.status, run.session = "starting", session_id
        self.note("task.run_session_bound", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def complete_run(self, run_id: str, result: Any) -> Outcome:
        """End a running run well."""
        run = self._unfenced(run_id)
        outcome = ("completed by hand", repr(result))
        if run.outcome == outcome:
            return Outcome(200, run.task, run, replayed=True)
        self._check_status(run, {"running"}, "completed")
        run.outcome = outcome
        return self._complete(run, result)

    def fail_run(self, run_id: str, error: str) -> Outcome:
        """End a starting or running run badly."""
        if not error.strip():
            raise RefusedError(422, f"{VALIDATION}: fail_run.error is required")
        run = self._unfenced(run_id)
        outcome = ("failed by hand", error)
        if run.outcome == outcome:
            return Outcome(200, run.task, run, replayed=True)
        self._check_status(run, {"starting", "running"}, "failed")
        run.outcome = outcome
        return self._fail(run, error)

    def cancel_run(self, run_id: str) -> Outcome:
        """Give up an open run."""
        run = self.run(run_id)
        self._check_status(run, OPEN, "canceled")
        self.give_up(run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def _require_key(self, actor: str, key: str, operation: str) -> None:
        if actor != "human" and not key:
            raise RefusedError(422, f"{VALIDATION}: {operation}.idempotency_key is required")

    def _workable(self, run_id: str) -> Run:
        run = self.run(run_id)
        if run.task.status in HELD_BACK:
            raise RefusedError(409, f'{TRANSITION}: task "{run.task.id}" is {run.task.status}')
        return run

    def _unfenced(self, run_id: str) -> Run:
        run = self.run(run_id)
        if run.leased:
            raise RefusedError(409, "task: invalid claim token")
        return run

    def _check_status(self, run: Run, statuses: set[str], wanted: str) -> None:
        if run.status not in statuses:
            text = f'task run "{run.id}" cannot transition from "{run.status}" to "{wanted}"'
            raise RefusedError(409, f"{TRANSITION}: {text}")

    def _check_free(self, session_id: str, run: Run) -> None:
        for other in self.runs():
            if other is not run and session_id and self._binds(other, session_id):
                raise RefusedError(409, "task: session already bound")

    def _binds(self, run: Run, session_id: str) -> bool:
        return run.status in ACTIVE and run.session == session_id

    def _complete(self, run: Run, result: Any) -> Outcome:
        run.status, run.result, run.error, run.until = "completed", result, "", 0
        self.note("task.run_completed", run.task, run)
        self.settle(run.task, by_completion=True)
        return Outcome(200, run.task, run)

    def _fail(self, run: Run, error: str) -> Outcome:
        run.status, run.error, run.result, run.until = "failed", error, None, 0
        self.note("task.run_failed", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    # What agents do under a lease.

    def register(self, session_id: str, agent: str, workspace: str) -> Outcome:
        """Make a session known."""
        self.sessions[session_id] = Session(session_id, agent, workspace)
        self.note("session.registered")
        return Outcome(200)

    def check_identity(self, session_id: str, agent: str) -> None:
        """Refuse a caller that is not who it says."""
        session = self.sessions.get(session_id)
        if session is None or session.agent != agent:
            raise RefusedError(401, "")

    def claim_next(self, session_id: str, agent: str, priority_min: int, lease: int) -> Outcome:
        """Claim the best run that waits."""
        if session_id not in self.sessions:
            self.register(session_id, agent, "")
        self.check_identity(session_id, agent)
        session = self.sessions[session_id]
        if self.leases(session_id):
            raise RefusedError(409, "task: active run lease exists")
        waiting = [run for run in self.runs() if self._may_claim(session, run, priority_min)]
        if self.scheduler_paused or not waiting:
            return Outcome(204)
        run = min(waiting, key=place_in_queue)
        run.status, run.claimed_by = "claimed", ("agent_session", session_id)
        run.session, run.leased = session_id, True
        run.until = self.now + (lease or DEFAULT_LEASE) * SECOND
        self.note("task.run_claimed", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def would_get(self, session_id: str, run: Run) -> bool:
        """Whether a session that claims now may be handed this run."""
        session = self.sessions[session_id]
        free = not self.scheduler_paused and not self.leases(session_id)
        return free and self._may_claim(session, run, 0)

    def _may_claim(self, session: Session, run: Run, priority_min: int) -> bool:
        task = run.task
        mine = {None, ("pool", session.agent), ("agent_session", session.id)}
        return (
            run.status == "queued"
            and task.status not in HELD_BACK
            and not task.paused_by
            and task.workspace == session.workspace
            and PRIORITIES[task.priority] >= priority_min
            and task.owner in mine
            and (task.profile or {}).get("agent_name", "") in {"", session.agent}
        )

    def leases(self, session_id: str) -> list[Run]:
        """Return what a session holds."""
        return [
            run
            for run in self.runs()
            if self._binds(run, session_id) and run.leased and run.until > self.now
        ]

    def heartbeat(self, run_id: str, session_id: str, lease: int) -> Outcome:
        """Extend a lease."""
        run = self._held(run_id, session_id)
        run.until = self.now + (lease or DEFAULT_LEASE) * SECOND
        self.note("task.run_lease_extended", run.task, run)
        return Outcome(200, run.task, run)

    def complete(self, run_id: str, session_id: str, result: Any) -> Outcome:
        """End a leased run well."""
        outcome = ("completed", repr(result))
        if replay := self._same_outcome(run_id, session_id, outcome):
            return replay
        run = self._held(run_id, session_id)
        run.outcome = outcome
        return self._complete(run, result)

    def fail(self, run_id: str, session_id: str, error: str) -> Outcome:
        """End a leased run badly."""
        if not error.strip():
            raise RefusedError(422, f"{VALIDATION}: fail_run.error is required")
        outcome = ("failed", error)
        if replay := self._same_outcome(run_id, session_id, outcome):
            return replay
        run = self._held(run_id, session_id)
        run.outcome = outcome
        return self._fail(run, error)

    def release(self, run_id: str, session_id: str) -> Outcome:
        """Give a leased run back."""
        run = self._held(run_id, session_id)
        run.requeue()
        self.note("task.run_released", run.task, run)
        self.settle(run.task)
        return Outcome(200, run.task, run)

    def _same_outcome(
        self, run_id: str, session_id: str, outcome: tuple[str, str]
    ) -> Outcome | None:
        run = next((each for each in self.runs() if each.id == run_id), None)
        if run and run.session == session_id and run.outcome == outcome:
            return Outcome(200, run.task, run, replayed=True)
        return None

    def _held(self, run_id: str, session_id: str) -> Run:
        held = self.leases(session_id)
        for run in held:
            if run.id == run_id:
                return run
        rejected = "task: autonomy lease rejected: AUTONOMY_"
        if any(run.id == run_id and run.session == session_id for run in self.runs()):
            raise RefusedError(409, f"{rejected}LEASE_EXPIRED")
        if held:
            raise RefusedError(403, f"{rejected}FOREIGN_RUN")
        raise RefusedError(409, f"{rejected}NO_ACTIVE_LEASE")

    # What the server does by itself.

    def sweep(self) -> None:
        """Take back every lease that ran out, and end the reviews whose time is over."""
        for run in self.runs():
            if run.status in ACTIVE and run.leased and run.until <= self.now:
                run.requeue()
                run.expiries += 1
                self.note("task.run_lease_expired", run.task, run)
                if run.expiries >= MAX_EXPIRIES:
                    run.status = "needs_attention"
                    run.error = ATTENTION.format(run.expiries)
                    self.note("task.run_needs_attention", run.task, run)
                self.settle(run.task)
        self.end_reviews()

    # The scheduler.

    def pause_scheduler(self) -> Outcome:
        """Stop claiming everywhere."""
        self.scheduler_paused = True
        self.note("scheduler.paused")
        return Outcome(200)

    def resume_scheduler(self) -> Outcome:
        """Let claiming go on."""
        self.scheduler_paused = False
        self.note("scheduler.resumed")
        return Outcome(200)


def place_in_queue(run: Run) -> tuple[int, int, str]:
    """Return what runs are handed out by: the smallest first."""
    return -PRIORITIES[run.task.priority], run.queued_at, run.id
