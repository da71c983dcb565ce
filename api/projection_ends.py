"""How work on read models ended, as events: what a process told, and what the store says.

The store says it also when the process that asked for the work was killed. Whoever comes next finds
what the ledger does not tell, and what was asked for and not begun.
"""

from api.projection_status import differing
from api.rebuilding import Line, Work
from domain.errors import StreamHeldError
from domain.events import (
    Fact,
    ProjectionCaughtUp,
    ProjectionCompared,
    ProjectionRebuildCanceled,
    ProjectionRebuildFailed,
    ProjectionRebuildFinished,
    ProjectionRebuildStarted,
    ProjectionRolledBack,
)
from domain.recorded import OPS_STREAM
from domain.registry import OpsState, tells
from replay.ledger import Ledger
from replay.read_models import Ended, Standing


def fact_of(name: str, work: Work, line: Line) -> Fact | None:
    """Return the event about how work ended, as its process tells; None when it does not."""
    if work == "check":
        return ProjectionCompared(
            projection=name,
            position=line.checked_at,
            differing_rows=sum(map(differing, line.differences)),
            error="" if line.end == "done" else line.text or str(line.end),
        )
    if work in {"rebuild", "repair"} and line.end in {"failed", "refused"}:
        return ProjectionRebuildFailed(
            projection=name, error=line.text, failed_sequence=line.failed_sequence
        )
    return _switched(name, line.result) if line.result is not None else None


def untold(ledger: Ledger, name: str, standing: Standing) -> tuple[Fact, ...]:
    """Return how work on a read model ended, as far as only the store says so."""
    found: list[Fact] = []
    ended, rebuild = standing.ended, standing.rebuild
    if ended is not None and (ended.ending != "canceled" or rebuild is None):
        found.append(_switched(name, ended))
    if rebuild is not None and rebuild.failure is not None:
        error, sequence = rebuild.failure.error, rebuild.failure.sequence
        found.append(
            ProjectionRebuildFailed(projection=name, error=error, failed_sequence=sequence)
        )
    state = operators(ledger)
    return tuple(each for each in found if state is not None and not tells(state, each))


def not_begun(ledger: Ledger, name: str, standing: Standing) -> Work | None:
    """Return the rebuild that somebody asked for and no process has begun."""
    state = operators(ledger)
    asked = state.rebuilding.get(name) if state is not None else None
    if not isinstance(asked, ProjectionRebuildStarted) or standing.rebuild is not None:
        return None
    if untold(ledger, name, standing):
        return None
    return "repair" if asked.repair else "rebuild"


def operators(ledger: Ledger) -> OpsState | None:
    """Return what operators did, None where a newer release wrote something about it."""
    try:
        state = ledger.state(OPS_STREAM)
    except StreamHeldError:
        return None
    return state if isinstance(state, OpsState) else OpsState()


def _switched(name: str, ended: Ended) -> Fact:
    match ended.ending:
        case "rebuilt":
            return ProjectionRebuildFinished(
                projection=name,
                version=ended.version,
                position=ended.position,
                digest=ended.digest,
            )
        case "caught_up":
            return ProjectionCaughtUp(projection=name, position=ended.position)
        case "rolled_back":
            return ProjectionRolledBack(
                projection=name, version=ended.version, position=ended.position
            )
        case "canceled":
            return ProjectionRebuildCanceled(projection=name)
