"""The fold of who is told how a task ends, and of the events that tell it."""

from msgspec.structs import replace

from domain import events as e
from domain.recorded import Recorded
from domain.task.state import Ending, Subscription, TaskState
from domain.values import TaskStatus


def ending(recorded: Recorded, status: TaskStatus) -> Ending:
    """Return what a notification needs to know of an event that may end the task."""
    return Ending(
        sequence=recorded.sequence,
        event_type=recorded.type,
        status=status,
        command_id=recorded.command_id,
        run_id=recorded.run_id,
    )


def subscribed(state: TaskState, recorded: Recorded, fact: e.TaskBridgeSubscribed) -> TaskState:
    """Return the state with a subscription made or changed."""
    known = state.subscriptions.get(fact.subscription_id)
    subscription = Subscription(
        id=fact.subscription_id,
        task_id=state.id,
        bridge_id=fact.bridge_instance_id,
        scope=fact.scope,
        delivery_mode=fact.delivery_mode,
        created_by=known.created_by if known else recorded.actor,
        created_at=known.created_at if known else recorded.occurred_at,
        updated_at=recorded.occurred_at,
        workspace_id=fact.workspace_id,
        peer_id=fact.peer_id,
        thread_id=fact.thread_id,
        group_id=fact.group_id,
    )
    return replace(state, subscriptions={**state.subscriptions, subscription.id: subscription})


def unsubscribed(state: TaskState, _: Recorded, fact: e.TaskBridgeUnsubscribed) -> TaskState:
    """Return the state without a subscription."""
    remaining = {
        subscription_id: subscription
        for subscription_id, subscription in state.subscriptions.items()
        if subscription_id != fact.subscription_id
    }
    return replace(state, subscriptions=remaining)
