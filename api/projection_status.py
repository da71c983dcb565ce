"""How a read model stands, as operators read it."""

from collections.abc import Collection
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from api.rebuilding import Line, Work
from domain.events import (
    Fact,
    ProjectionCaughtUp,
    ProjectionCompared,
    ProjectionRebuildCanceled,
    ProjectionRebuildFailed,
    ProjectionRebuildFinished,
    ProjectionRolledBack,
)
from projections.wire import DateTime
from projections.wire.times import date_time
from replay.digest import Difference
from replay.read_models import Failure, Previous
from replay.workbench import Progress

ProjectionState = Literal["live", "detached", "rebuilding", "catching_up"]


class ProjectionFailure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stopped a read model or its rebuild: the event, the error, and since when."""

    sequence: int = 0
    event_type: str = ""
    error: str
    since: DateTime
    advice: str


class HeldStream(ProjectionFailure, frozen=True, kw_only=True, omit_defaults=True):
    """A stream that a read model stands still for while the others go on."""

    stream: str


class ProjectionOutcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the last work on a read model ended."""

    work: Work
    end: str
    text: str = ""
    digest: str = ""
    checked_at: int = 0
    differences: tuple[Difference, ...] | None = None


class ProjectionStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a read model stands; `version` is that of its rows, `current_version` this release's."""

    name: str
    state: ProjectionState
    version: int
    current_version: int
    position: int
    head: int
    failure: ProjectionFailure | None = None
    held_count: int = 0
    held: tuple[HeldStream, ...] = ()
    rebuild_failure: ProjectionFailure | None = None
    previous: Previous | None = None
    work: Work | None = None
    progress: Progress | None = None
    last: ProjectionOutcome | None = None


def failure_of(name: str, failure: Failure | None) -> ProjectionFailure | None:
    """Return what stopped a read model, with what to do about it."""
    if failure is None:
        return None
    advice = f"taskledger projections rebuild {name}"
    if failure.sequence:
        advice = (
            "install a release that can take the event and start it, or pass over the event:"
            f" taskledger projections skip {name} --sequence {failure.sequence} --reason WHY"
        )
    return ProjectionFailure(
        sequence=failure.sequence,
        event_type=failure.type,
        error=failure.error,
        since=date_time(failure.since),
        advice=advice,
    )


def rebuild_failure_of(
    name: str, failure: Failure | None, skipped: Collection[int]
) -> ProjectionFailure | None:
    """Return what stopped a rebuild, with what to do now that these events are passed over."""
    told = failure_of(name, failure)
    if told is None:
        return None
    again = f"taskledger projections rebuild {name}"
    if not told.sequence:
        advice = f"{again} --dry-run shows the differences, {again} --repair replaces the rows"
    elif told.sequence in skipped:
        advice = f"the event is passed over from now on, so begin again: {again}"
    else:
        advice = told.advice
    return replace(told, advice=advice)


def held_stream(name: str, stream: str, failure: Failure) -> HeldStream:
    """Return a stream that a read model stands still for."""
    told = failure_of(name, failure)
    assert told is not None
    return HeldStream(stream=stream, **msgspec.structs.asdict(told))


def differing(found: Difference) -> int:
    """Return how many rows of a table differ."""
    return found.missing + found.extra + found.changed


def recorded_outcome(fact: Fact) -> ProjectionOutcome | None:
    """Return how work ended, as the event about it tells."""
    match fact:
        case ProjectionRebuildFinished(digest=digest):
            return ProjectionOutcome(work="rebuild", end="done", digest=digest)
        case ProjectionRebuildFailed(error=error):
            return ProjectionOutcome(work="rebuild", end="failed", text=error)
        case ProjectionRebuildCanceled():
            return ProjectionOutcome(work="rebuild", end="canceled")
        case ProjectionCaughtUp():
            return ProjectionOutcome(work="catch_up", end="done")
        case ProjectionRolledBack():
            return ProjectionOutcome(work="roll_back", end="done")
        case ProjectionCompared(position=position, error=error, differing_rows=count):
            text = error or (f"{count} rows differ" if count else "")
            end = "failed" if error else "done"
            return ProjectionOutcome(work="check", end=end, text=text, checked_at=position)
        case _:
            return None


def outcome(work: Work, line: Line) -> ProjectionOutcome:
    """Return how work ended, as the process that did it tells."""
    result: Any = line.result
    return ProjectionOutcome(
        work=work,
        end=line.end or "failed",
        text=line.text,
        digest=result.digest if result else "",
        checked_at=line.checked_at,
        differences=line.differences if work == "check" and line.end == "done" else None,
    )
