"""Random histories: whatever the rules would allow to happen, in any order."""

from collections.abc import Callable
from random import Random
from typing import Any

from domain import events as e
from domain.profile import ExecutionProfile, ParticipantPolicy, WorkerProfile
from domain.recorded import actor_stream, bridge_stream, notification_stream
from domain.task.state import Review, Run, TaskState
from domain.values import NO_JSON, Actor, Json, Owner, Priority, TriageAction
from tests.projections.posthog import PosthogSteps
from tests.projections.support import Ledger

_OWNERS = (
    None,
    Owner("pool", "coder"),
    Owner("agent_session", "session-1"),
    Owner("human", "ann"),
)
_METADATA = (NO_JSON, NO_JSON, Json(b'{"a":1}'), Json(b"[1]"))
_PROFILES = (
    None,
    ExecutionProfile(),
    ExecutionProfile(worker=WorkerProfile(mode="select", agent_name="coder")),
    ExecutionProfile(worker=WorkerProfile(mode="select", required_capabilities=("go", "sql"))),
    ExecutionProfile(participants=ParticipantPolicy(allowed_agent_names=("coder", "tester"))),
)
_PRIORITIES: tuple[Priority, ...] = ("low", "medium", "high", "urgent")

_APPROVALS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"approval_policy": "manual", "approval_state": "pending"},
    {"approval_policy": "manual", "approval_state": "rejected"},
)
_TRIAGE: tuple[TriageAction, ...] = ("read", "archive", "dismiss")
BY_HAND: dict[str, Any] = {"manual": True, "actor_kind": "human", "actor_id": "ann"}
CALLERS = (Actor("human", "ann"), Actor("agent_session", "session-1"))


class RandomHistory:
    """Takes random steps on a ledger."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ledger = Ledger()
        self._tasks = 0
        self._runs = 0
        self._steps: tuple[Callable[[], object], ...] = (
            self._create,
            self._create,
            self._enqueue,
            self._enqueue,
            self._enqueue,
            self._claim,
            self._claim,
            self._extend,
            self._release,
            self._start,
            self._end,
            self._needs_attention,
            self._needs_attention,
            self._force_release,
            self._force_fail,
            self._retry,
            self._recover,
            self._requeue,
            self._pause,
            self._resume,
            self._update,
            self._status,
            self._profile,
            self._depend,
            self._undepend,
            self._delete,
            self._ask,
            self._take,
            self._judge,
            self._triage,
            self._triage,
            self._session,
            self._workspace,
            self._subscribe,
            self._subscribe,
            self._notify,
            self._unsubscribe,
            self._bridge,
            *PosthogSteps(self.random, self.ledger).steps,
        )

    def take(self, steps: int) -> Ledger:
        """Take steps and return the ledger."""
        for _ in range(steps):
            self.random.choice(self._steps)()
        return self.ledger

    def live(self) -> list[TaskState]:
        """Return the tasks that are not deleted."""
        states = self.ledger.states.values()
        return [s for s in states if isinstance(s, TaskState) and not s.task.deleted]

    def _pick(self, wanted: Callable[[TaskState], bool] = lambda _: True) -> TaskState | None:
        found = [state for state in self.live() if wanted(state)]
        return self.random.choice(found) if found else None

    def _run(self, *statuses: str) -> Run | None:
        found = [r for s in self.live() for r in s.runs.values() if r.status in statuses]
        return self.random.choice(found) if found else None

    def _create(self) -> None:
        self._tasks += 1
        parent = self._pick(lambda state: len(state.task.ancestors) < 4)
        below = parent is not None and self.random.random() < 0.7
        if below and parent is not None:
            workspace = parent.task.workspace_id
        else:
            workspace = self.random.choice(("", "ws-1", "ws-2"))
        self.ledger.create(
            f"task-{self._tasks}",
            parent=parent.id if below and parent is not None else "",
            workspace=workspace,
            status=self.random.choice(("ready", "ready", "blocked", "draft")),
            owner=self.random.choice(_OWNERS),
            priority=self.random.choice(_PRIORITIES),
            **self.random.choice(_APPROVALS),
        )

    def _enqueue(self) -> None:
        state = self._pick(lambda state: state.open_run is None)
        if state is None:
            return
        self._runs += 1
        channel = self.random.choice(("", "room-1", "room-2")) if state.task.workspace_id else ""
        self.ledger.enqueue(
            state.id,
            f"run-{self._runs}",
            idempotency_key=self.random.choice(("", "key-1", "key-2", f"key-{state.id}")),
            coordination_channel_id=channel,
            metadata=self.random.choice(_METADATA),
            actor=self.random.choice((Actor("human", "ann"), Actor("automation", "bot"))),
        )

    def _claim(self) -> None:
        if run := self._run("queued"):
            session = self.random.choice(("", "session-1", "session-2"))
            self.ledger.claim(run.id, session, lease=self.random.randint(1, 500))

    def _extend(self) -> None:
        run = self._run("claimed", "starting", "running")
        if run and run.claim_token_hash:
            until = run.lease_until + self.random.randint(-1000, 1000)
            status = self.ledger.task(run.task_id).task.status
            self.ledger.run_fact(
                run.id,
                e.RunLeaseExtended,
                run.status,
                status,
                lease_until=until,
                heartbeat_at=self.ledger.now,
                claim_token_hash=run.claim_token_hash,
            )

    def _release(self) -> None:
        if run := self._run("claimed", "starting", "running"):
            self.ledger.release(run.id)

    def _start(self) -> None:
        if run := self._run("claimed"):
            session = run.session_id or "session-3"
            bound = e.RunSessionBound
            self.ledger.run_fact(run.id, bound, "starting", "ready", session_id=session)
            self.ledger.run_fact(run.id, e.RunStarted, "running", "in_progress", session_id=session)

    def _end(self) -> None:
        run = self._run("queued", "claimed", "starting", "running")
        if run is None:
            return
        outcome = self.random.choice(("completed", "failed", "canceled"))
        if run.status == "queued":
            outcome = "canceled"
        match outcome:
            case "completed":
                self.ledger.run_fact(run.id, e.RunCompleted, "completed", "completed")
            case "failed":
                self.ledger.run_fact(run.id, e.RunFailed, "failed", "ready", error="it broke")
            case _:
                self.ledger.run_fact(run.id, e.RunCanceled, "canceled", "canceled")
                if run.session_id:
                    stopped = e.RunForceStopped(session_id=run.session_id, grace_timeout_ms=0)
                    self.ledger.emit(run.task_id, stopped, run.id)

    def _needs_attention(self) -> None:
        if run := self._run("queued"):
            self.ledger.run_fact(
                run.id,
                e.RunNeedsAttention,
                "needs_attention",
                "ready",
                previous_status="queued",
                diagnostic="expired three times",
            )

    def _force_release(self) -> None:
        if run := self._run("claimed"):
            self.ledger.run_fact(
                run.id,
                e.RunReleased,
                "queued",
                "ready",
                previous_status=run.status,
                previous_lease_until=run.lease_until,
                **BY_HAND,
            )

    def _force_fail(self) -> None:
        if run := self._run("queued", "claimed", "needs_attention"):
            fact = e.RunOperatorForcedFail
            more = {"previous_status": run.status, "reason": "stuck", **BY_HAND}
            self.ledger.run_fact(run.id, fact, "failed", "ready", **more)

    def _retry(self) -> None:
        run = self._run("failed")
        if run and self.ledger.task(run.task_id).open_run is None:
            self._follow(run, e.RunOperatorRetry, {})

    def _recover(self) -> None:
        if run := self._run("needs_attention"):
            more = {"previous_status": run.status, "status": "queued", "reason": "looked at"}
            self._follow(run, e.RunRecoveredFromAttention, more)

    def _follow(self, run: Run, kind: type[Any], more: dict[str, str]) -> None:
        self._runs += 1
        state = self.ledger.task(run.task_id)
        fact = kind(
            source_run_id=run.id,
            new_run_id=f"run-{self._runs}",
            task_status="ready",
            attempt=state.next_attempt,
            network_channel=run.network_channel,
            coordination_channel_id=run.coordination_channel_id,
            **BY_HAND,
            **more,
        )
        self.ledger.emit(run.task_id, fact, fact.new_run_id)

    def _requeue(self) -> None:
        if run := self._run("needs_attention"):
            more = {"previous_status": run.status, **BY_HAND}
            self.ledger.run_fact(run.id, e.RunRequeued, "queued", "ready", **more)

    def _pause(self) -> None:
        if state := self._pick():
            self.ledger.pause(state.id)

    def _resume(self) -> None:
        if state := self._pick(lambda state: state.task.paused or self.random.random() < 0.2):
            self.ledger.resume(state.id)

    def _update(self) -> None:
        if state := self._pick():
            self.ledger.emit(
                state.id,
                e.TaskUpdated(
                    changed_fields=("title", "priority", "owner"),
                    status=state.task.status,
                    title=f"New title {self.random.random()}",
                    priority=self.random.choice(_PRIORITIES),
                    owner=self.random.choice(_OWNERS),
                ),
            )

    def _profile(self) -> None:
        state = self._pick()
        if state is None:
            return
        profile = self.random.choice(_PROFILES)
        if profile is None:
            self.ledger.emit(state.id, e.TaskProfileDeleted(task_id=state.id))
            return
        fact = e.TaskProfileUpdated(
            task_id=state.id,
            coordinator_mode=profile.coordinator.mode,
            worker_mode=profile.worker.mode,
            sandbox_mode=profile.sandbox.mode,
            profile=profile,
        )
        self.ledger.emit(state.id, fact)

    def _status(self) -> None:
        if state := self._pick():
            fact = e.TaskStatusChanged(
                previous_status=state.task.status,
                status=self.random.choice(("ready", "blocked", "completed")),
                cause_event_id="evt-1",
                cause_task_id="task-1",
            )
            self.ledger.emit(state.id, fact)

    def _depend(self) -> None:
        one, other = self._pick(), self._pick()
        if one is None or other is None or one.id == other.id:
            return
        if other.id not in {edge.depends_on_task_id for edge in one.task.dependencies}:
            self.ledger.depend(one.id, other.id)

    def _undepend(self) -> None:
        if state := self._pick(lambda state: bool(state.task.dependencies)):
            edge = self.random.choice(state.task.dependencies)
            self.ledger.undepend(state.id, edge.depends_on_task_id)

    def _ask(self) -> None:
        if run := self._run("completed", "failed", "canceled"):
            self.ledger.ask(
                run.id,
                f"review-{len(self.ledger.history)}",
                deadline_at=self.random.choice((0, self.ledger.now + 1000)),
            )

    def _review(self) -> Review | None:
        found = [r for s in self.live() for r in s.reviews.values() if r.is_open]
        return self.random.choice(found) if found else None

    def _take(self) -> None:
        if review := self._review():
            session = self.random.choice(("session-1", "session-2"))
            self.ledger.take_review(review, session)

    def _judge(self) -> None:
        review = self._review()
        if review is None:
            return
        state = self.ledger.task(review.task_id)
        continued = f"run-{review.id}" if state.open_run is None else ""
        self.ledger.judge(
            review,
            self.random.choice(("approved", "rejected", "timeout")),
            continued,
            exhausted=not continued and self.random.random() < 0.5,
        )

    def _delete(self) -> None:
        if state := self._pick(lambda state: not state.task.children and state.open_run is None):
            self.ledger.delete(state.id)

    def _triage(self) -> None:
        if state := self._pick():
            fact = e.TaskTriaged(
                triaged_task_id=state.id,
                action=self.random.choice(_TRIAGE),
                workspace_id=state.task.workspace_id,
                last_seen_activity_at=state.task.last_activity_at,
            )
            actor = self.random.choice(CALLERS)
            # An event of another stream may belong to a task.
            about = self.random.choice(("", state.id))
            self.ledger.step(
                lambda plan: plan.emit(actor_stream(actor), fact, task_id=about), actor
            )

    def _session(self) -> None:
        self.ledger.session(f"session-{self.random.randint(1, 3)}")

    def _workspace(self) -> None:
        name = self.random.choice(("", "main", "ws-2"))
        self.ledger.workspace(f"ws-{self.random.randint(1, 2)}", name=name)

    def _subscribe(self) -> None:
        state = self._pick()
        name = f"sub-{self.random.randint(1, 4)}"
        if state and all(name not in s.subscriptions or s is state for s in self.live()):
            self.ledger.subscribe(state.id, name, self.random.choice(("bridge-1", "bridge-2")))

    def _unsubscribe(self) -> None:
        if state := self._pick(lambda state: bool(state.subscriptions)):
            name = self.random.choice(list(state.subscriptions))
            fact = e.TaskBridgeUnsubscribed(subscription_id=name, bridge_instance_id="bridge-1")
            self.ledger.emit(state.id, fact)

    def _notify(self) -> None:
        name = f"sub-{self.random.randint(1, 4)}"
        if self.ledger.state(notification_stream(name)) is None:
            return
        told: dict[str, Any] = {
            "subscription_id": name,
            "subject_sequence": len(self.ledger.history),
        }
        fact = self.random.choice(
            (
                e.NotificationDelivered(delivery_id="d", status_code=200, **told),
                e.NotificationSuppressed(delivery_id="d", reason="bridge is disabled", **told),
                e.NotificationPassedOver(error="another outcome", **told),
                e.NotificationFailed(
                    delivery_id="d", attempt=1, error="no", retry_at=self.ledger.now, **told
                ),
            )
        )
        self.ledger.step(lambda plan: plan.emit(notification_stream(name), fact))

    def _bridge(self) -> None:
        name = self.random.choice(("bridge-1", "bridge-2"))
        if self.ledger.state(bridge_stream(name)) and self.random.random() < 0.4:
            gone = e.BridgeRemoved(bridge_id=name)
            self.ledger.step(lambda plan: plan.emit(bridge_stream(name), gone))
        else:
            self.ledger.bridge(name, enabled=self.random.random() < 0.7)
