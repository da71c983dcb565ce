"""The catalogue of facts and commands, the event table, and the folds on their own."""

import inspect
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from msgspec.structs import fields

from domain import (
    bridge_commands,
    bridge_events,
    commands,
    errors,
    events,
    force_commands,
    projection_events,
    registry_events,
    review_events,
    run_events,
    task_events,
)
from domain.commands import Claim, Command, Execution, LeaseCommand
from domain.decide import COMMANDS
from domain.events import FACT_BY_TYPE, FACTS, Fact
from domain.ona import commands as ona_commands
from domain.ona import events as ona_events
from domain.posthog import commands as posthog_commands
from domain.posthog import events as posthog_events
from domain.posthog.commands import PosthogRunCommand, PosthogTaskCommand
from domain.recorded import Recorded, session_stream, task_stream, workspace_stream
from domain.registry import (
    OpsState,
    evolve_ops,
    evolve_scheduler,
    evolve_session,
    evolve_workspace,
)
from domain.task.evolve import TASK_FACTS
from domain.tempest import commands as tempest_commands
from domain.tempest import events as tempest_events
from domain.tempest.commands import AppCommand
from domain.tempest.values import HealthReport, Variable
from domain.values import LOCAL_USER, Actor, Blob, Owner, ReviewOutcome
from domain.world import evolve
from projections.wire.events import payload
from tests.domain.posthog import events as posthog_table
from tests.support.spec import HTTP, HUMAN, NOW
from tests.support.steps import json


def _classes(module: Any, base: type[Any]) -> Iterator[type[Any]]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, base) and found is not base and found.__module__ == module.__name__:
            yield found


def test_the_list_of_facts_is_complete_and_has_no_type_twice() -> None:
    defined = {
        fact
        for module in (
            task_events,
            run_events,
            review_events,
            registry_events,
            projection_events,
            bridge_events,
            tempest_events,
            posthog_events,
            ona_events,
        )
        for fact in _classes(module, Fact)
    }
    assert set(FACTS) == defined
    assert len(FACTS) == len(FACT_BY_TYPE) == len(defined)
    # Other APIs keep their facts to themselves.
    own = {fact.__name__ for fact in FACTS if fact.__module__.count(".") == 1}
    assert set(events.__all__) == own | {
        "FACTS",
        "FACT_BY_TYPE",
        "Fact",
    }


def test_task_streams_hold_exactly_the_facts_named_after_tasks() -> None:
    assert {fact for fact in FACTS if fact.TYPE.startswith("task.")} == TASK_FACTS


def test_every_command_has_a_decision() -> None:
    core = (commands, bridge_commands, force_commands)
    modules = (*core, ona_commands, tempest_commands, posthog_commands)
    known = {command for module in modules for command in _classes(module, Command)}
    bases = {
        *(Claim, Execution, LeaseCommand, AppCommand),
        *(PosthogTaskCommand, PosthogRunCommand),
    }
    assert known - bases == COMMANDS


def test_private_members_exist() -> None:
    for fact in FACTS:
        assert not fact.PRIVATE - set(fact.__struct_fields__), fact


def test_every_error_has_its_own_code() -> None:
    codes = [error.code for error in _classes(errors, errors.DomainError)]
    assert len(set(codes)) == len(codes)


TASK_STATE = {"status", "task_status"}
BY_HAND = {"manual", "actor_kind", "actor_id"}
EVENT_TABLE: dict[str, tuple[set[str], set[str]]] = {
    # `facade` is an addition.
    "task.created": (
        {"scope", "status"},
        {"workspace_id", "parent_task_id", "network_channel", "owner", "facade"},
    ),
    "task.updated": ({"changed_fields", "status"}, set()),
    "task.published": ({"previous_status", "status", "approval_state"}, set()),
    "task.approved": ({"previous_approval_state", "approval_state", "status"}, set()),
    "task.rejected": ({"previous_approval_state", "approval_state", "status"}, set()),
    "task.canceled": (
        {"status"},
        {"reason", "metadata", "propagated_from_task_id", "canceled_run_ids"},
    ),
    "task.child_created": ({"child_task_id", "child_scope"}, {"child_workspace_id"}),
    "task.dependency_added": ({"depends_on_task_id", "kind", "status"}, set()),
    "task.dependency_removed": ({"depends_on_task_id", "kind", "status"}, set()),
    "task.paused": (
        {"manual", "actor_kind", "previous_paused", "paused"},
        {"actor_id", "reason", "metadata"},
    ),
    "task.resumed": (
        {"manual", "actor_kind", "previous_paused", "paused"},
        {"actor_id", "metadata"},
    ),
    "task.run_enqueued": (
        {"attempt", *TASK_STATE},
        {"network_channel", "coordination_channel_id", "idempotency_key"},
    ),
    "task.run_claimed": ({*TASK_STATE, "claimed_by", "lease_until"}, {"claim_token_hash"}),
    "task.run_starting": (TASK_STATE, {"session_id"}),
    "task.run_session_bound": (TASK_STATE, {"session_id"}),
    "task.run_started": (TASK_STATE, {"session_id"}),
    "task.run_completed": (TASK_STATE, {"result", "claim_token_hash"}),
    # `failure_kind` is an addition.
    "task.run_failed": (
        {*TASK_STATE, "error"},
        {"metadata", "claim_token_hash", "failure_kind"},
    ),
    "task.run_canceled": (
        TASK_STATE,
        {"reason", "metadata", "session_id", "propagated_from_task_id"},
    ),
    "task.run_rejected": ({"operation", "reason"}, {"network_channel"}),
    "task.run_lease_extended": (
        {*TASK_STATE, "lease_until", "heartbeat_at"},
        {"claim_token_hash"},
    ),
    # `expiries` is an addition.
    "task.run_lease_expired": (
        {"previous_status", *TASK_STATE, "lease_until"},
        {
            "reason",
            "session_id",
            "previous_claim_token_hash",
            "coordination_channel_id",
            "expiries",
        },
    ),
    # `metadata` is an addition here and where runs are retried and recovered.
    "task.run_released": (
        {"previous_status", *TASK_STATE},
        {
            *("reason", "session_id", "manual", "actor_kind", "actor_id", "previous_session_id"),
            *("previous_claim_token_hash_truncated", "previous_lease_until", "metadata"),
        },
    ),
    "task.run_force_stopped": ({"session_id", "grace_timeout_ms"}, {"propagated_from_task_id"}),
    "task.run_operator_forced_fail": (
        {*BY_HAND, "previous_status", *TASK_STATE, "reason"},
        {"session_id", "metadata"},
    ),
    "task.run_operator_retry": (
        {*BY_HAND, "source_run_id", "new_run_id", "task_status"},
        {"metadata"},
    ),
    "task.run_recovered_from_attention": (
        {*BY_HAND, "source_run_id", "new_run_id", "previous_status", *TASK_STATE},
        {"reason", "metadata"},
    ),
    "task.run_needs_attention": (
        {"previous_status", "status"},
        {"diagnostic", "queued_at", "coordination_channel"},
    ),
    "task.execution_profile_updated": (
        {"task_id", "coordinator_mode", "worker_mode", "sandbox_mode"},
        set(),
    ),
    "task.execution_profile_deleted": ({"task_id"}, set()),
    "task.run_review_requested": (
        {"review_id", "run_id", "policy", "review_round", "attempt", "created"},
        set(),
    ),
    "task.run_review_bound": (
        {"review_id", "run_id", "session_id"},
        {"reviewer_agent_name", "reviewer_peer_id", "reviewer_channel_id"},
    ),
    **{
        f"task.run_review_{outcome}": (
            {"review_id", "run_id", "outcome", "confidence", "delivery_id", "review_round"},
            {"continuation_run_id"},
        )
        for outcome in ("recorded", *get_args(ReviewOutcome))
    },
    "task.run_review_retry_enqueued": (
        {"review_id", "run_id", "continuation_run_id", "review_round"},
        set(),
    ),
    # The types below are additions.
    "task.run_requeued": (
        {*BY_HAND, "previous_status", *TASK_STATE},
        {"reason", "metadata"},
    ),
    "task.run_review_rounds_exhausted": (
        {"review_id", "run_id", "review_round", "max_rounds"},
        set(),
    ),
    "task.status_changed": (
        {"previous_status", "status", "cause_event_id", "cause_task_id"},
        set(),
    ),
    "task.deleted": ({"status"}, set()),
    "task.child_deleted": ({"child_task_id"}, set()),
    "scheduler.paused": (set(), {"reason"}),
    "scheduler.resumed": (set(), {"reason"}),
    "scheduler.drain_started": ({"timeout_seconds", "active_claims"}, {"reason"}),
    "scheduler.drain_completed": ({"completed", "remaining_claims"}, {"timed_out"}),
    "session.registered": (
        {"session_id", "agent_name", "concurrency"},
        {
            "workspace_id",
            "channel",
            "name",
            "capabilities",
            "declared",
            "soul_digest",
            "soul_snapshot_id",
        },
    ),
    "session.stopped": ({"session_id"}, set()),
    "workspace.registered": ({"workspace_id"}, {"name", "path"}),
    "workspace.removed": ({"workspace_id"}, set()),
    "scheduler.runs_waited": ({"run_ids"}, {"ended"}),
    "task.run_starved": ({"queued_age_ms"}, {"queued_at", "coordination_channel"}),
    "inbox.triaged": ({"triaged_task_id", "action", "last_seen_activity_at"}, {"workspace_id"}),
    "ona.task_created": (
        {"ona_task_id", "workspace_id"},
        {"reference", "name", "description", "triggered_by", "depends_on"},
    ),
    "ona.task_updated": (
        {"ona_task_id", "workspace_id", "changed_fields"},
        {"name", "description", "triggered_by", "depends_on"},
    ),
    "ona.task_deleted": ({"ona_task_id", "workspace_id"}, set()),
    "ops.token_created": ({"token_id", "scopes", "token_actor"}, {"name", "workspace_id"}),
    "ops.token_revoked": ({"token_id"}, set()),
    "ops.projection_detached": (
        {"projection", "failed_sequence"},
        {"failed_type", "error", "held_stream"},
    ),
    "ops.projection_compared": ({"projection"}, {"position", "differing_rows", "error"}),
    "ops.projection_caught_up": ({"projection", "position"}, set()),
    "ops.projection_rebuild_started": ({"projection", "version"}, {"repair"}),
    "ops.projection_rebuild_finished": ({"projection", "version", "position"}, {"digest"}),
    "ops.projection_rebuild_failed": ({"projection", "error"}, {"failed_sequence"}),
    "ops.projection_rebuild_canceled": ({"projection"}, set()),
    "ops.projection_rolled_back": ({"projection", "version", "position"}, set()),
    "ops.projection_event_skipped": ({"projection", "skipped_sequence", "reason"}, set()),
    "bridge.configured": ({"bridge_id", "scope", "enabled"}, {"workspace_id", "name"}),
    "bridge.removed": ({"bridge_id"}, {"workspace_id"}),
    "task.bridge_subscribed": (
        {"subscription_id", "bridge_instance_id", "scope", "delivery_mode"},
        {"workspace_id", "peer_id", "thread_id", "group_id"},
    ),
    "task.bridge_unsubscribed": ({"subscription_id", "bridge_instance_id"}, set()),
    "notification.opened": ({"subscription_id", "subject_task_id"}, {"workspace_id"}),
    "notification.delivered": (
        {"subscription_id", "subject_sequence", "delivery_id", "status_code"},
        {"workspace_id"},
    ),
    "notification.suppressed": (
        {"subscription_id", "subject_sequence", "delivery_id", "reason"},
        {"workspace_id"},
    ),
    "notification.passed_over": (
        {"subscription_id", "subject_sequence", "error"},
        {"workspace_id"},
    ),
    "notification.failed": (
        {"subscription_id", "subject_sequence", "delivery_id", "attempt", "error", "retry_at"},
        {"workspace_id", "status_code"},
    ),
    "tempest.version_connected": ({"app_id", "version"}, {"workspace_id"}),
    "tempest.health_reported": ({"app_id", "version", "reports"}, {"workspace_id"}),
    "tempest.operation_queued": (
        {"app_id", "version", "request_type", "operation", "resource_type", "requested_by", "page"},
        {"workspace_id", "external_id", "previous_task_id", "request_blob", "environment"},
    ),
    "tempest.response_kept": ({"response"}, set()),
    **posthog_table.EVENT_TABLE,
}

VALUES: dict[str, Any] = {
    "retry_at": NOW,
    "ancestors": ("t0",),
    "attempt": 1,
    "auto_enqueue_on_ready": True,
    "canceled_run_ids": ("r1",),
    "capabilities": ("go",),
    "changed_fields": ("title",),
    "claimed_by": HUMAN,
    "declared": True,
    "environment": (Variable(name="A", type="variable"),),
    "page": 1,
    "reports": (HealthReport(type="x", status="healthy"),),
    "request_blob": Blob("0" * 64, 1),
    "requested_by": HUMAN,
    "response": Blob("0" * 64, 1),
    "default_key": True,
    "last_seen_activity_at": NOW,
    "lease_until": NOW,
    "heartbeat_at": NOW,
    "manual": True,
    "max_attempts": 4,
    "metadata": json("{}"),
    "owner": Owner("human", "ann"),
    "previous_lease_until": NOW,
    "queued_at": NOW,
    "result": json("{}"),
    "scopes": ("admin",),
    "timed_out": True,
    "token_actor": HUMAN,
}
EMPTY: dict[str, Any] = {
    "retry_at": 0,
    "last_seen_activity_at": 0,
    "lease_until": 0,
    "heartbeat_at": 0,
    "manual": False,
}


def fact_of(fact: type[Fact], values: dict[str, Any], names: Any) -> Fact:
    return fact(**{name: values.get(name, "x") for name in names})


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.TYPE)
def test_the_event_table(fact: type[Fact]) -> None:
    always, sometimes = EVENT_TABLE[fact.TYPE]
    full = fact_of(fact, VALUES, fact.__struct_fields__)
    assert set(payload(full)) == always | sometimes
    required = [field.name for field in fields(fact) if field.required]
    assert set(payload(fact_of(fact, EMPTY, required))) == always


def test_the_event_table_has_no_other_rows() -> None:
    assert set(EVENT_TABLE) == set(FACT_BY_TYPE)


def recorded(stream: str, fact: Fact, version: int = 1) -> Recorded:
    return Recorded(
        sequence=version,
        originator_id=stream,
        originator_version=version,
        event_id=f"evt-{version}",
        fact=fact,
        actor=HUMAN,
        origin=HTTP,
        occurred_at=NOW,
        recorded_at=NOW,
        command_id="command-1",
    )


def test_an_event_names_its_type() -> None:
    stopped = recorded(session_stream("s1"), events.SessionStopped(session_id="s1"))
    assert stopped.type == "session.stopped"


def test_streams_are_named_by_kind_and_id() -> None:
    assert task_stream("a:b") == "task:a:b"
    assert workspace_stream("w1") == "workspace:w1"
    assert LOCAL_USER.label == "human:local-user"
    assert Actor("daemon", "scheduler").label == "daemon:scheduler"


def test_the_end_of_something_unknown_folds_to_nothing() -> None:
    stopped = recorded(session_stream("s1"), events.SessionStopped(session_id="s1"))
    removed = recorded(workspace_stream("w1"), events.WorkspaceRemoved(workspace_id="w1"))
    assert evolve_session(None, stopped) is None
    assert evolve_workspace(None, removed) is None
    assert evolve(None, stopped) is None


def test_a_token_that_is_unknown_folds_to_nothing() -> None:
    revoked = recorded("ops", events.TokenRevoked(token_id="k1"))
    assert evolve_ops(None, revoked) == OpsState(version=1)


def test_what_the_scheduler_does_not_depend_on_moves_only_its_version() -> None:
    ended = events.SchedulerDrainCompleted(completed=True, remaining_claims=0)
    assert evolve_scheduler(None, recorded("scheduler", ended)).version == 1


def test_a_refusal_without_detail_is_its_sentinel() -> None:
    assert errors.PermissionDeniedError().text == "task: permission denied"


def test_a_diagnostic_may_suggest_a_command() -> None:
    diagnostic = errors.Diagnostic(
        id="x",
        code="x",
        severity="error",
        category="task",
        title="Title",
        message="message",
        suggested_command="agh task show",
        data_freshness="live",
    )
    refusal = errors.InvalidTransitionError("detail", diagnostic)
    assert refusal.text == "Title: message (next: agh task show)"
    assert str(refusal) == "task: invalid status transition: detail"
