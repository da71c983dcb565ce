"""Rows after any history: the same as rebuilt ones, and what the folded states say."""

import json
from collections import Counter
from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.profile import ExecutionProfile
from domain.task.state import Review, Run, TaskState
from domain.values import ACTIVE_CLAIM, PRIORITY_VALUE, Owner
from domain.world import ClaimQuery
from projections import backlog, lookup
from projections.queries.claims import claimable_runs
from projections.reviews import REVIEWS
from projections.rows import Row
from projections.runs import RUNS
from projections.tasks import TASKS
from projections.timeline import TIMELINE, TIMELINE_BELOW
from tests.projections.history import RandomHistory
from tests.projections.support import Ledger, rebuilt
from tests.support.world import World

histories = st.builds(
    lambda seed, steps: RandomHistory(seed).take(steps),
    st.integers(0, 2**32),
    st.integers(0, 120),
)


def live(ledger: Ledger) -> list[TaskState]:
    states = ledger.states.values()
    return [s for s in states if isinstance(s, TaskState) and not s.task.deleted]


def paused_in(ledger: Ledger, state: TaskState) -> int:
    return sum(ledger.task(task_id).task.paused for task_id in state.task.lineage)


def owner_text(owner: Owner | None) -> str:
    if owner is None:
        return ""
    return f"{owner.kind}:{owner.ref}" if owner.kind in {"pool", "agent_session"} else "!"


def wants_of(profile: ExecutionProfile | None, run: Run) -> Row:
    """Return the agent, the name and the text of what a run asks for."""
    wants: dict[str, Any] = {}
    if profile is not None:
        wants = {
            "worker_agent": profile.worker.agent_name,
            "participant_agents": profile.participants.allowed_agent_names,
            "capabilities": profile.worker.required_capabilities,
        }
    wants["soulless"] = bytes(run.metadata)[:1] == b"["
    wants = {name: value for name, value in wants.items() if value}
    if not wants:
        return ("", "", "")
    text = json.dumps(wants, separators=(",", ":"))
    name = sha256(text.encode()).hexdigest()[:32]
    return wants.get("worker_agent", ""), name, text


def expected_backlog(ledger: Ledger) -> list[Row]:
    rows: list[Row] = []
    for state in live(ledger):
        task, pauses = state.task, paused_in(ledger, state)
        held = task.status in {"draft", "blocked", "canceled"}
        rows.extend(
            (
                run.id,
                task.id,
                task.workspace_id,
                owner_text(task.owner),
                -PRIORITY_VALUE[task.priority],
                run.queued_at,
                run.coordination_channel_id,
                *(wants := wants_of(task.profile, run)),
                int(held),
                0 if held or pauses else 2 if wants[1] else 1,
                int(pauses > 0),
                pauses,
            )
            for run in state.runs.values()
            if run.status == "queued"
        )
    return sorted(rows)


def expected_counters(ledger: Ledger) -> dict[Row, int]:
    found: Counter[Row] = Counter()
    for state in live(ledger):
        found[backlog.PAUSED, ""] += state.task.paused
        queued = backlog.QUEUED_PAUSED if paused_in(ledger, state) else backlog.QUEUED
        for run in state.runs.values():
            found[backlog.ACTIVE, ""] += run.status in ACTIVE_CLAIM
            for workspace_id in {"", state.task.workspace_id}:
                found[backlog.NEEDS_ATTENTION, workspace_id] += run.status == "needs_attention"
                found[queued, workspace_id] += run.status == "queued"
    return {key: value for key, value in found.items() if value}


@settings(max_examples=60)
@given(histories)
def test_rows_equal_those_rebuilt_from_the_events(ledger: Ledger) -> None:
    again = rebuilt(ledger.history)

    for table in ledger.store.tables:
        assert ledger.store.rows(table) == again.rows(table), table.name
    again.close()
    ledger.store.close()


@settings(max_examples=60)
@given(histories)
def test_the_backlog_and_its_counters_equal_counting(ledger: Ledger) -> None:
    store = ledger.store

    assert store.rows(backlog.BACKLOG) == expected_backlog(ledger)
    counted = {row[:2]: row[2] for row in store.rows(backlog.COUNTERS) if row[2]}
    assert counted == expected_counters(ledger)
    tree = {
        (ancestor_id, row[0])
        for row in expected_backlog(ledger)
        for ancestor_id in ledger.task(row[1]).task.ancestors
    }
    assert set(store.rows(backlog.BACKLOG_TREE)) == tree
    attention = sorted(
        (run.id, s.id, s.task.workspace_id, -PRIORITY_VALUE[s.task.priority], run.queued_at)
        for s in live(ledger)
        for run in s.runs.values()
        if run.status == "needs_attention"
    )
    assert store.rows(backlog.ATTENTION) == attention
    paused = sorted((state.id,) for state in live(ledger) if state.task.paused)
    assert store.rows(backlog.PAUSED_TASKS) == paused
    store.close()


claims = st.builds(
    ClaimQuery,
    workspace_id=st.sampled_from(("", "ws-1")),
    agent_name=st.sampled_from(("coder", "coder", "tester", "other")),
    session_id=st.sampled_from(("session-1", "session-9")),
    channel=st.sampled_from(("", "", "room-1")),
    priority_min=st.sampled_from((0, 0, 20)),
    offered=st.sets(st.sampled_from(("go", "sql", "c"))).map(frozenset),
    soul=st.booleans(),
)


@settings(max_examples=60)
@given(histories, st.lists(claims, min_size=4, max_size=4))
def test_the_queue_hands_out_what_a_scan_finds(ledger: Ledger, asked: list[ClaimQuery]) -> None:
    scanned = World()
    scanned.states = ledger.states
    for claim in asked:
        found = list(claimable_runs(ledger.store.select, claim))
        assert found == list(scanned.claimable_runs(claim))
    ledger.store.close()


@settings(max_examples=60)
@given(histories)
def test_the_lookups_equal_the_states(ledger: Ledger) -> None:
    store = ledger.store
    runs = [(run, state) for state in live(ledger) for run in state.runs.values()]

    assert {row[:2] for row in store.rows(lookup.RUN_TASKS)} == {(r.id, s.id) for r, s in runs}
    assert set(store.rows(lookup.SESSION_RUNS)) == {
        (run.session_id, run.id, state.id, run.lease_until, int(run.claim_token_hash != ""))
        for run, state in runs
        if run.is_active and run.session_id
    }
    assert {row[:2] for row in store.rows(lookup.DEPENDENTS)} == {
        (edge.depends_on_task_id, state.id)
        for state in live(ledger)
        for edge in state.task.dependencies
    }
    known = {(state.id, run.id) for run, state in runs if run.idempotency_key}
    assert {row[5:] for row in store.rows(lookup.IDEMPOTENCY_KEYS)} <= known
    store.close()


@settings(max_examples=60)
@given(histories)
def test_the_reviews_equal_the_states(ledger: Ledger) -> None:
    found = [review for state in live(ledger) for review in state.reviews.values()]
    rows = ledger.store.rows(REVIEWS)

    assert [row[0] for row in rows] == sorted(review.id for review in found)
    wanted = {review.id: review for review in found}
    for row in rows:
        assert msgspec.json.decode(row[-1], type=Review) == wanted[row[0]]
        assert row[4] == wanted[row[0]].status
        assert (row[-2] != 0) == (wanted[row[0]].is_open and wanted[row[0]].deadline_at != 0)
    ledger.store.close()


@settings(max_examples=60)
@given(histories)
def test_there_is_one_row_for_each_task_run_and_event(ledger: Ledger) -> None:
    store = ledger.store

    assert [row[0] for row in store.rows(TASKS)] == sorted(s.id for s in live(ledger))
    assert [row[0] for row in store.rows(RUNS)] == sorted(
        run_id for state in live(ledger) for run_id in state.runs
    )
    assert [row[0] for row in store.rows(TIMELINE)] == [r.sequence for r in ledger.history]
    states = {state.id: state for state in ledger.states.values() if isinstance(state, TaskState)}
    assert len(store.rows(TIMELINE_BELOW)) == sum(
        len(states[recorded.task_id].task.ancestors)
        for recorded in ledger.history
        if recorded.task_id
    )
    store.close()
