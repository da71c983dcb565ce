"""Bridges and the subscriptions of tasks to them (task API, bridge notifications)."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from domain import fields
from domain.bridge_commands import (
    NoteNotification,
    PutBridge,
    RemoveBridge,
    SubscribeBridge,
    UnsubscribeBridge,
)
from domain.bridge_state import BridgeState, CursorState
from domain.commands import Reply
from domain.errors import (
    BridgeNotFoundError,
    ConflictError,
    InvalidScopeBindingError,
    SubscriptionNotFoundError,
    ValidationError,
    WorkspaceNotFoundError,
)
from domain.events import (
    BridgeConfigured,
    BridgeRemoved,
    NotificationOpened,
    TaskBridgeSubscribed,
    TaskBridgeUnsubscribed,
)
from domain.recorded import bridge_stream, notification_stream
from domain.task.state import Task
from domain.values import ID_BYTES, DeliveryMode, Scope
from domain.world import Plan

URL_BYTES: Final = 2_048
_SCHEMES: Final = frozenset({"http", "https"})
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,127}", re.ASCII)
_SECRET_NAME: Final = re.compile(
    r"token|secret|passw|signature|credential|authorization|(api|access|private)key"
    r"|(^|_|-)(key|sig|auth|pwd)$"
)
_SECRET: Final = "whsec_"
_MODES: Final[Mapping[str, DeliveryMode]] = {
    "direct": "direct-send",
    "direct_send": "direct-send",
    "send": "direct-send",
    "reply-send": "reply",
    "reply_send": "reply",
}


def bridge_of(plan: Plan, bridge_id: str) -> BridgeState | None:
    """Return a bridge, None when there is none."""
    state = plan.state(bridge_stream(bridge_id))
    return state if isinstance(state, BridgeState) and not state.removed else None


def put_bridge(command: PutBridge, plan: Plan) -> Reply:
    """Make a bridge known or change it; it stays in the scope and workspace it was made for."""
    bridge_id = _word(command.bridge_id, "bridge.id")
    known = bridge_of(plan, bridge_id)
    scope, workspace_id = _place(command, known, plan)
    plan.check_reach(workspace_id, f'bridge "{bridge_id}"')
    if known and (scope, workspace_id) != (known.scope, known.workspace_id):
        where = f'workspace "{known.workspace_id}"' if known.workspace_id else "the global scope"
        raise ConflictError(f'bridge "{bridge_id}" belongs to {where}; make another one')
    url = known.url if known and command.url is None else _url(command.url)
    name = known.name if known and command.name is None else command.name
    enabled = (known.enabled if known else True) if command.enabled is None else command.enabled
    fact = BridgeConfigured(
        bridge_id=bridge_id,
        url=url,
        scope=scope,
        workspace_id=workspace_id,
        name=_name(name),
        enabled=enabled,
        secret_id=command.secret_id or (known.secret_id if known else ""),
    )
    if known is None or fact != _as_configured(known):
        plan.emit(bridge_stream(bridge_id), fact)
    return Reply()


def _place(command: PutBridge, known: BridgeState | None, plan: Plan) -> tuple[Scope, str]:
    """Return scope and workspace id; those of a known bridge when nothing is said."""
    ref = fields.identifier(command.workspace, "bridge.workspace")
    if known and not ref and not (command.scope or "").strip():
        return known.scope, known.workspace_id
    usual: Scope = "workspace" if ref else "global"
    scope: Scope = fields.choice(command.scope, "bridge.scope", Scope, usual)
    if (scope == "workspace") != bool(ref):
        wanted = "needs bridge.workspace" if scope == "workspace" else "takes no bridge.workspace"
        raise InvalidScopeBindingError(f'bridge.scope "{scope}" {wanted}')
    workspace_id = plan.world.workspace_of_ref(ref) if ref else ""
    if workspace_id is None:
        raise WorkspaceNotFoundError(f'"{ref}"')
    return scope, workspace_id


def _as_configured(state: BridgeState) -> BridgeConfigured:
    return BridgeConfigured(
        bridge_id=state.id,
        url=state.url,
        scope=state.scope,
        workspace_id=state.workspace_id,
        name=state.name,
        enabled=state.enabled,
        secret_id=state.secret_id,
    )


def _url(value: str | None) -> str:
    """Return an address without anything secret in it; refusals do not repeat it."""
    url = fields.required(value, "bridge.url", limit=URL_BYTES)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValidationError("bridge.url must be an http or https URL in ASCII with a host")
    if "@" in parts.netloc:
        raise ValidationError("bridge.url must not contain a user name or password")
    if "#" in url:
        raise ValidationError("bridge.url must not contain a fragment")
    if _SECRET in url:
        raise ValidationError("bridge.url must not contain a secret")
    for name, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True):
        if _SECRET_NAME.search(name.lower()):
            raise ValidationError(f'bridge.url must not contain a secret: parameter "{name}"')
    return url


def _name(value: str | None) -> str:
    name = fields.identifier(value, "bridge.name")
    if _SECRET in name:
        raise ValidationError("bridge.name must not contain a secret")
    return name


def remove_bridge(command: RemoveBridge, plan: Plan) -> Reply:
    """Forget a bridge; its subscriptions stay, and nothing is sent for them."""
    known = bridge_of(plan, command.bridge_id)
    if known is None:
        raise BridgeNotFoundError(f'"{command.bridge_id}"')
    plan.check_reach(known.workspace_id, f'bridge "{known.id}"')
    fact = BridgeRemoved(bridge_id=known.id, workspace_id=known.workspace_id)
    plan.emit(bridge_stream(known.id), fact)
    return Reply()


def subscribe_bridge(command: SubscribeBridge, plan: Plan) -> Reply:
    """Tell somebody how the task ends; a known subscription gets the new target."""
    task = plan.require_task(command.task_id).task
    _check_scope(command, task)
    mode = _delivery_mode(command.delivery_mode)
    peer_id = fields.identifier(command.peer_id, "subscription.peer_id")
    group_id = fields.identifier(command.group_id, "subscription.group_id")
    thread_id = fields.identifier(command.thread_id, "subscription.thread_id")
    if not peer_id and not group_id:
        raise ValidationError("subscription.peer_id or subscription.group_id is required")
    bridge = _usable_bridge(command, task, plan)
    subscription_id = _free_subscription_id(command, task, plan)
    subscribed = plan.emit_task(
        task.id,
        TaskBridgeSubscribed(
            subscription_id=subscription_id,
            bridge_instance_id=bridge.id,
            scope=task.scope,
            workspace_id=task.workspace_id,
            peer_id=peer_id,
            thread_id=thread_id,
            group_id=group_id,
            delivery_mode=mode,
        ),
    )
    opened = NotificationOpened(
        subscription_id=subscription_id,
        subject_task_id=task.id,
        workspace_id=task.workspace_id,
    )
    plan.emit(notification_stream(subscription_id), opened, cause=subscribed)
    return Reply(task_id=task.id, subscription_id=subscription_id)


def _check_scope(command: SubscribeBridge, task: Task) -> None:
    scope: Scope = fields.choice(command.scope, "subscription.scope", Scope, task.scope)
    if scope != task.scope:
        message = f'subscription.scope must be that of the task, "{task.scope}": "{scope}"'
        raise InvalidScopeBindingError(message)
    given = command.workspace_id.strip()
    if command.scope.strip() and scope == "workspace" and given != task.workspace_id:
        message = (
            f'subscription.workspace_id must be that of the task, "{task.workspace_id}": "{given}"'
        )
        raise InvalidScopeBindingError(message)


def _delivery_mode(value: str) -> DeliveryMode:
    word = value.strip().lower()
    mode: DeliveryMode = fields.choice(
        _MODES.get(word, word), "subscription.delivery_mode", DeliveryMode
    )
    return mode


def _usable_bridge(command: SubscribeBridge, task: Task, plan: Plan) -> BridgeState:
    bridge_id = fields.required(
        command.bridge_instance_id, "subscription.bridge_instance_id", limit=ID_BYTES
    )
    bridge = bridge_of(plan, bridge_id)
    if bridge is None:
        raise BridgeNotFoundError(f'"{bridge_id}"')
    if (bridge.scope, bridge.workspace_id) != (task.scope, task.workspace_id):
        message = f'bridge "{bridge_id}" is bound to another scope or workspace than the task'
        raise InvalidScopeBindingError(message)
    return bridge


def _free_subscription_id(command: SubscribeBridge, task: Task, plan: Plan) -> str:
    """Return the id of the subscription, one of this task or nobody's."""
    if not command.subscription_id.strip():
        return plan.context.new_id("bts")
    subscription_id = _word(command.subscription_id, "subscription.subscription_id")
    cursor = plan.state(notification_stream(subscription_id))
    if isinstance(cursor, CursorState) and cursor.task_id != task.id:
        other = plan.task(cursor.task_id)
        if other is not None and subscription_id in other.subscriptions:
            raise ConflictError(f'subscription "{subscription_id}" belongs to another task')
    return subscription_id


def unsubscribe_bridge(command: UnsubscribeBridge, plan: Plan) -> Reply:
    """Tell somebody no longer; how far the subscription was served stays known."""
    state = plan.require_task(command.task_id)
    known = state.subscriptions.get(command.subscription_id)
    if known is None:
        raise SubscriptionNotFoundError(f'"{command.subscription_id}" of task "{state.id}"')
    plan.emit_task(
        state.id,
        TaskBridgeUnsubscribed(subscription_id=known.id, bridge_instance_id=known.bridge_id),
    )
    return Reply(task_id=state.id)


def note_notification(command: NoteNotification, plan: Plan) -> Reply:
    """Put on record what became of a notification; what lies behind the cursor changes nothing."""
    fact = command.fact
    stream = notification_stream(fact.subscription_id)
    cursor = plan.state(stream)
    if isinstance(cursor, CursorState) and cursor.last_sequence < fact.subject_sequence:
        plan.emit(stream, fact)
    return Reply()


def _word(value: str, path: str) -> str:
    """Return an id that may stand in a header as it is."""
    word = fields.required(value, path, limit=ID_BYTES)
    if not _TOKEN.fullmatch(word):
        raise ValidationError(
            f"{path} must be 1 to 128 letters, digits, _, - or :, the first of them a letter "
            f'or digit: "{word[:80]}"'
        )
    return word
