"""What deciding looks up: whose run, whose session, whose key, who waits for whom."""

from collections.abc import Iterable, Sequence
from typing import Final

from domain.events import WorkspaceRegistered, WorkspaceRemoved
from domain.recorded import Recorded
from domain.registry import WorkspaceState
from domain.task.evolve import TASK_FACTS
from domain.task.state import Run, TaskState
from domain.values import Actor, Origin
from domain.world import Change, KeySlot
from projections.posthog.lookup import PosthogLookup
from projections.reviews import ReviewLookup
from projections.rows import Reader, Row, Rows
from projections.schema import define
from projections.tempest import TempestLookup

RUN_TASKS: Final = define(
    "run_tasks",
    key={"run_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "key": "TEXT",
        "origin_kind": "TEXT",
        "origin_ref": "TEXT",
        "actor_kind": "TEXT",
        "actor_ref": "TEXT",
    },
    eager=True,
)
IDEMPOTENCY_KEYS: Final = define(
    "idempotency_keys",
    key={
        "key": "TEXT",
        "origin_kind": "TEXT",
        "origin_ref": "TEXT",
        "actor_kind": "TEXT",
        "actor_ref": "TEXT",
    },
    values={"task_id": "TEXT", "run_id": "TEXT"},
    eager=True,
)
SESSION_RUNS: Final = define(
    "session_runs",
    key={"session_id": "TEXT", "run_id": "TEXT"},
    values={"task_id": "TEXT", "lease_until": "INTEGER", "leased": "INTEGER"},
    indexes={"lease_until": "(lease_until, run_id) WHERE leased = 1"},
    eager=True,
)
DEPENDENTS: Final = define(
    "dependents",
    key={"depends_on_task_id": "TEXT", "task_id": "TEXT"},
    values={"sequence": "INTEGER"},
    eager=True,
)
COORDINATION_CHANNELS: Final = define(
    "coordination_channels",
    key={"channel_id": "TEXT"},
    values={"workspace_id": "TEXT"},
    eager=True,
)
WORKSPACE_REFS: Final = define(
    "workspace_refs",
    key={"ref": "TEXT", "rank": "INTEGER", "workspace_id": "TEXT"},
    eager=True,
)


class LookupProjector:
    """Keeps the lookup tables."""

    name = "lookup"
    version = 1
    separable = True
    facts = TASK_FACTS | {WorkspaceRegistered, WorkspaceRemoved}
    tables = (
        RUN_TASKS,
        IDEMPOTENCY_KEYS,
        SESSION_RUNS,
        DEPENDENTS,
        COORDINATION_CHANNELS,
        WORKSPACE_REFS,
    )

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        before, after = change.before, change.after
        if isinstance(after, TaskState):
            old = before if isinstance(before, TaskState) else None
            _apply_task(old, after, change.recorded, rows)
        elif isinstance(after, WorkspaceState):
            for row in _refs(before if isinstance(before, WorkspaceState) else None):
                rows.delete(WORKSPACE_REFS, row)
            for row in _refs(after):
                rows.put(WORKSPACE_REFS, row)


def _apply_task(old: TaskState | None, new: TaskState, recorded: Recorded, rows: Rows) -> None:
    if new.task.deleted:
        _forget(new, rows)
        return
    if old is None:
        return
    if old.runs is not new.runs:
        for run in new.runs.values():
            known = old.runs.get(run.id)
            if known is None:
                _put_run(new, run, recorded, rows)
            _move_session(known, run, rows)
    if old.task.dependencies is not new.task.dependencies:
        _move_edges(old, new, recorded.sequence, rows)


def _forget(state: TaskState, rows: Rows) -> None:
    for run in state.runs.values():
        row = rows.get(RUN_TASKS, (run.id,))
        rows.delete(RUN_TASKS, (run.id,))
        # The slot may name a later run by now.
        if row and row[2] and rows.get(IDEMPOTENCY_KEYS, row[2:]) == (*row[2:], state.id, run.id):
            rows.delete(IDEMPOTENCY_KEYS, row[2:])
        _move_session(run, None, rows)
    for edge in state.task.dependencies:
        rows.delete(DEPENDENTS, (edge.depends_on_task_id, state.id))


def _put_run(state: TaskState, run: Run, recorded: Recorded, rows: Rows) -> None:
    slot: Row = ("", "", "", "", "")
    if run.idempotency_key:
        slot = _slot_key(run.idempotency_key, recorded.origin, recorded.actor)
        rows.put(IDEMPOTENCY_KEYS, (*slot, state.id, run.id))
    rows.put(RUN_TASKS, (run.id, state.id, *slot))
    channel = run.coordination_channel_id
    if channel and rows.get(COORDINATION_CHANNELS, (channel,)) is None:
        rows.put(COORDINATION_CHANNELS, (channel, state.task.workspace_id))


def _move_session(old: Run | None, new: Run | None, rows: Rows) -> None:
    before, after = _session_row(old), _session_row(new)
    if before == after:
        return
    if before and (after is None or before[:2] != after[:2]):
        rows.delete(SESSION_RUNS, before[:2])
    if after:
        rows.put(SESSION_RUNS, after)


def _session_row(run: Run | None) -> Row | None:
    """Return the row of a run that is leased or worked on in a session, None for any other run.

    An app holds its lease without a session.
    """
    if run is None or not run.is_active or not (run.session_id or run.claim_token_hash):
        return None
    leased = int(run.claim_token_hash != "")
    return (run.session_id, run.id, run.task_id, run.lease_until, leased)


def _move_edges(old: TaskState, new: TaskState, sequence: int, rows: Rows) -> None:
    before = {edge.depends_on_task_id for edge in old.task.dependencies}
    after = {edge.depends_on_task_id for edge in new.task.dependencies}
    for blocker_id in before - after:
        rows.delete(DEPENDENTS, (blocker_id, new.id))
    for blocker_id in after - before:
        rows.put(DEPENDENTS, (blocker_id, new.id, sequence))


def _slot_key(key: str, origin: Origin, actor: Actor) -> Row:
    return (key, origin.kind, origin.ref, actor.kind, actor.ref)


def _refs(workspace: WorkspaceState | None) -> Iterable[Row]:
    """Yield what a workspace answers to; an id goes before a name, a name before a path."""
    if workspace is None or workspace.removed:
        return
    for rank, ref in enumerate((workspace.id, workspace.name, workspace.path)):
        if ref:
            yield (ref, rank, workspace.id)


class Lookup(ReviewLookup, TempestLookup, PosthogLookup):
    """The lookups of deciding; every cost is bounded by the answer.

    Nearly all are by key, since rows that were just written are then found without a SELECT.
    """

    def task_of_run(self, run_id: str) -> str | None:
        """Return the task a run belongs to."""
        found = self._store.get(RUN_TASKS, (run_id,))
        return found[1] if found else None

    def dependents_of(self, task_id: str) -> Sequence[str]:
        """Return the tasks that wait for this one, oldest edge first."""
        found = self._store.select_keys(DEPENDENTS, (task_id,))
        return [row[1] for row in sorted(found, key=lambda row: (row[2], row[1]))]

    def runs_of_session(self, session_id: str) -> Sequence[Row]:
        """Return (task id, run id) of the active runs bound to a session."""
        found = self._store.select_keys(SESSION_RUNS, (session_id,))
        return [(row[2], row[1]) for row in found]

    def run_of_key(self, slot: KeySlot) -> Row | None:
        """Return (task id, run id) that an idempotency key names."""
        found = self._store.get(IDEMPOTENCY_KEYS, _slot_key(slot.key, slot.origin, slot.actor))
        return found[5:] if found else None

    def channel_workspace(self, channel_id: str) -> str | None:
        """Return the workspace a coordination channel belongs to."""
        found = self._store.get(COORDINATION_CHANNELS, (channel_id,))
        return found[1] if found else None

    def workspace_of_ref(self, ref: str) -> str | None:
        """Return the workspace id that an id, name or path names."""
        return workspace_of_ref(self._store, ref)

    def expired_leases(self, now: int, limit: int) -> Sequence[Row]:
        """Return (task id, run id) of leases past their deadline, oldest first; 0 means all."""
        statement = (
            "SELECT task_id, run_id FROM session_runs WHERE leased = 1 AND lease_until <= ?"
            " ORDER BY lease_until, run_id"
        )
        if limit:
            return self._store.select(f"{statement} LIMIT ?", (now, limit))
        return self._store.select(statement, (now,))


def workspace_of_ref(reader: Reader, ref: str) -> str | None:
    """Return the workspace id that an id, name or path names."""
    found = reader.select(
        "SELECT workspace_id FROM workspace_refs WHERE ref = ? ORDER BY rank, workspace_id LIMIT 1",
        (ref,),
    )
    return found[0][0] if found else None
