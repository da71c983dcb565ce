"""Bridges and the cursors of their subscriptions, as folded from their events."""

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from domain import events as e
from domain.instants import Instant
from domain.recorded import Recorded
from domain.values import Scope

KEPT_ATTEMPTS: Final = 5
"""How many of the last attempts of a subscription stay visible."""

AttemptOutcome = Literal["delivered", "failed", "suppressed", "passed_over"]


class BridgeState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An endpoint that is told how tasks end. `secret_id` names the secret, which is elsewhere."""

    id: str
    url: str
    scope: Scope
    secret_id: str
    workspace_id: str = ""
    name: str = ""
    enabled: bool = True
    removed: bool = False
    created_at: Instant = 0
    updated_at: Instant = 0
    version: int = 0


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one try."""

    at: Instant
    outcome: AttemptOutcome
    sequence: int
    delivery_id: str = ""
    status_code: int = 0
    error: str = ""


class CursorState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a subscription has been served; it outlives the subscription.

    `failures` counts the tries since the last success, `retry_at` says when the next one is due.
    """

    subscription_id: str
    task_id: str
    last_sequence: int = 0
    last_delivery_id: str = ""
    last_delivered_at: Instant = 0
    last_error: str = ""
    updated_at: Instant = 0
    failures: int = 0
    retry_at: Instant = 0
    attempts: tuple[Attempt, ...] = ()
    version: int = 0


def evolve_bridge(state: BridgeState | None, recorded: Recorded) -> BridgeState | None:
    """Return the bridge after one more event."""
    fact = recorded.fact
    now, version = recorded.occurred_at, recorded.originator_version
    if isinstance(fact, e.BridgeConfigured):
        return BridgeState(
            id=fact.bridge_id,
            url=fact.url,
            scope=fact.scope,
            secret_id=fact.secret_id,
            workspace_id=fact.workspace_id,
            name=fact.name,
            enabled=fact.enabled,
            created_at=state.created_at if state and not state.removed else now,
            updated_at=now,
            version=version,
        )
    return replace(state, removed=True, updated_at=now, version=version) if state else None


def evolve_cursor(state: CursorState | None, recorded: Recorded) -> CursorState | None:
    """Return the cursor after one more event; its position never goes back."""
    fact, version = recorded.fact, recorded.originator_version
    if isinstance(fact, e.NotificationOpened):
        opened = state or CursorState(subscription_id=fact.subscription_id, task_id="")
        return replace(
            opened, task_id=fact.subject_task_id, failures=0, retry_at=0, version=version
        )
    if state is None:
        return None
    now = recorded.occurred_at
    moved = replace(state, updated_at=now, version=version)
    match fact:
        case e.NotificationDelivered():
            tried = Attempt(
                at=now,
                outcome="delivered",
                sequence=fact.subject_sequence,
                delivery_id=fact.delivery_id,
                status_code=fact.status_code,
            )
            moved = _advanced(moved, tried, last_delivered_at=now)
        case e.NotificationSuppressed():
            tried = Attempt(
                at=now,
                outcome="suppressed",
                sequence=fact.subject_sequence,
                delivery_id=fact.delivery_id,
                error=fact.reason,
            )
            moved = _advanced(moved, tried)
        case e.NotificationPassedOver():
            tried = Attempt(
                at=now, outcome="passed_over", sequence=fact.subject_sequence, error=fact.error
            )
            moved = _advanced(moved, tried, last_error=fact.error)
        case e.NotificationFailed():
            moved = _failed(moved, fact, now)
        case _:
            pass
    return moved


def _advanced(state: CursorState, tried: Attempt, **changes: object) -> CursorState:
    return replace(
        _noted(state, tried),
        last_sequence=max(state.last_sequence, tried.sequence),
        last_delivery_id=tried.delivery_id or state.last_delivery_id,
        failures=0,
        retry_at=0,
        **{"last_error": "", **changes},
    )


def _failed(state: CursorState, fact: "e.NotificationFailed", now: int) -> CursorState:
    tried = Attempt(
        at=now,
        outcome="failed",
        sequence=fact.subject_sequence,
        delivery_id=fact.delivery_id,
        status_code=fact.status_code,
        error=fact.error,
    )
    return replace(
        _noted(state, tried),
        last_error=fact.error,
        failures=fact.attempt,
        retry_at=fact.retry_at,
    )


def _noted(state: CursorState, tried: Attempt) -> CursorState:
    return replace(state, attempts=(*state.attempts, tried)[-KEPT_ATTEMPTS:])
