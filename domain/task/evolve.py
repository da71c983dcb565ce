"""The fold of a task stream: total over every recorded history, it never refuses."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import force_setattr, replace

from domain import events as e
from domain.recorded import Recorded
from domain.task import subscriptions
from domain.task.folding import (
    counting,
    forced_fail,
    recovered,
    requeued,
    retried,
    status_changes,
    with_run,
)
from domain.task.review_folds import REVIEW_FOLDS
from domain.task.state import ENDED_AS, Dependency, Run, Task, TaskState
from domain.values import NO_JSON, Json, Soul


def evolve_task(state: TaskState | None, recorded: Recorded) -> TaskState:
    """Return the state after one more event of its stream."""
    if state is None:
        return _created(recorded)
    fact = recorded.fact
    changed = _EVOLVE[type(fact)](state, recorded, fact)
    if changed.task is state.task:
        changed = replace(changed, task=replace(changed.task))
    # State and task were made just now and nobody else has seen them, so no further copy is due.
    force_setattr(changed, "version", recorded.originator_version)
    force_setattr(changed.task, "latest_event_seq", recorded.sequence)
    if fact.TYPE in ENDED_AS:
        told = subscriptions.ending(recorded, changed.task.status)
        force_setattr(changed, "endings", (*changed.endings, told))
    # Who is told of a task does nothing to it.
    if changed.task.last_activity_at < recorded.occurred_at and type(fact) not in _QUIET:
        force_setattr(changed.task, "last_activity_at", recorded.occurred_at)
    return changed


def _created(recorded: Recorded) -> TaskState:
    fact = recorded.fact
    assert isinstance(fact, e.TaskCreated)
    task = Task(
        id=recorded.task_id,
        scope=fact.scope,
        title=fact.title,
        status=fact.status,
        created_by=recorded.actor,
        origin=recorded.origin,
        created_at=recorded.occurred_at,
        updated_at=recorded.occurred_at,
        latest_event_seq=recorded.sequence,
        last_activity_at=recorded.occurred_at,
    )
    # In two calls, as one with more than 15 keywords takes Python far longer.
    task = replace(
        task,
        identifier=fact.identifier,
        workspace_id=fact.workspace_id,
        parent_task_id=fact.parent_task_id,
        ancestors=fact.ancestors,
        network_channel=fact.network_channel,
        description=fact.description,
        priority=fact.priority,
        max_attempts=fact.max_attempts,
        auto_enqueue_on_ready=fact.auto_enqueue_on_ready,
        approval_policy=fact.approval_policy,
        approval_state=fact.approval_state,
        owner=fact.owner,
        metadata=fact.metadata,
        facade=fact.facade,
    )
    return TaskState(task=task, runs={}, version=recorded.originator_version)


def _updated(state: TaskState, recorded: Recorded, fact: e.TaskUpdated) -> TaskState:
    changes = {name: getattr(fact, name) for name in fact.changed_fields}
    if "approval_policy" in changes:
        changes["approval_state"] = fact.approval_state
    moved = status_changes(state.task, fact.status, recorded.occurred_at)
    return state.with_task(**{**changes, **moved, "updated_at": recorded.occurred_at})


def _published(state: TaskState, recorded: Recorded, fact: e.TaskPublished) -> TaskState:
    return state.with_task(**status_changes(state.task, fact.status, recorded.occurred_at))


def _decided(
    state: TaskState, recorded: Recorded, fact: e.TaskApproved | e.TaskRejected
) -> TaskState:
    moved = status_changes(state.task, fact.status, recorded.occurred_at)
    changes = {"approval_state": fact.approval_state, "updated_at": recorded.occurred_at, **moved}
    return state.with_task(**changes)


def _canceled(state: TaskState, recorded: Recorded, _: e.TaskCanceled) -> TaskState:
    now = recorded.occurred_at
    return state.with_task(status="canceled", closed_at=now, updated_at=now)


def _status_changed(state: TaskState, recorded: Recorded, fact: e.TaskStatusChanged) -> TaskState:
    return state.with_task(**status_changes(state.task, fact.status, recorded.occurred_at))


def _deleted(state: TaskState, recorded: Recorded, _: e.TaskDeleted) -> TaskState:
    return state.with_task(deleted=True, updated_at=recorded.occurred_at)


def _child_created(state: TaskState, _: Recorded, fact: e.TaskChildCreated) -> TaskState:
    return state.with_task(children=(*state.task.children, fact.child_task_id))


def _child_deleted(state: TaskState, _: Recorded, fact: e.TaskChildDeleted) -> TaskState:
    return state.with_task(
        children=tuple(child for child in state.task.children if child != fact.child_task_id)
    )


def _dependency_added(
    state: TaskState, recorded: Recorded, fact: e.TaskDependencyAdded
) -> TaskState:
    edge = Dependency(
        depends_on_task_id=fact.depends_on_task_id,
        kind=fact.kind,
        created_at=recorded.occurred_at,
    )
    moved = status_changes(state.task, fact.status, recorded.occurred_at)
    return state.with_task(dependencies=(*state.task.dependencies, edge), **moved)


def _dependency_removed(
    state: TaskState, recorded: Recorded, fact: e.TaskDependencyRemoved
) -> TaskState:
    remaining = tuple(
        edge
        for edge in state.task.dependencies
        if edge.depends_on_task_id != fact.depends_on_task_id
    )
    moved = status_changes(state.task, fact.status, recorded.occurred_at)
    return state.with_task(dependencies=remaining, **moved)


def _paused(state: TaskState, recorded: Recorded, fact: e.TaskPaused) -> TaskState:
    return state.with_task(
        paused=True,
        paused_by=recorded.actor.label,
        paused_at=recorded.occurred_at,
        paused_reason=fact.reason,
        updated_at=recorded.occurred_at,
    )


def _resumed(state: TaskState, recorded: Recorded, _: e.TaskResumed) -> TaskState:
    return state.with_task(
        paused=False,
        paused_by="",
        paused_at=0,
        paused_reason="",
        updated_at=recorded.occurred_at,
    )


def _profile_updated(state: TaskState, _: Recorded, fact: e.TaskProfileUpdated) -> TaskState:
    return state.with_task(profile=fact.profile)


def _profile_deleted(state: TaskState, _: Recorded, __: e.TaskProfileDeleted) -> TaskState:
    return state.with_task(profile=None)


def _enqueued(state: TaskState, recorded: Recorded, fact: e.RunEnqueued) -> TaskState:
    run = Run(
        id=recorded.run_id,
        task_id=state.task.id,
        status="queued",
        attempt=fact.attempt,
        origin=recorded.origin,
        queued_at=recorded.occurred_at,
        idempotency_key=fact.idempotency_key,
        request_hash=fact.request_hash,
        default_key=fact.default_key,
        network_channel=fact.network_channel,
        coordination_channel_id=fact.coordination_channel_id,
        metadata=fact.metadata,
    )
    return with_run(state, recorded, run, fact.task_status)


def _continued(state: TaskState, recorded: Recorded, fact: e.RunReviewRetryEnqueued) -> TaskState:
    run = Run(
        id=fact.continuation_run_id,
        task_id=state.task.id,
        status="queued",
        attempt=fact.attempt,
        origin=recorded.origin,
        queued_at=recorded.occurred_at,
        network_channel=fact.network_channel,
        coordination_channel_id=fact.coordination_channel_id,
        metadata=fact.metadata,
        review_id=fact.review_id,
        reviewed_run_id=fact.run_id,
        review_round=fact.review_round,
    )
    return with_run(state, recorded, run, fact.task_status)


def _claimed(state: TaskState, recorded: Recorded, fact: e.RunClaimed) -> TaskState:
    now = recorded.occurred_at
    run = replace(
        state.runs[recorded.run_id],
        status="claimed",
        claimed_by=fact.claimed_by,
        session_id=fact.session_id,
        claim_token_hash=fact.claim_token_hash,
        claimed_at=now,
        heartbeat_at=now if fact.claim_token_hash else 0,
        lease_until=fact.lease_until,
        started_at=0,
        ended_at=0,
        error="",
        result=NO_JSON,
    )
    if fact.soul is not None:
        run = replace(run, metadata=_with_soul(run.metadata, fact.soul))
    return with_run(state, recorded, run, fact.task_status)


def _with_soul(metadata: Json, soul: Soul) -> Json:
    """Return the metadata, an object, with the soul as one more member; the others stay as sent."""
    members = msgspec.json.decode(metadata, type=dict[str, Json]) if bytes(metadata) else {}
    return Json(msgspec.json.encode({**members, "soul": soul}))


def _starting(
    state: TaskState, recorded: Recorded, fact: e.RunStarting | e.RunSessionBound
) -> TaskState:
    before = state.runs[recorded.run_id]
    session_id = fact.session_id or before.session_id
    run = replace(before, status="starting", session_id=session_id)
    return with_run(state, recorded, run, fact.task_status)


def _started(state: TaskState, recorded: Recorded, fact: e.RunStarted) -> TaskState:
    run = replace(state.runs[recorded.run_id], status="running", started_at=recorded.occurred_at)
    return with_run(state, recorded, run, fact.task_status)


def _completed(state: TaskState, recorded: Recorded, fact: e.RunCompleted) -> TaskState:
    run = replace(
        state.runs[recorded.run_id],
        status="completed",
        result=fact.result,
        error="",
        ended_at=recorded.occurred_at,
        lease_until=0,
        heartbeat_at=0,
        outcome_hash=fact.request_hash,
    )
    return with_run(state, recorded, run, fact.task_status)


def _failed(state: TaskState, recorded: Recorded, fact: e.RunFailed) -> TaskState:
    run = replace(
        state.runs[recorded.run_id],
        status="failed",
        result=NO_JSON,
        error=fact.error,
        failure_kind=fact.failure_kind,
        ended_at=recorded.occurred_at,
        lease_until=0,
        heartbeat_at=0,
        outcome_hash=fact.request_hash,
    )
    return with_run(state, recorded, run, fact.task_status)


def _run_canceled(state: TaskState, recorded: Recorded, fact: e.RunCanceled) -> TaskState:
    # Claimer, session and lease stay visible on a canceled run (task API, run cancel).
    run = replace(
        state.runs[recorded.run_id],
        status="canceled",
        result=NO_JSON,
        error="",
        ended_at=recorded.occurred_at,
    )
    return with_run(state, recorded, run, fact.task_status)


def _unmoved(
    state: TaskState, _: Recorded, __: e.RunRejected | e.RunStarved | e.RunForceStopped
) -> TaskState:
    return state


def _lease_extended(state: TaskState, recorded: Recorded, fact: e.RunLeaseExtended) -> TaskState:
    run = replace(
        state.runs[recorded.run_id],
        lease_until=fact.lease_until,
        heartbeat_at=fact.heartbeat_at,
    )
    return with_run(state, recorded, run, fact.task_status)


def _needs_attention(state: TaskState, recorded: Recorded, fact: e.RunNeedsAttention) -> TaskState:
    run = replace(state.runs[recorded.run_id], status="needs_attention", error=fact.diagnostic)
    return with_run(state, recorded, run, fact.task_status)


_QUIET: frozenset[type[e.Fact]] = frozenset({e.TaskBridgeSubscribed, e.TaskBridgeUnsubscribed})

_EVOLVE: dict[type[e.Fact], Callable[[TaskState, Recorded, Any], TaskState]] = {
    e.TaskUpdated: _updated,
    e.TaskPublished: _published,
    e.TaskApproved: _decided,
    e.TaskRejected: _decided,
    e.TaskCanceled: _canceled,
    e.TaskStatusChanged: _status_changed,
    e.TaskDeleted: _deleted,
    e.TaskChildCreated: _child_created,
    e.TaskChildDeleted: _child_deleted,
    e.TaskDependencyAdded: _dependency_added,
    e.TaskDependencyRemoved: _dependency_removed,
    e.TaskPaused: counting(_paused),
    e.TaskResumed: counting(_resumed),
    e.TaskProfileUpdated: _profile_updated,
    e.TaskProfileDeleted: _profile_deleted,
    e.RunEnqueued: _enqueued,
    e.RunClaimed: _claimed,
    e.RunStarting: _starting,
    e.RunSessionBound: _starting,
    e.RunStarted: _started,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCanceled: _run_canceled,
    e.RunRejected: _unmoved,
    e.RunStarved: _unmoved,
    e.RunLeaseExtended: _lease_extended,
    e.RunLeaseExpired: requeued,
    e.RunReleased: counting(requeued),
    e.RunForceStopped: _unmoved,
    e.RunOperatorForcedFail: counting(forced_fail),
    e.RunOperatorRetry: counting(retried),
    e.RunRecoveredFromAttention: counting(recovered),
    e.RunRequeued: counting(requeued),
    e.RunNeedsAttention: _needs_attention,
    e.RunReviewRetryEnqueued: _continued,
    **REVIEW_FOLDS,
    e.TaskBridgeSubscribed: subscriptions.subscribed,
    e.TaskBridgeUnsubscribed: subscriptions.unsubscribed,
}

TASK_FACTS: frozenset[type[e.Fact]] = frozenset(_EVOLVE) | {e.TaskCreated}
"""Every fact a task stream may hold."""
