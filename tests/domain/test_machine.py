"""Any script of commands does to the ledger what it does to a plain model."""

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain import commands as c
from domain import errors
from domain.errors import DomainError
from domain.events import RunEnqueued, RunLeaseExpired
from domain.instants import SECOND
from tests.domain.model import OPEN, RANK, Model, ModelRun, ModelTask
from tests.support.invariants import check_invariants
from tests.support.spec import NOW, Spec, Step
from tests.support.steps import agent, claim_next, expire, json, session, task

SESSIONS = ("s1", "s2", "s3")
MOST_TASKS = 8
TRANSITION = errors.InvalidTransitionError
numbers = st.integers(0, 99)
sessions = st.sampled_from(SESSIONS)
results = st.sampled_from(["", "1", "2"])
OPERATIONS: dict[str, tuple[set[str], str]] = {
    "claim": ({"queued"}, "claimed"),
    "start": ({"claimed"}, "running"),
    "complete": ({"running"}, "completed"),
    "fail": ({"running"}, "failed"),
    "cancel": (OPEN, "canceled"),
}


class TasksAndLeases(RuleBasedStateMachine):
    """Runs each command on both sides and compares outcome, replies and states."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = Spec().given(*(session(name) for name in SESSIONS))
        self.model = Model()
        self.now = NOW
        self.created = 0

    def send(self, command: c.Command | Step, *, refused: type[DomainError] | None = None) -> None:
        """Decide a command and expect it to pass, or to be refused."""
        if isinstance(command, Step):
            self.spec.when(command, checked=False)
        else:
            self.spec.when(command, at=self.now, checked=False)
        if refused is None:
            assert self.spec.refusal is None, self.spec.refusal
        else:
            self.spec.then_refused(refused)

    def some_task(self, number: int) -> ModelTask:
        return list(self.model.tasks.values())[number % len(self.model.tasks)]

    def some_run(
        self, number: int, likely: Callable[[ModelRun], bool]
    ) -> tuple[ModelTask, ModelRun]:
        """Return a run; most numbers pick one for which the command is likely to pass."""
        runs = self.model.runs()
        fit = [run for run in runs if likely(run)] if number % 4 < 3 else []
        picked = (fit or runs)[number % len(fit or runs)]
        found = self.model.run(picked.id)
        assert found is not None
        return found

    def queue(self, task_: ModelTask, run_id: str) -> None:
        task_.runs.append(ModelRun(run_id, len(task_.runs) + 1, self.now))

    def expect_runs_for(self, task_ids: list[str]) -> None:
        """Expect the runs that queued themselves, and let them wait in the model too."""
        wanted = [task_id for task_id in task_ids if self.model.wants_run(task_id)]
        seen = [past for past in self.spec.recorded if isinstance(past.fact, RunEnqueued)]
        assert [past.task_id for past in seen] == wanted
        for past in seen:
            self.queue(self.model.tasks[past.task_id], past.run_id)

    @initialize(
        auto=st.booleans(), below=st.none() | numbers, priorities=st.permutations(sorted(RANK))
    )
    def begin(self, auto: bool, below: int | None, priorities: list[str]) -> None:
        for place, priority in enumerate(priorities):
            self.create(priority, below if place else None, 3, auto)
        self.wait_for(3, 0)
        for number in (0, 1, 3):
            self.enqueue(number)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(
        priority=st.sampled_from(sorted(RANK)),
        below=st.none() | numbers,
        attempts=st.integers(1, 3),
        auto=st.booleans(),
    )
    def create(self, priority: str, below: int | None, attempts: int, auto: bool) -> None:
        parent = self.some_task(below).id if below is not None and self.model.tasks else ""
        if len(self.model.tasks) >= MOST_TASKS:
            return
        self.created += 1
        name = f"t{self.created}"
        self.send(
            task(
                name,
                parent_task_id=parent or None,
                priority=priority,
                max_attempts=attempts,
                auto_enqueue_on_ready=auto,
            )
        )
        self.model.tasks[name] = ModelTask(name, priority, parent, attempts, auto)

    @rule(number=numbers)
    def enqueue(self, number: int) -> None:
        wanted = self.some_task(number)
        refused = (
            wanted.canceled
            or self.model.status(wanted.id) == "canceled"
            or wanted.open is not None
            or len(wanted.runs) >= wanted.max_attempts
        )
        self.send(c.EnqueueRun(task_id=wanted.id), refused=TRANSITION if refused else None)
        if not refused:
            self.queue(wanted, self.spec.reply.run_id)

    @rule(number=numbers, name=sessions, seconds=st.integers(1, 300))
    def claim(self, number: int, name: str, seconds: int) -> None:
        free = [other for other in SESSIONS if not self.model.leases(other, self.now)]
        if number % 4 < 3 and free:
            name = free[number % len(free)]
        command = claim_next(name, self.now, lease_seconds=seconds)
        if self.model.leases(name, self.now):
            self.send(command, refused=errors.ActiveLeaseError)
            return
        self.send(command)
        run = self.model.next_run()
        assert self.spec.reply.run_id == (run.id if run else "")
        if run is not None:
            run.status, run.session, run.leased = "claimed", name, True
            run.deadline = self.now + seconds * SECOND

    def some_holder(self, number: int, name: str) -> tuple[ModelTask, ModelRun, str]:
        """Return a run, most often a leased one, and the session that speaks about it."""
        task_, run = self.some_run(number, lambda run: run.leased)
        return task_, run, run.session if number % 4 < 3 and run.leased else name

    def lease(self, run: ModelRun, name: str, command: c.Command) -> bool:
        """Send what only the holder may send; return whether the session holds the run."""
        step = agent(name, command, self.now)
        holds = run in self.model.leases(name, self.now)
        self.send(step, refused=None if holds else errors.LeaseRejectedError)
        if isinstance(self.spec.refusal, errors.LeaseRejectedError):
            assert self.spec.refusal.reason == self.reason(run, name)
        return holds

    def reason(self, run: ModelRun, name: str) -> str:
        if run.session == name:
            return "AUTONOMY_LEASE_EXPIRED"
        if self.model.leases(name, self.now):
            return "AUTONOMY_FOREIGN_RUN"
        return "AUTONOMY_NO_ACTIVE_LEASE"

    @rule(number=numbers, name=sessions, seconds=st.integers(1, 300))
    def heartbeat(self, number: int, name: str, seconds: int) -> None:
        _, run, name = self.some_holder(number, name)
        beat = c.Heartbeat(run_id=run.id, session_id=name, lease_seconds=seconds)
        if self.lease(run, name, beat):
            run.deadline = self.now + seconds * SECOND

    @rule(number=numbers, name=sessions)
    def release(self, number: int, name: str) -> None:
        _, run, name = self.some_holder(number, name)
        if self.lease(run, name, c.ReleaseLease(run_id=run.id, session_id=name)):
            self.model.give_back(run)

    @rule(number=numbers, name=sessions, result=results, good=st.booleans())
    def end_lease(self, number: int, name: str, result: str, good: bool) -> None:
        wanted, run, name = self.some_holder(number, name)
        body = json(result)
        command: c.Command = c.FailLease(run_id=run.id, session_id=name, error="e", metadata=body)
        if good:
            command = c.CompleteLease(run_id=run.id, session_id=name, result=body)
        outcome = ("completed" if good else "failed", result)
        if run.session == name and run.outcome == outcome:
            self.send(agent(name, command, self.now))
            self.spec.then_nothing()
            self.spec.then_reply(task_id=wanted.id, run_id=run.id, replayed=True)
        elif self.lease(run, name, command):
            run.outcome = outcome
            self.end(wanted, run, outcome[0])

    def end(self, task_: ModelTask, run: ModelRun, status: str) -> None:
        run.status = status
        self.expect_runs_for(self.model.dependents(task_.id) if status == "completed" else [])

    @rule(number=numbers, move=st.sampled_from([*OPERATIONS, "start", "complete"]))
    def operate(self, number: int, move: str) -> None:
        sources, _ = OPERATIONS[move]
        wanted, run = self.some_run(number, lambda run: run.status in sources)
        self.move(wanted, run, move)

    @rule(number=numbers, end=st.sampled_from(["complete", "complete", "fail"]))
    def work(self, number: int, end: str) -> None:
        wanted, run = self.some_run(number, lambda run: run.status == "queued")
        for move in ("claim", "start", end):
            self.move(wanted, run, move)

    @rule(rounds=st.integers(1, 3), name=sessions)
    def lose(self, rounds: int, name: str) -> None:
        for _ in range(rounds):
            self.claim(3, name, 1)
            self.time_passes(300)
            self.sweep()

    def move(self, wanted: ModelTask, run: ModelRun, move: str) -> None:
        """Let an operator move a run."""
        sources, target = OPERATIONS[move]
        held_back = self.model.status(wanted.id) in {"blocked", "canceled"}
        command = {
            "claim": c.ClaimRun(run_id=run.id),
            "start": c.StartRun(run_id=run.id),
            "complete": c.CompleteRun(run_id=run.id),
            "fail": c.FailRun(run_id=run.id, error="e"),
            "cancel": c.CancelRun(run_id=run.id),
        }[move]
        ending = move in {"complete", "fail"}
        if ending and run.outcome == ("by hand", move):
            self.send(command)
            self.spec.then_nothing()
            self.spec.then_reply(task_id=wanted.id, run_id=run.id, replayed=True)
            return
        refused: type[DomainError] | None = None
        if ending and run.leased:
            refused = errors.InvalidClaimTokenError
        elif run.status not in sources or (held_back and move in {"claim", "start"}):
            refused = TRANSITION
        self.send(command, refused=refused)
        if refused is None:
            run.session = self.spec.world.run(run.id).session_id
            run.outcome = ("by hand", move) if ending else run.outcome
            self.end(wanted, run, target)
            wanted.canceled |= self.model.status(wanted.id) == "canceled"

    @rule()
    def sweep(self) -> None:
        late = self.model.expire(self.now)
        self.send(expire(self.now))
        expired = [past for past in self.spec.recorded if isinstance(past.fact, RunLeaseExpired)]
        assert [past.run_id for past in expired] == late

    @rule(number=numbers, blocker=numbers)
    def wait_for(self, number: int, blocker: int) -> None:
        waiting, goal = self.some_task(number), self.some_task(blocker)
        refused: type[DomainError] | None = None
        if waiting is goal or goal.id in waiting.blockers:
            refused = errors.ValidationError
        elif self.model.waits_for(goal.id, waiting.id):
            refused = errors.DependencyCycleError
        self.send(c.AddDependency(task_id=waiting.id, depends_on_task_id=goal.id), refused=refused)
        if refused is None:
            waiting.blockers.append(goal.id)

    @rule(number=numbers, blocker=numbers)
    def wait_no_more(self, number: int, blocker: int) -> None:
        waiting, goal = self.some_task(number), self.some_task(blocker)
        edges = [(task_, name) for task_ in self.model.tasks.values() for name in task_.blockers]
        if number % 4 < 3 and edges:
            waiting, goal_id = edges[blocker % len(edges)]
            goal = self.model.tasks[goal_id]
        known = goal.id in waiting.blockers
        self.send(
            c.RemoveDependency(task_id=waiting.id, depends_on_task_id=goal.id),
            refused=None if known else errors.DependencyNotFoundError,
        )
        if known:
            held_back = self.model.status(waiting.id) == "blocked"
            waiting.blockers.remove(goal.id)
            self.expect_runs_for([waiting.id] if held_back else [])

    @rule(number=numbers, kind=st.sampled_from(["pause", "resume", "cancel", "delete"]))
    def manage(self, number: int, kind: str) -> None:
        {
            "pause": self.pause,
            "resume": self.resume,
            "cancel": self.cancel,
            "delete": self.delete,
        }[kind](number)

    def pause(self, number: int) -> None:
        wanted = self.some_task(number)
        over = self.model.status(wanted.id) in {"completed", "failed", "canceled"}
        self.send(
            c.PauseTask(task_id=wanted.id, reason="why"), refused=TRANSITION if over else None
        )
        wanted.paused |= not over

    def resume(self, number: int) -> None:
        wanted = self.some_task(number)
        was, wanted.paused = wanted.paused, False
        self.send(c.ResumeTask(task_id=wanted.id))
        below = self.model.below(wanted.id) if was else []
        seen = [past.task_id for past in self.spec.recorded if isinstance(past.fact, RunEnqueued)]
        assert sorted(seen) == sorted(filter(self.model.wants_run, below))
        self.expect_runs_for(seen)

    def cancel(self, number: int) -> None:
        wanted = self.some_task(number)
        over = self.model.status(wanted.id) in {"completed", "failed"} and wanted.open is None
        self.send(c.CancelTask(task_id=wanted.id), refused=TRANSITION if over else None)
        if over:
            return
        statuses = {name: self.model.status(name) for name in self.model.below(wanted.id)}
        for name, status in statuses.items():
            if name != wanted.id and status in {"completed", "failed", "canceled"}:
                continue
            given_up = self.model.tasks[name]
            given_up.canceled = True
            if given_up.open is not None:
                given_up.open.status = "canceled"

    def delete(self, number: int) -> None:
        wanted = self.some_task(number)
        if len(self.model.runs()) == len(wanted.runs):
            return
        kept = wanted.open is not None or len(self.model.below(wanted.id)) > 1
        refused = errors.DeletePreconditionError if kept else None
        self.send(c.DeleteTask(task_id=wanted.id), refused=refused)
        if kept:
            return
        dependents = self.model.dependents(wanted.id)
        held_back = [name for name in dependents if self.model.status(name) == "blocked"]
        del self.model.tasks[wanted.id]
        for name in dependents:
            self.model.tasks[name].blockers.remove(wanted.id)
        self.expect_runs_for(held_back)

    @invariant()
    def both_sides_agree(self) -> None:
        world = self.spec.world
        for name, wanted in self.model.tasks.items():
            assert world.task(name).status == self.model.status(name), name
            runs = [world.run(run.id) for run in wanted.runs]
            assert [run.status for run in runs] == [run.status for run in wanted.runs]
            assert [run.attempt for run in runs] == [run.attempt for run in wanted.runs]
            assert all(run.attempt <= wanted.max_attempts for run in runs)
        for name in SESSIONS:
            held = {run.id for run in self.model.leases(name, self.now)}
            assert len(held) <= 1
            assert held == {
                run.id
                for _, run in world.runs()
                if run.session_id == name and run.leased_at(self.now)
            }

    def teardown(self) -> None:
        check_invariants(self.spec.world)


TestTasksAndLeases = TasksAndLeases.TestCase
TestTasksAndLeases.settings = settings(
    max_examples=120,
    stateful_step_count=80,
    suppress_health_check=[HealthCheck.too_slow],
)
