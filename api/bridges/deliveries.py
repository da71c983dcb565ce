"""The delivery of notifications, on a timer of its own: at least once, each with a stable id.

Read models only say where to look. What to tell is decided by the folded events, and that it was
told is an event, so a rebuild sends nothing and a crash repeats at most what was on its way.
"""

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from api.bridges.message import message
from api.bridges.sender import Sender, Sent
from api.bridges.signing import signed_headers
from api.redaction import log_failure
from api.vault import Vault
from domain.bridge_commands import NoteNotification, NotificationFact
from domain.bridge_state import BridgeState, CursorState
from domain.events import (
    NotificationDelivered,
    NotificationFailed,
    NotificationPassedOver,
    NotificationSuppressed,
)
from domain.instants import SECOND, Instant
from domain.notification import Notify, PassOver, next_step
from domain.recorded import bridge_stream, notification_stream, task_stream
from domain.task.state import Subscription, TaskState
from domain.values import Actor, Origin
from projections.bridges import BRIDGES, SUBSCRIPTIONS, due_subscriptions, waiting_bridges
from replay.committer import Commit
from replay.errors import StoreUnavailableError
from replay.feed import FEED_TABLE

if TYPE_CHECKING:
    from api.services import Services

ACTOR: Final = Actor("daemon", "bridges")
ORIGIN: Final = Origin("daemon", "daemon.bridges")
AT_ONCE: Final = 4
"""Tries to one bridge at the same time."""

_PAGE: Final = 256
_FOREVER: Final = 1 << 62
_IDLE_SECONDS: Final = 30.0
_LEADER_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.01
_LOG: Final = logging.getLogger("taskledger")
_TROUBLE_SECONDS: Final = 5
_LONGEST_BREAK: Final = 60
_MOST_DOUBLINGS: Final = 20


class Line(Struct):
    """What one bridge has before it; `busy` are the subscriptions being served."""

    waiting: deque[Subscription]
    busy: set[str]
    due_by: Instant = 0
    resting_until: Instant = 0
    failures: int = 0
    changed: bool = False


class Deliveries:
    """Serves the subscriptions that have something to be told, the bridges independently."""

    def __init__(self, services: "Services", vault: Vault, sender: Sender) -> None:
        """Begin with `run`."""
        settings = services.settings
        self._services = services
        self._vault = vault
        self._sender = sender
        self._first_pause = settings.bridge_retry_seconds
        self._longest_pause = max(settings.bridge_retry_max_seconds, self._first_pause)
        self._slots = asyncio.Semaphore(settings.bridge_concurrency)
        self._wake = asyncio.Event()
        self._lines: dict[str, Line] = {}

    def notice(self, commit: Commit) -> None:
        """Look again when subscriptions or bridges changed; one that changed is tried at once."""
        for row in commit.rows.get(BRIDGES.name, ()):
            self._line(row[0]).changed = True
            self._wake.set()
        if SUBSCRIPTIONS.name in commit.rows or commit.rows.keys() <= {FEED_TABLE}:
            # Of commits of other processes at most the feed is told.
            self._wake.set()

    def _line(self, bridge_id: str) -> Line:
        return self._lines.setdefault(bridge_id, Line(waiting=deque(), busy=set()))

    async def run(self) -> None:
        """Serve until canceled."""
        while True:
            self._wake.clear()
            try:
                pause = self._begin()
            except StoreUnavailableError as error:
                pause = _TROUBLE_SECONDS
                _LOG.warning("nothing can be delivered, next try in %g s: %s", pause, error)
            except Exception as error:
                log_failure(error)
                pause = _TROUBLE_SECONDS
            try:
                await asyncio.wait_for(self._wake.wait(), pause)
            except TimeoutError:
                continue

    def _begin(self) -> float:
        """Begin to serve what is due, as far as there is room; return when to look again."""
        services = self._services
        if not services.ledger.access.leads():
            return _LEADER_SECONDS
        now, pause = services.clock(), _IDLE_SECONDS
        for bridge_id, due_at in waiting_bridges(services.ledger.reader).items():
            line = self._line(bridge_id)
            at = 0 if line.changed else max(due_at, line.resting_until)
            if at > now:
                pause = min(pause, (at - now) / SECOND)
                continue
            self._fill(bridge_id, line, now)
            while line.waiting and len(line.busy) < AT_ONCE:
                subscription = line.waiting.popleft()
                line.busy.add(subscription.id)
                services.keep(asyncio.create_task(self._serve(line, subscription)))
        return max(pause, _SHORTEST_SECONDS)

    def _fill(self, bridge_id: str, line: Line, now: Instant) -> None:
        if line.waiting and not line.changed:
            return
        line.due_by = _FOREVER if line.changed else now
        line.changed = False
        reader = self._services.ledger.reader
        due = due_subscriptions(reader, bridge_id, line.due_by, _PAGE)
        found = (served.subscription for served in due)
        line.waiting = deque(each for each in found if each.id not in line.busy)

    async def _serve(self, line: Line, subscription: Subscription) -> None:
        try:
            fact = await self._tell(subscription, line.due_by)
            self._judge(line, fact)
        except Exception as error:
            log_failure(error)
            self._rest(line, _TROUBLE_SECONDS)
        finally:
            line.busy.discard(subscription.id)
            self._wake.set()

    def _judge(self, line: Line, fact: NotificationFact | None) -> None:
        """Give a bridge a rest that fails, or for which there was nothing to do after all."""
        if fact is None:
            self._rest(line, _LEADER_SECONDS)
        elif not isinstance(fact, NotificationFailed):
            line.failures = 0
        elif line.resting_until <= self._services.clock():
            line.failures += 1
            self._rest(line, min(self._pause(line.failures), _LONGEST_BREAK))

    def _rest(self, line: Line, seconds: float) -> None:
        line.resting_until = self._services.clock() + round(seconds * SECOND)

    def _pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, not quite the same each."""
        doubled = self._first_pause * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        return min(doubled, self._longest_pause) * random.uniform(0.8, 1.0)

    async def _tell(self, subscription: Subscription, due_by: int) -> NotificationFact | None:
        """Return what was put on record, None when there was nothing to do after all."""
        ledger = self._services.ledger
        state = ledger.state(task_stream(subscription.task_id))
        cursor = ledger.state(notification_stream(subscription.id))
        if not isinstance(state, TaskState) or not isinstance(cursor, CursorState):
            return None
        known = state.subscriptions.get(subscription.id)
        if known is None or cursor.retry_at > due_by:
            return None
        fact: NotificationFact
        match next_step(state, cursor):
            case None:
                return None
            case PassOver(sequence=sequence, error=error):
                fact = NotificationPassedOver(
                    subscription_id=known.id,
                    workspace_id=known.workspace_id,
                    subject_sequence=sequence,
                    error=error,
                )
            case Notify() as told:
                fact = await self._notify(known, cursor, told)
        context = self._services.context(ACTOR, ORIGIN)
        await self._services.committer.submit(NoteNotification(fact=fact), context)
        return fact

    async def _notify(
        self, subscription: Subscription, cursor: CursorState, told: Notify
    ) -> NotificationFact:
        bridge = self._services.ledger.state(bridge_stream(subscription.bridge_id))
        if not isinstance(bridge, BridgeState) or bridge.removed or not bridge.enabled:
            enabled = isinstance(bridge, BridgeState) and not bridge.removed
            return NotificationSuppressed(
                subscription_id=subscription.id,
                workspace_id=subscription.workspace_id,
                subject_sequence=told.sequence,
                delivery_id=told.delivery_id,
                reason="the bridge is disabled" if enabled else "the bridge was removed",
            )
        async with self._slots:
            sent = await self._send(bridge, subscription, told)
        if not sent.error:
            return NotificationDelivered(
                subscription_id=subscription.id,
                workspace_id=subscription.workspace_id,
                subject_sequence=told.sequence,
                delivery_id=told.delivery_id,
                status_code=sent.status_code,
            )
        attempt = cursor.failures + 1
        return NotificationFailed(
            subscription_id=subscription.id,
            workspace_id=subscription.workspace_id,
            subject_sequence=told.sequence,
            delivery_id=told.delivery_id,
            attempt=attempt,
            status_code=sent.status_code,
            error=sent.error,
            retry_at=self._services.clock() + round(self._pause(attempt) * SECOND),
        )

    async def _send(self, bridge: BridgeState, subscription: Subscription, told: Notify) -> Sent:
        secret = self._vault.secret(bridge.secret_id)
        if secret is None:
            return Sent(error="the secret of the bridge is not in this store; set another one")
        recorded = self._services.ledger.read(told.sequence - 1, 1, told.sequence)[0]
        body = message(told, subscription, recorded)
        headers = signed_headers(secret, told.delivery_id, self._services.clock(), body)
        return await self._sender.send(bridge.url, headers, body)
