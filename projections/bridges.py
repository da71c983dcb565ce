"""Bridges, whom the tasks' subscriptions tell, and which of them have something to be told."""

from typing import Final

import msgspec
from msgspec import Struct

from domain.bridge_state import BridgeState, CursorState
from domain.instants import Instant
from domain.task.state import Subscription, TaskState
from domain.values import TERMINAL_TASK
from domain.world import Change
from projections.rows import Reader, Rows
from projections.schema import define

BRIDGES: Final = define(
    "bridges",
    key={"bridge_id": "TEXT"},
    values={"created_at": "INTEGER", "doc": "BLOB"},
    clustered=False,
)
SUBSCRIPTIONS: Final = define(
    "bridge_subscriptions",
    key={"subscription_id": "TEXT"},
    values={
        "task_id": "TEXT",
        "bridge_id": "TEXT",
        "attempted_at": "INTEGER",
        "due_at": "INTEGER",
        "doc": "BLOB",
    },
    indexes={
        "task": "(task_id)",
        "attempted": "(bridge_id, attempted_at)",
        "due": "(bridge_id, due_at) WHERE due_at > 0",
    },
    clustered=False,
)
"""`due_at` is 0 when there is nothing to tell, 1 for at once, else when to try again."""


class Served(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subscription with its cursor; `ended` is the last sequence at which the task ended."""

    subscription: Subscription
    cursor: CursorState
    ended: int = 0

    @property
    def due_at(self) -> Instant:
        """When there is something to tell; 0 for nothing."""
        return max(1, self.cursor.retry_at) if self.ended > self.cursor.last_sequence else 0


_ENCODE: Final = msgspec.json.Encoder().encode
_BRIDGE: Final = msgspec.json.Decoder(BridgeState).decode
_SERVED: Final = msgspec.json.Decoder(Served).decode
_NO_SUBSCRIPTIONS: Final[dict[str, Subscription]] = {}
_SELECT: Final = "SELECT doc FROM bridge_subscriptions WHERE"


class BridgesProjector:
    """Keeps the rows of bridges and subscriptions."""

    name = "bridges"
    version = 1
    tables = (BRIDGES, SUBSCRIPTIONS)

    def apply(self, change: Change, rows: Rows) -> None:
        """Bring the rows up to date with one change."""
        match change.after:
            case TaskState() as task:
                before = change.before if isinstance(change.before, TaskState) else None
                known = before.subscriptions if before else _NO_SUBSCRIPTIONS
                if known or task.subscriptions:
                    _apply_task(before, known, task, rows)
            case CursorState() as cursor:
                row = rows.get(SUBSCRIPTIONS, (cursor.subscription_id,))
                if row is not None:
                    _put(msgspec.structs.replace(_SERVED(row[-1]), cursor=cursor), rows)
            case BridgeState(removed=True) as bridge:
                rows.delete(BRIDGES, (bridge.id,))
            case BridgeState() as bridge:
                rows.put(BRIDGES, (bridge.id, bridge.created_at, _ENCODE(bridge)))
            case _:
                pass


def _apply_task(
    before: TaskState | None, known: dict[str, Subscription], after: TaskState, rows: Rows
) -> None:
    remaining = _NO_SUBSCRIPTIONS if after.task.deleted else after.subscriptions
    for subscription_id in known.keys() - remaining.keys():
        rows.delete(SUBSCRIPTIONS, (subscription_id,))
    ended = _ended(after)
    moved = before is None or _ended(before) != ended
    for subscription in remaining.values():
        if moved or known.get(subscription.id) is not subscription:
            row = rows.get(SUBSCRIPTIONS, (subscription.id,))
            # The event that opens the cursor follows in the same commit.
            cursor = _SERVED(row[-1]).cursor if row else _new_cursor(subscription)
            _put(Served(subscription=subscription, cursor=cursor, ended=ended), rows)


def _ended(state: TaskState) -> int:
    over = state.endings and state.task.status in TERMINAL_TASK
    return state.endings[-1].sequence if over else 0


def _new_cursor(subscription: Subscription) -> CursorState:
    return CursorState(subscription_id=subscription.id, task_id=subscription.task_id)


def _put(served: Served, rows: Rows) -> None:
    subscription, cursor = served.subscription, served.cursor
    row = (
        subscription.id,
        subscription.task_id,
        subscription.bridge_id,
        cursor.attempts[-1].at if cursor.attempts else 0,
        served.due_at,
        _ENCODE(served),
    )
    rows.put(SUBSCRIPTIONS, row)


def bridge_of(reader: Reader, bridge_id: str) -> BridgeState | None:
    """Return a bridge."""
    found = reader.select("SELECT doc FROM bridges WHERE bridge_id = ?", (bridge_id,))
    return _BRIDGE(found[0][0]) if found else None


def bridges(reader: Reader) -> list[BridgeState]:
    """Return every bridge, oldest first."""
    found = reader.select("SELECT doc FROM bridges ORDER BY created_at, bridge_id")
    return [_BRIDGE(row[0]) for row in found]


def subscription_of(reader: Reader, task_id: str, subscription_id: str) -> Served | None:
    """Return a subscription of a task."""
    found = reader.select(
        f"{_SELECT} subscription_id = ? AND task_id = ?", (subscription_id, task_id)
    )
    return _SERVED(found[0][0]) if found else None


def subscriptions_of_task(reader: Reader, task_id: str) -> list[Served]:
    """Return the subscriptions of a task, the last changed first."""
    found = [_SERVED(row[0]) for row in reader.select(f"{_SELECT} task_id = ?", (task_id,))]
    found.sort(key=lambda served: (-served.subscription.updated_at, served.subscription.id))
    return found


def subscriptions_of_bridge(reader: Reader, bridge_id: str, limit: int) -> list[Served]:
    """Return subscriptions to a bridge, the last tried first."""
    found = reader.select(
        f"{_SELECT} bridge_id = ? ORDER BY attempted_at DESC, subscription_id LIMIT ?",
        (bridge_id, limit),
    )
    return [_SERVED(row[0]) for row in found]


def waiting_bridges(reader: Reader) -> dict[str, Instant]:
    """Return by bridge when the first of its subscriptions has something to be told."""
    found = reader.select(
        "SELECT bridge_id, min(due_at) FROM bridge_subscriptions WHERE due_at > 0"
        " GROUP BY bridge_id"
    )
    return dict(found)


def due_subscriptions(reader: Reader, bridge_id: str, now: Instant, limit: int) -> list[Served]:
    """Return subscriptions to a bridge that have something to be told now."""
    found = reader.select(
        f"{_SELECT} bridge_id = ? AND due_at > 0 AND due_at <= ?"
        " ORDER BY due_at, subscription_id LIMIT ?",
        (bridge_id, now, limit),
    )
    return [_SERVED(row[0]) for row in found]
