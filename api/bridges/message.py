"""What a webhook says (task API, bridge delivery), without anything that looks secret."""

import re
from typing import Any, Final

import msgspec

from api.redaction import redact
from domain.instants import rfc3339
from domain.notification import Notify
from domain.recorded import Recorded
from domain.task.state import Subscription
from projections.wire.events import payload

REDACTED: Final = "[REDACTED]"
_SECRET: Final = re.compile(
    r"(token|secret|passwd|password|passphrase|api_?key|access_?key|private_?key"
    r"|authorization|credentials?|cookie|signature)(_hash)?$"
)
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def message(told: Notify, subscription: Subscription, recorded: Recorded) -> bytes:
    """Return the body; it is the same at every try."""
    text = f"Task {subscription.task_id} finished as {told.status}"
    metadata: dict[str, Any] = {
        "delivery_id": told.delivery_id,
        "event_type": told.event_type,
        "final": True,
        "seq": told.sequence,
        "task_id": subscription.task_id,
        "run_id": told.run_id,
        "status": told.status,
        "error": told.error,
        "payload": _payload(recorded),
        "subscription_id": subscription.id,
    }
    data = {
        "text": f"{text}: {told.error}" if told.error else text,
        "final": True,
        "bridge_instance_id": subscription.bridge_id,
        "delivery_mode": subscription.delivery_mode,
        "peer_id": subscription.peer_id,
        "thread_id": subscription.thread_id,
        "group_id": subscription.group_id,
        "workspace_id": subscription.workspace_id,
        "metadata": _said(metadata),
    }
    document = {
        "type": told.event_type,
        "timestamp": rfc3339(recorded.occurred_at),
        "data": _said(data),
    }
    return redact(_encode(document))


def _said(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in ("", None)}


def _payload(recorded: Recorded) -> Any:
    """Return the members of the event, None when they are nested too deeply to look through."""
    try:
        return without_secrets(msgspec.json.decode(msgspec.json.encode(payload(recorded.fact))))
    except RecursionError:
        return None


def without_secrets(value: Any) -> Any:
    """Return the decoded JSON with the values of secret-looking members replaced."""
    if isinstance(value, dict):
        return {
            name: REDACTED if _looks_secret(name) else without_secrets(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def _looks_secret(name: str) -> bool:
    plain = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).replace("-", "_").lower()
    return _SECRET.search(plain) is not None
