"""Bridges and subscriptions as clients see them (task API, bridge notifications)."""

from msgspec import Struct

from domain.bridge_state import Attempt, AttemptOutcome, BridgeState, CursorState
from domain.task.state import Subscription
from domain.values import Actor, DeliveryMode, Scope
from projections.bridges import Served
from projections.wire.times import DateTime, date_time, optional_time

STREAM_NAME = "task_events"
"""What a cursor points into, as the task API calls it."""


class Bridge(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint that is told how tasks end; its secret is shown by nobody again."""

    id: str
    url: str
    scope: Scope
    workspace_id: str = ""
    name: str = ""
    enabled: bool
    created_at: DateTime
    updated_at: DateTime


class DeliveryCursor(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a subscription has been served."""

    consumer_id: str
    stream_name: str
    subject_id: str
    last_sequence: int
    last_delivery_id: str = ""
    last_delivered_at: DateTime | None = None
    last_error: str = ""
    updated_at: DateTime | None = None


class DeliveryAttempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one try (added)."""

    at: DateTime
    outcome: AttemptOutcome
    sequence: int
    delivery_id: str = ""
    status_code: int = 0
    error: str = ""


class BridgeSubscription(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom a task's end is told; `attempts` are the last ones, the latest last (added)."""

    subscription_id: str
    task_id: str
    bridge_instance_id: str
    scope: Scope
    workspace_id: str = ""
    peer_id: str = ""
    thread_id: str = ""
    group_id: str = ""
    delivery_mode: DeliveryMode
    cursor: DeliveryCursor
    created_by: Actor
    created_at: DateTime
    updated_at: DateTime
    pending: bool = False
    next_attempt_at: DateTime | None = None
    attempts: tuple[DeliveryAttempt, ...] = ()


def bridge_view(bridge: BridgeState) -> Bridge:
    """Return a bridge."""
    return Bridge(
        id=bridge.id,
        url=bridge.url,
        scope=bridge.scope,
        workspace_id=bridge.workspace_id,
        name=bridge.name,
        enabled=bridge.enabled,
        created_at=date_time(bridge.created_at),
        updated_at=date_time(bridge.updated_at),
    )


def subscription_view(served: Served) -> BridgeSubscription:
    """Return a subscription with its cursor."""
    subscription, cursor = served.subscription, served.cursor
    pending = served.due_at > 0
    return BridgeSubscription(
        subscription_id=subscription.id,
        task_id=subscription.task_id,
        bridge_instance_id=subscription.bridge_id,
        scope=subscription.scope,
        workspace_id=subscription.workspace_id,
        peer_id=subscription.peer_id,
        thread_id=subscription.thread_id,
        group_id=subscription.group_id,
        delivery_mode=subscription.delivery_mode,
        cursor=_cursor_view(subscription, cursor),
        created_by=subscription.created_by,
        created_at=date_time(subscription.created_at),
        updated_at=date_time(subscription.updated_at),
        pending=pending,
        next_attempt_at=optional_time(cursor.retry_at) if pending else None,
        attempts=tuple(map(_attempt_view, cursor.attempts)),
    )


def _cursor_view(subscription: Subscription, cursor: CursorState) -> DeliveryCursor:
    return DeliveryCursor(
        consumer_id=f"bridge_task_subscription:{subscription.id}",
        stream_name=STREAM_NAME,
        subject_id=subscription.task_id,
        last_sequence=cursor.last_sequence,
        last_delivery_id=cursor.last_delivery_id,
        last_delivered_at=optional_time(cursor.last_delivered_at),
        last_error=cursor.last_error,
        updated_at=optional_time(cursor.updated_at),
    )


def _attempt_view(attempt: Attempt) -> DeliveryAttempt:
    return DeliveryAttempt(
        at=date_time(attempt.at),
        outcome=attempt.outcome,
        sequence=attempt.sequence,
        delivery_id=attempt.delivery_id,
        status_code=attempt.status_code,
        error=attempt.error,
    )
