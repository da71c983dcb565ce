"""A ledger in a real SQLite in memory, just large enough to give projectors their changes."""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from domain import events as e
from domain.instants import SECOND
from domain.recorded import (
    Recorded,
    bridge_stream,
    notification_stream,
    session_stream,
    task_stream,
    workspace_stream,
)
from domain.task.state import Review, Run, TaskState
from domain.values import Actor, Origin, ReviewOutcome, RunStatus, TaskStatus
from domain.world import Change, ClaimQuery, Context, Plan, State, evolve
from projections.catalog import PROJECTORS
from projections.lookup import Lookup
from projections.ona.lookup import OnaLookup
from projections.queries.claims import claimable_runs, waiting_runs
from projections.rows import Projector, Row, Table

HUMAN = Actor("human", "local-user")
HTTP = Origin("http", "tasks.create")
START = 1_777_777_777 * SECOND


class Store:
    """Rows and Reader over one connection; it counts what it was asked to do."""

    def __init__(self, projectors: Iterable[Projector] = PROJECTORS) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.projectors = tuple(projectors)
        self.writes = 0
        self.selects: list[str] = []
        for table in self.tables:
            for statement in table.ddl:
                self.connection.execute(statement)

    @property
    def tables(self) -> list[Table]:
        return [table for projector in self.projectors for table in projector.tables]

    def close(self) -> None:
        self.connection.close()

    def apply(self, change: Change) -> None:
        for projector in self.projectors:
            projector.apply(change, self)

    def get(self, table: Table, key: Row) -> Row | None:
        assert len(key) == table.key_columns
        found = self.select_keys(table, key)
        return found[0] if found else None

    def put(self, table: Table, row: Row) -> None:
        assert len(row) == len(table.columns)
        self.writes += 1
        places = ", ".join("?" * len(row))
        self.connection.execute(f"INSERT OR REPLACE INTO {table.name} VALUES ({places})", row)

    def put_later(self, table: Table, key: Row, make: Callable[..., Row], *given: Any) -> None:
        row = make(*given)
        assert row[: table.key_columns] == key
        self.put(table, row)

    def alter(self, table: Table, key: Row, change: Callable[..., Row | None], *given: Any) -> None:
        row = change(self.get(table, key), *given)
        if row is None:
            self.delete(table, key)
        else:
            self.put(table, row)

    def select_stored(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self.select(statement, parameters)

    def unstored(self, table: Table) -> Mapping[Row, Row | None]:
        return {}

    def delete(self, table: Table, key: Row) -> None:
        assert len(key) == table.key_columns
        self.writes += 1
        self.connection.execute(f"DELETE FROM {table.name} WHERE {_equal(table, key)}", key)

    def select_keys(self, table: Table, prefix: Row) -> list[Row]:
        order = ", ".join(table.columns[: table.key_columns])
        statement = f"SELECT * FROM {table.name} WHERE {_equal(table, prefix)} ORDER BY {order}"
        return self.connection.execute(statement, prefix).fetchall()

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        self.selects.append(statement)
        return self.connection.execute(statement, parameters).fetchall()

    def rows(self, table: Table) -> list[Row]:
        order = ", ".join(table.columns[: table.key_columns])
        return self.connection.execute(f"SELECT * FROM {table.name} ORDER BY {order}").fetchall()

    def plan_of(self, statement: str, parameters: Sequence[Any] = ()) -> str:
        explained = self.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return "\n".join(row[3] for row in explained)


def _equal(table: Table, key: Row) -> str:
    return " AND ".join(f"{column} = ?" for column in table.columns[: len(key)])


class Ledger(Lookup, OnaLookup):
    """Emits facts through plans, one plan per step, and applies every change at once."""

    def __init__(self, projectors: Iterable[Projector] = PROJECTORS) -> None:
        self.store = Store(projectors)
        self.states: dict[str, State | None] = {}
        self.history: list[Recorded] = []
        self.changes: list[Change] = []
        self.now = START
        super().__init__(self.store)
        self._ids = count(1)

    def state(self, stream: str) -> State | None:
        return self.states.get(stream)

    def claimable_runs(self, query: ClaimQuery) -> Iterable[tuple[str, str]]:
        return claimable_runs(self.store.select, query)

    def waiting_runs(self, queued_before: int, limit: int) -> Sequence[tuple[str, str]]:
        return waiting_runs(self.store, queued_before, limit)

    def step(
        self, decide: Callable[[Plan], object], actor: Actor = HUMAN, origin: Origin = HTTP
    ) -> list[Change]:
        """Run one plan a second later and apply its changes."""
        self.now += SECOND
        context = Context(
            actor=actor,
            origin=origin,
            now=self.now,
            command_id=f"cmd-{next(self._ids)}",
            new_id=lambda prefix: f"{prefix}-{next(self._ids):016x}",
        )
        plan = Plan(self, context, head=len(self.history), recorded_at=self.now)
        decide(plan)
        self.states.update(plan.states())
        for change in plan.changes:
            self.history.append(change.recorded)
            self.changes.append(change)
            self.store.apply(change)
        return plan.changes

    def emit(
        self,
        task_id: str,
        fact: e.Fact,
        run_id: str = "",
        actor: Actor = HUMAN,
        origin: Origin = HTTP,
    ) -> Change:
        """Emit one fact of a task stream."""
        return self.step(lambda plan: plan.emit_task(task_id, fact, run_id), actor, origin)[0]

    def task(self, task_id: str) -> TaskState:
        state = self.states[f"task:{task_id}"]
        assert isinstance(state, TaskState)
        return state

    def run(self, run_id: str) -> Run:
        found = [
            state.runs[run_id]
            for state in self.states.values()
            if isinstance(state, TaskState) and run_id in state.runs
        ]
        return found[0]

    def create(
        self,
        task_id: str,
        *,
        parent: str = "",
        workspace: str = "",
        status: TaskStatus = "ready",
        **more: Any,
    ) -> Change:
        """Create a task, below `parent` when there is one."""
        ancestors = self.task(parent).task.lineage if parent else ()
        more.setdefault("title", f"Title of {task_id}")
        fact = e.TaskCreated(
            scope="workspace" if workspace else "global",
            workspace_id=workspace,
            parent_task_id=parent,
            ancestors=ancestors,
            status=status,
            **more,
        )

        def decide(plan: Plan) -> None:
            plan.emit_task(task_id, fact)
            if parent:
                child = e.TaskChildCreated(child_task_id=task_id, child_scope=fact.scope)
                plan.emit_task(parent, child)

        return self.step(decide)[0]

    def enqueue(self, task_id: str, run_id: str, **more: Any) -> Change:
        """Queue a run as the next attempt."""
        actor, origin = more.pop("actor", HUMAN), more.pop("origin", HTTP)
        state = self.task(task_id)
        fact = e.RunEnqueued(
            attempt=state.next_attempt,
            status="queued",
            task_status=more.pop("task_status", state.task.status),
            **more,
        )
        return self.emit(task_id, fact, run_id, actor, origin)

    def claim(self, run_id: str, session: str = "", lease: int = 300, token: str = "") -> Change:
        """Claim a run: under a lease for a session, else as an operator."""
        task_id = self.run(run_id).task_id
        who = Actor("agent_session", session) if session else HUMAN
        fact = e.RunClaimed(
            status="claimed",
            task_status=self.task(task_id).task.status,
            claimed_by=who,
            claim_token_hash=token or ("sha256:" + "0" * 64 if session else ""),
            lease_until=self.now + SECOND * (lease + 1) if session else 0,
            session_id=session,
        )
        return self.emit(task_id, fact, run_id, who)

    def run_fact(
        self, run_id: str, kind: type[Any], status: RunStatus, task_status: TaskStatus, **more: Any
    ) -> Change:
        """Emit a fact that moves a run."""
        fact = kind(status=status, task_status=task_status, **more)
        return self.emit(self.run(run_id).task_id, fact, run_id)

    def release(self, run_id: str) -> Change:
        """Give a run back to the queue."""
        previous = self.run(run_id).status
        return self.run_fact(run_id, e.RunReleased, "queued", "ready", previous_status=previous)

    def pause(self, task_id: str) -> Change:
        """Pause a task."""
        was = self.task(task_id).task.paused
        fact = e.TaskPaused(
            manual=True,
            actor_kind="human",
            actor_id="local-user",
            previous_paused=was,
            paused=True,
            reason="because",
        )
        return self.emit(task_id, fact)

    def resume(self, task_id: str) -> Change:
        """End the own pause of a task."""
        was = self.task(task_id).task.paused
        fact = e.TaskResumed(manual=True, actor_kind="human", previous_paused=was, paused=False)
        return self.emit(task_id, fact)

    def depend(self, task_id: str, depends_on: str) -> Change:
        """Let a task wait for another."""
        fact = e.TaskDependencyAdded(
            depends_on_task_id=depends_on, kind="blocks", status=self.task(task_id).task.status
        )
        return self.emit(task_id, fact)

    def undepend(self, task_id: str, depends_on: str) -> Change:
        """Let a task no longer wait for another."""
        fact = e.TaskDependencyRemoved(
            depends_on_task_id=depends_on, kind="blocks", status=self.task(task_id).task.status
        )
        return self.emit(task_id, fact)

    def delete(self, task_id: str) -> list[Change]:
        """Delete a task that has no children, with every edge to it."""
        task = self.task(task_id).task

        def decide(plan: Plan) -> None:
            plan.emit_task(task_id, e.TaskDeleted(status=task.status))
            for dependent in self.dependents_of(task_id):
                status = self.task(dependent).task.status
                edge = e.TaskDependencyRemoved(
                    depends_on_task_id=task_id, kind="blocks", status=status
                )
                plan.emit_task(dependent, edge)
            if task.parent_task_id:
                gone = e.TaskChildDeleted(child_task_id=task_id)
                plan.emit_task(task.parent_task_id, gone)

        return self.step(decide)

    def ask(self, run_id: str, review_id: str, **more: Any) -> Change:
        """Ask for the review of a run."""
        given = {"policy": "always", "review_round": 1, "attempt": 1, "created": True, **more}
        fact = e.RunReviewRequested(review_id=review_id, run_id=run_id, **given)
        return self.emit(self.run(run_id).task_id, fact, run_id)

    def take_review(self, review: Review, session: str) -> Change:
        """Bind a review to a session."""
        fact = e.RunReviewBound(
            review_id=review.id,
            run_id=review.run_id,
            session_id=session,
            reviewer_agent_name="critic",
        )
        return self.emit(review.task_id, fact, review.run_id, Actor("agent_session", session))

    def judge(
        self,
        review: Review,
        outcome: ReviewOutcome,
        continued: str = "",
        *,
        exhausted: bool = False,
    ) -> list[Change]:
        """Record a verdict; a run of the id `continued` follows from it."""
        state = self.task(review.task_id)
        recorded = e.RunReviewRecorded(
            review_id=review.id,
            run_id=review.run_id,
            outcome=outcome,
            confidence=0.5,
            delivery_id="d-1",
            review_round=1,
            continuation_run_id=continued,
            reason="because",
            missing_work=("tests",),
        )
        retry = e.RunReviewRetryEnqueued(
            review_id=review.id,
            run_id=review.run_id,
            continuation_run_id=continued,
            review_round=2,
            attempt=state.next_attempt,
            task_status=state.task.status,
        )
        opened = e.RunReviewRoundsExhausted(
            review_id=review.id, run_id=review.run_id, review_round=1, max_rounds=1
        )

        def decide(plan: Plan) -> None:
            plan.emit_task(state.id, recorded, review.run_id)
            if continued:
                plan.emit_task(state.id, retry, continued)
            if exhausted:
                plan.emit_task(state.id, opened, review.run_id)

        return self.step(decide)

    def review(self, review_id: str) -> Review:
        """Return a review."""
        states = [state for state in self.states.values() if isinstance(state, TaskState)]
        return next(s.reviews[review_id] for s in states if review_id in s.reviews)

    def session(self, session_id: str, **more: Any) -> Change:
        """Register an agent session."""
        more.setdefault("agent_name", "coder")
        fact = e.SessionRegistered(session_id=session_id, **more)
        return self.step(lambda plan: plan.emit(session_stream(session_id), fact))[0]

    def bridge(self, bridge_id: str, **more: Any) -> Change:
        """Configure a bridge."""
        usual = {"url": "https://a.example/", "scope": "global", "secret_id": "sec-1"}
        fact = e.BridgeConfigured(bridge_id=bridge_id, **{**usual, "enabled": True, **more})
        return self.step(lambda plan: plan.emit(bridge_stream(bridge_id), fact))[0]

    def subscribe(self, task_id: str, subscription_id: str, bridge_id: str = "b") -> Change:
        """Let a bridge be told how a task ends."""
        fact = e.TaskBridgeSubscribed(
            subscription_id=subscription_id,
            bridge_instance_id=bridge_id,
            scope="global",
            peer_id="ann",
            delivery_mode="reply",
        )
        opened = e.NotificationOpened(subscription_id=subscription_id, subject_task_id=task_id)

        def decide(plan: Plan) -> None:
            plan.emit_task(task_id, fact)
            plan.emit(notification_stream(subscription_id), opened)

        return self.step(decide)[0]

    def workspace(self, workspace_id: str, name: str = "", path: str = "") -> Change:
        """Register a workspace."""
        fact = e.WorkspaceRegistered(workspace_id=workspace_id, name=name, path=path)
        return self.step(lambda plan: plan.emit(workspace_stream(workspace_id), fact))[0]


def rebuilt(history: Iterable[Recorded], projectors: Iterable[Projector] = PROJECTORS) -> Store:
    """Return fresh rows from the recorded events alone."""
    store = Store(projectors)
    states: dict[str, State | None] = {}
    for recorded in history:
        stream = recorded.originator_id
        before = states.get(stream)
        after = states[stream] = evolve(before, recorded)
        about = states.get(task_stream(recorded.task_id)) if recorded.task_id else None
        store.apply(
            Change(
                recorded=recorded,
                before=before,
                after=after,
                task=after if isinstance(after, TaskState) else None,
                about=about if isinstance(about, TaskState) else None,
                paused_by=paused_by(states, about),
            )
        )
    return store


def paused_by(states: dict[str, State | None], state: State | None) -> str:
    """Return the nearest paused task of a task's lineage."""
    if not isinstance(state, TaskState):
        return ""
    for task_id in state.task.lineage:
        relative = states.get(f"task:{task_id}")
        if isinstance(relative, TaskState) and relative.task.paused:
            return task_id
    return ""
