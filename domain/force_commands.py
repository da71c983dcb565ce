"""Commands of operators on runs by hand, whoever has them."""

from domain.commands import Command
from domain.values import NO_JSON, Json


class ReleaseRun(Command, frozen=True, kw_only=True):
    """Take a claimed run away from whoever has it, back into the queue."""

    run_id: str
    reason: str = ""
    metadata: Json = NO_JSON


class ForceFailRun(Command, frozen=True, kw_only=True):
    """End a run badly that nobody works on, or that is merely claimed."""

    run_id: str
    reason: str = ""
    metadata: Json = NO_JSON


class RetryRun(Command, frozen=True, kw_only=True):
    """Queue a successor of a failed run."""

    run_id: str
    metadata: Json = NO_JSON


class RecoverRun(Command, frozen=True, kw_only=True):
    """Queue a successor of a run that needs attention; `in_place` queues the run itself again."""

    run_id: str
    reason: str = ""
    metadata: Json = NO_JSON
    in_place: bool = False
