"""What an actor does for itself alone; only its position is folded, the rest is read models'."""

from msgspec import Struct

from domain.recorded import Recorded


class ActorState(Struct, frozen=True, kw_only=True):
    """An actor; what it triaged is not kept here, so that it costs the same however much it was."""

    version: int = 0


def evolve_actor(_: ActorState | None, recorded: Recorded) -> ActorState:
    """Return the actor after one more event."""
    return ActorState(version=recorded.originator_version)
