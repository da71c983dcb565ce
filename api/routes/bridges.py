"""Operations on bridges (added resource) and on the subscriptions of tasks to them."""

from typing import Any, Final

from api import bodies as b
from api import replies
from api.answers import NO_CONTENT, Answer
from api.call import Call
from api.operations import Operation
from api.queries import BridgeDeliveriesQuery, BridgeSubscriptionsQuery
from api.routes.common import operation
from api.routes.task_reads import require_task
from domain.bridge_commands import SubscribeBridge, UnsubscribeBridge
from domain.bridge_state import BridgeState
from domain.errors import BridgeNotFoundError, SubscriptionNotFoundError
from projections import bridges
from projections.bridges import Served
from projections.wire.bridges import bridge_view, subscription_view

_USUAL: Final = 50
_MOST: Final = 500
_SUBSCRIPTIONS: Final = "/api/tasks/{id}/notifications/bridges"


async def put_bridge(call: Call) -> Answer:
    """Make a bridge, or change it; a new secret is shown this once."""
    body = await call.read(b.PutBridgeRequest)
    secret = await call.services.bridges.put(call, body)
    bridge = _require_bridge(call)
    return call.reply(replies.PutBridgeResponse(bridge_view(bridge), secret))


async def get_bridge(call: Call) -> Answer:
    """Return a bridge without its secret."""
    bridge = _require_bridge(call)
    available = call.services.bridges.has_secret(bridge)
    return call.reply(replies.BridgeResponse(bridge_view(bridge), available))


async def list_bridges(call: Call) -> Answer:
    """List the bridges, the oldest first."""
    limit = call.caller.workspace_limit
    found = bridges.bridges(call.services.ledger.reader)
    shown = (bridge_view(each) for each in found if not limit or each.workspace_id == limit)
    return call.reply(replies.ListBridgesResponse(tuple(shown)))


async def delete_bridge(call: Call) -> Answer:
    """Forget a bridge and its secret; nothing is sent any more to its subscriptions."""
    await call.services.bridges.remove(call)
    return NO_CONTENT


async def list_bridge_subscriptions(call: Call) -> Answer:
    """List whom a bridge tells and how the last tries went, the last tried first."""
    query = call.query(BridgeDeliveriesQuery)
    bridge = _require_bridge(call)
    limit = min(query.limit or _USUAL, _MOST)
    return _list(
        call, bridges.subscriptions_of_bridge(call.services.ledger.reader, bridge.id, limit)
    )


def _require_bridge(call: Call) -> BridgeState:
    bridge_id = call.values[0]
    bridge = bridges.bridge_of(call.services.ledger.reader, bridge_id)
    if bridge is None:
        raise BridgeNotFoundError(f'"{bridge_id}"')
    call.require_workspace(bridge.workspace_id, f'bridge "{bridge.id}"')
    return bridge


async def subscribe(call: Call) -> Answer:
    """Tell somebody through a bridge how the task ends; a known id is changed."""
    task_id, _ = _subject(call)
    body = await call.read(b.CreateTaskBridgeNotificationSubscriptionRequest)
    command = SubscribeBridge(
        task_id=task_id,
        subscription_id=body.subscription_id or "",
        bridge_instance_id=body.bridge_instance_id or "",
        scope=body.scope or "",
        workspace_id=body.workspace_id or "",
        peer_id=body.peer_id or "",
        thread_id=body.thread_id or "",
        group_id=body.group_id or "",
        delivery_mode=body.delivery_mode or "",
    )
    outcome = await call.submit(command)
    return _one(call, task_id, outcome.reply.subscription_id)


async def get_subscription(call: Call) -> Answer:
    """Return a subscription of a task."""
    return _one(call, *_subject(call))


async def list_subscriptions(call: Call) -> Answer:
    """List the subscriptions of a task, the last changed first."""
    task_id, _ = _subject(call)
    query = call.query(BridgeSubscriptionsQuery)
    wanted = {
        "bridge_id": query.bridge_instance_id,
        "scope": query.scope,
        "workspace_id": query.workspace_id,
    }
    found = [
        served
        for served in bridges.subscriptions_of_task(call.services.ledger.reader, task_id)
        if all(
            not value or getattr(served.subscription, name) == value
            for name, value in wanted.items()
        )
    ]
    return _list(call, found[: query.limit] if query.limit > 0 else found)


async def unsubscribe(call: Call) -> Answer:
    """Tell somebody no longer; how far the subscription was served stays known."""
    task_id, subscription_id = _subject(call)
    await call.submit(UnsubscribeBridge(task_id=task_id, subscription_id=subscription_id))
    return NO_CONTENT


def _subject(call: Call) -> tuple[str, str]:
    """Return the ids in the path, that of a task the caller may read and any other."""
    task_id, *more = call.values
    require_task(call, task_id)
    return task_id, more[0] if more else ""


def _one(call: Call, task_id: str, subscription_id: str) -> Answer:
    served = bridges.subscription_of(call.services.ledger.reader, task_id, subscription_id)
    if served is None:
        raise SubscriptionNotFoundError(f'"{subscription_id}" of task "{task_id}"')
    return call.reply(replies.BridgeSubscriptionResponse(subscription_view(served)))


def _list(call: Call, found: list[Served]) -> Answer:
    shown = tuple(map(subscription_view, found))
    return call.reply(replies.ListTaskBridgeNotificationSubscriptionsResponse(shown))


def _bridge(
    method: str, path: str, name: str, handle: Any, statuses: tuple[int, ...] = (), **more: Any
) -> Operation:
    labels = ("bridge id",) if "{id}" in path else ()
    return operation(
        method,
        f"/api/bridges{path}",
        name,
        handle,
        tag="bridges",
        scope="admin",
        labels=labels,
        statuses=statuses,
        **more,
    )


def _subscription(
    method: str, path: str, name: str, handle: Any, statuses: tuple[int, ...], **more: Any
) -> Operation:
    return operation(
        method, f"{_SUBSCRIPTIONS}{path}", name, handle, tag="tasks", statuses=statuses, **more
    )


_SUBSCRIPTION_LIST: Final = replies.ListTaskBridgeNotificationSubscriptionsResponse

OPERATIONS: Final[tuple[Operation, ...]] = (
    _subscription(
        "GET",
        "",
        "listTaskBridgeNotificationSubscriptions",
        list_subscriptions,
        (400, 404),
        query=BridgeSubscriptionsQuery,
        reply=_SUBSCRIPTION_LIST,
    ),
    _subscription(
        "POST",
        "",
        "createTaskBridgeNotificationSubscription",
        subscribe,
        (400, 404, 409),
        action="tasks.create_bridge_notification_subscription",
        body=b.CreateTaskBridgeNotificationSubscriptionRequest,
        what="create task bridge notification subscription",
        body_required=True,
        success=201,
        reply=replies.BridgeSubscriptionResponse,
    ),
    _subscription(
        "GET",
        "/{subscription_id}",
        "getTaskBridgeNotificationSubscription",
        get_subscription,
        (404,),
        reply=replies.BridgeSubscriptionResponse,
    ),
    _subscription(
        "DELETE",
        "/{subscription_id}",
        "deleteTaskBridgeNotificationSubscription",
        unsubscribe,
        (404,),
        action="tasks.delete_bridge_notification_subscription",
        success=204,
    ),
    _bridge(
        "PUT",
        "/{id}",
        "putBridge",
        put_bridge,
        (404, 409, 422),
        action="tasks.put_bridge",
        body=b.PutBridgeRequest,
        what="put bridge",
        reply=replies.PutBridgeResponse,
    ),
    _bridge("GET", "/{id}", "getBridge", get_bridge, (404,), reply=replies.BridgeResponse),
    _bridge(
        "DELETE",
        "/{id}",
        "deleteBridge",
        delete_bridge,
        (404,),
        action="tasks.delete_bridge",
        success=204,
    ),
    _bridge("GET", "", "listBridges", list_bridges, reply=replies.ListBridgesResponse),
    _bridge(
        "GET",
        "/{id}/subscriptions",
        "listBridgeSubscriptions",
        list_bridge_subscriptions,
        (404, 422),
        query=BridgeDeliveriesQuery,
        reply=_SUBSCRIPTION_LIST,
    ),
)
