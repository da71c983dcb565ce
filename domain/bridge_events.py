"""Facts about bridges, who is told through them, and what became of telling (added types).

A bridge is an endpoint outside; its secret is named by an id and never part of a fact. The events
of a notification belong to a stream of their own, so that they are no activity of the task.
Names and fields are the storage format: change them through an upcaster.
"""

from domain.fact import Fact
from domain.instants import Instant
from domain.values import DeliveryMode, Scope


class BridgeConfigured(Fact, frozen=True, kw_only=True):
    """A bridge became known, or what is known about it changed (added stream)."""

    TYPE = "bridge.configured"
    # An address may be a capability; who may see the bridge sees it there.
    PRIVATE = frozenset({"url", "secret_id"})
    bridge_id: str
    url: str
    scope: Scope
    workspace_id: str = ""
    name: str = ""
    enabled: bool
    secret_id: str


class BridgeRemoved(Fact, frozen=True, kw_only=True):
    """A bridge is no longer known (added stream)."""

    TYPE = "bridge.removed"
    bridge_id: str
    workspace_id: str = ""


class TaskBridgeSubscribed(Fact, frozen=True, kw_only=True):
    """Somebody is to be told how the task ends (added type)."""

    TYPE = "task.bridge_subscribed"
    subscription_id: str
    bridge_instance_id: str
    scope: Scope
    workspace_id: str = ""
    peer_id: str = ""
    thread_id: str = ""
    group_id: str = ""
    delivery_mode: DeliveryMode


class TaskBridgeUnsubscribed(Fact, frozen=True, kw_only=True):
    """Somebody is no longer to be told how the task ends (added type)."""

    TYPE = "task.bridge_unsubscribed"
    subscription_id: str
    bridge_instance_id: str


class NotificationOpened(Fact, frozen=True, kw_only=True):
    """A subscription was made or made anew; it goes on behind its old position (added stream)."""

    TYPE = "notification.opened"
    subscription_id: str
    subject_task_id: str
    workspace_id: str = ""


class NotificationDelivered(Fact, frozen=True, kw_only=True):
    """The bridge has taken the notification of an event (added stream)."""

    TYPE = "notification.delivered"
    subscription_id: str
    workspace_id: str = ""
    subject_sequence: int
    delivery_id: str
    status_code: int


class NotificationSuppressed(Fact, frozen=True, kw_only=True):
    """The notification of an event was not sent, because the bridge is off (added stream)."""

    TYPE = "notification.suppressed"
    subscription_id: str
    workspace_id: str = ""
    subject_sequence: int
    delivery_id: str
    reason: str


class NotificationPassedOver(Fact, frozen=True, kw_only=True):
    """The events up to this one told another outcome than the task's (added stream)."""

    TYPE = "notification.passed_over"
    subscription_id: str
    workspace_id: str = ""
    subject_sequence: int
    error: str


class NotificationFailed(Fact, frozen=True, kw_only=True):
    """The bridge did not take the notification; it is tried again at `retry_at` (added stream)."""

    TYPE = "notification.failed"
    subscription_id: str
    workspace_id: str = ""
    subject_sequence: int
    delivery_id: str
    attempt: int
    status_code: int = 0
    error: str
    retry_at: Instant
