"""The envelope of a fact: where it stands in the ledger and what surrounds it."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from domain.events import Fact
from domain.instants import Instant
from domain.uuids import uuid_of
from domain.values import Actor, Facade, Origin


class Recorded(Struct, frozen=True, kw_only=True, gc=False):
    """One event of the ledger.

    `sequence` is the global position, `originator_version` the position in the stream
    `originator_id` (the event-store library's names). `occurred_at` is the command's clock,
    `recorded_at` the commit's, which never decreases along the sequence.
    """

    sequence: int
    originator_id: str
    originator_version: int
    event_id: str
    fact: Fact
    actor: Actor
    origin: Origin
    occurred_at: Instant
    recorded_at: Instant
    command_id: str
    task_id: str = ""
    run_id: str = ""
    causation_id: str = ""
    correlation_id: str = ""

    @property
    def type(self) -> str:
        """The stored name of the event type."""
        return self.fact.TYPE


def task_stream(task_id: str) -> str:
    """Return the stream of a task and everything its invariants span."""
    return f"task:{task_id}"


def session_stream(session_id: str) -> str:
    """Return the stream of an agent session."""
    return f"session:{session_id}"


def workspace_stream(workspace_id: str) -> str:
    """Return the stream of a workspace."""
    return f"workspace:{workspace_id}"


def actor_stream(actor: Actor) -> str:
    """Return the stream of what an actor does for itself alone."""
    return f"actor:{actor.label}"


def bridge_stream(bridge_id: str) -> str:
    """Return the stream of a bridge."""
    return f"bridge:{bridge_id}"


def notification_stream(subscription_id: str) -> str:
    """Return the stream of what became of a subscription's notifications."""
    return f"notification:{subscription_id}"


_BESIDE: Final[Mapping[Facade, tuple[str, ...]]] = {
    "posthog": ("posthog-run", "posthog-log"),
    "tempest": ("tempest-operation",),
}
_TOLD_BY_LAST: Final = ("posthog-log:",)


def streams_beside(task_id: str, facade: Facade | None) -> tuple[str, ...]:
    """Return the streams in which another API keeps what it alone knows about its task."""
    kinds = _BESIDE.get(facade, ()) if facade else ()
    return tuple(f"{kind}:{uuid_of(task_id)}" for kind in kinds)


def told_by_last(stream: str) -> bool:
    """Return whether the last event of a stream alone tells its state, however long it is."""
    return stream.startswith(_TOLD_BY_LAST)


SCHEDULER_STREAM = "scheduler"
OPS_STREAM = "ops"
STARVATION_STREAM = "starvation"
