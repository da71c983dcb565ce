"""What is put on record about read models."""

from collections.abc import Callable
from functools import partial

import pytest
from msgspec.structs import replace

from domain import errors
from domain.commands import NoteProjection, SkipEvent
from domain.events import (
    Fact,
    ProjectionCaughtUp,
    ProjectionDetached,
    ProjectionEventSkipped,
    ProjectionRebuildCanceled,
    ProjectionRebuildFailed,
    ProjectionRebuildFinished,
    ProjectionRebuildStarted,
    ProjectionRolledBack,
)
from domain.recorded import OPS_STREAM
from domain.registry import OpsState
from tests.support.spec import Past, Spec, given


def skipped(spec: Spec) -> dict[str, tuple[int, ...]]:
    state = spec.world.state(OPS_STREAM)
    assert isinstance(state, OpsState)
    return state.skipped


def test_what_happened_to_a_read_model_is_an_event() -> None:
    fact = ProjectionDetached(projection="tasks", failed_sequence=3)
    given().when(NoteProjection(fact=fact)).then(Past(OPS_STREAM, fact)).then_reply()


@pytest.mark.parametrize(
    "end",
    [
        ProjectionRebuildFinished(projection="tasks", version=1, position=3),
        ProjectionRebuildFailed(projection="tasks", error="no"),
        ProjectionRebuildCanceled(projection="tasks"),
    ],
)
def test_how_a_rebuild_ended_is_told_once(end: Fact) -> None:
    begun = ProjectionRebuildStarted(projection="tasks", version=1)
    other = ProjectionRebuildStarted(projection="runs", version=1)
    spec = given(*(NoteProjection(fact=fact) for fact in (other, begun, end)))
    spec.when(NoteProjection(fact=end)).then_nothing().then_reply()


@pytest.mark.parametrize(
    "end",
    [
        ProjectionRebuildFailed(projection="tasks", error="no"),
        ProjectionRebuildCanceled(projection="tasks"),
    ],
)
def test_the_next_rebuild_may_end_alike(end: Fact) -> None:
    begun = ProjectionRebuildStarted(projection="tasks", version=1)
    spec = given(*(NoteProjection(fact=fact) for fact in (begun, end, begun)))
    spec.when(NoteProjection(fact=end)).then(Past(OPS_STREAM, end))


def test_one_that_failed_can_still_be_canceled() -> None:
    begun = ProjectionRebuildStarted(projection="tasks", version=1)
    failed = ProjectionRebuildFailed(projection="tasks", error="no")
    canceled = ProjectionRebuildCanceled(projection="tasks")
    spec = given(NoteProjection(fact=begun), NoteProjection(fact=failed))
    spec.when(NoteProjection(fact=canceled)).then(Past(OPS_STREAM, canceled))


@pytest.mark.parametrize("kind", [ProjectionCaughtUp, partial(ProjectionRolledBack, version=1)])
def test_each_change_of_the_live_rows_is_told_once(kind: Callable[..., Fact]) -> None:
    before, after = kind(projection="tasks", position=3), kind(projection="tasks", position=5)
    spec = given(NoteProjection(fact=before), NoteProjection(fact=after))
    spec.when(NoteProjection(fact=after)).then_nothing()
    spec.when(NoteProjection(fact=before)).then(Past(OPS_STREAM, before))


def test_skipped_events_are_kept_by_read_model() -> None:
    spec = given(
        SkipEvent(projection="tasks", sequence=3, reason="old", in_the_way=True),
        SkipEvent(projection="runs", sequence=3, reason="old", in_the_way=True),
    )
    spec.when(SkipEvent(projection="tasks", sequence=5, reason=" broken ", in_the_way=True))
    fact = ProjectionEventSkipped(projection="tasks", skipped_sequence=5, reason="broken")
    spec.then(Past(OPS_STREAM, fact)).then_reply()
    assert skipped(spec) == {"tasks": (3, 5), "runs": (3,)}


def test_skipping_an_event_again_changes_nothing() -> None:
    command = SkipEvent(projection="tasks", sequence=3, reason="old", in_the_way=True)
    again = replace(command, in_the_way=False)
    given(command).when(again).then_nothing().then_reply()


def test_an_event_that_is_not_in_the_way_is_not_skipped() -> None:
    command = SkipEvent(projection="tasks", sequence=3, reason="old", in_the_way=False)
    given().when(command).then_refused(errors.ConflictError, 'event 3 is not in the way of "tasks"')


def test_skipping_needs_a_reason() -> None:
    command = SkipEvent(projection="tasks", sequence=3, reason=" ", in_the_way=True)
    given().when(command).then_refused(errors.RequiresReasonError, "say why")
