"""What is put on record about read models."""

from msgspec.structs import replace

from domain import errors
from domain.commands import NoteProjection, SkipEvent
from domain.events import ProjectionDetached, ProjectionEventSkipped
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
