"""Commands about bridges, subscriptions and their notifications; values are as they were sent."""

from domain.commands import Command
from domain.events import (
    NotificationDelivered,
    NotificationFailed,
    NotificationPassedOver,
    NotificationSuppressed,
)

NotificationFact = (
    NotificationDelivered | NotificationSuppressed | NotificationPassedOver | NotificationFailed
)


class PutBridge(Command, frozen=True, kw_only=True):
    """Make a bridge known or change it; what is None stays. `workspace` is an id, name or path."""

    bridge_id: str
    url: str | None = None
    scope: str | None = None
    workspace: str | None = None
    name: str | None = None
    enabled: bool | None = None
    secret_id: str = ""


class RemoveBridge(Command, frozen=True, kw_only=True):
    """Forget a bridge; its subscriptions stay, and nothing is sent for them."""

    bridge_id: str


class SubscribeBridge(Command, frozen=True, kw_only=True):
    """Tell somebody through a bridge how a task ends; a known id is changed."""

    task_id: str
    subscription_id: str = ""
    bridge_instance_id: str = ""
    scope: str = ""
    workspace_id: str = ""
    peer_id: str = ""
    thread_id: str = ""
    group_id: str = ""
    delivery_mode: str = ""


class UnsubscribeBridge(Command, frozen=True, kw_only=True):
    """Tell somebody no longer; how far the subscription was served stays known."""

    task_id: str
    subscription_id: str


class NoteNotification(Command, frozen=True, kw_only=True):
    """Put on record what became of the notification of an event."""

    fact: NotificationFact
