"""Changes of hands that the rules do not allow are found in the events alone."""

from collections.abc import Callable

import msgspec
import pytest

from domain import events as e
from domain.fact import Fact
from domain.instants import SECOND
from domain.recorded import Recorded
from domain.values import Actor
from replay.holds import HoldError, Holds
from tests.domain.tempest.steps import ask, connect, report, take
from tests.machine.machines import DirectMachine
from tests.machine.moves import spend_day
from tests.replay.support import opened
from tests.support.spec import NOW, given
from tests.support.steps import expire


class SilentMachine(DirectMachine):
    """Only makes a history."""

    def compare(self) -> None:
        self.steps += 1
        self.sound = True


NEEDED = {
    e.RunClaimed,
    e.RunLeaseExtended,
    e.RunLeaseExpired,
    e.RunReleased,
    e.RunCompleted,
    e.RunFailed,
    e.RunCanceled,
}


def day_of(seed: int) -> list[Recorded]:
    day = SilentMachine()
    try:
        spend_day(day, seed, 300)
        with opened(day.gate.close()) as ledger:
            return ledger.read(0, 100_000)
    finally:
        day.gate.clean()


@pytest.fixture(name="history", scope="module")
def _history() -> list[Recorded]:
    """The first day on which agents did all there is to do."""
    for seed in range(100):
        history = day_of(seed)
        reported = {type(each.fact) for each in history if of_agent(each)}
        ended = {type(each.fact) for each in history} & {e.RunCanceled, e.RunLeaseExpired}
        if reported | ended >= NEEDED:
            return history
    pytest.fail("no day is busy enough")


def follow(history: list[Recorded], unreadable: int = 0) -> int:
    """Return the sequence of the first event that cannot be, 0 when there is none."""
    seen: set[str] = set()

    def is_new(token: str) -> bool:
        known = token in seen
        seen.add(token)
        return not known

    holds = Holds(is_new)
    for past in history:
        if past.sequence == unreadable:
            holds.forget(past.originator_id)
            continue
        try:
            holds.take(past)
        except HoldError:
            return past.sequence
    return 0


def first(history: list[Recorded], kind: type[Fact], fits: Callable[[Recorded], bool]) -> int:
    """Return the place of the first fitting event of a kind."""
    return next(
        place for place, past in enumerate(history) if isinstance(past.fact, kind) and fits(past)
    )


def anything(_: Recorded) -> bool:
    return True


def leased(past: Recorded) -> bool:
    return bool(getattr(past.fact, "claim_token_hash", ""))


def of_agent(past: Recorded) -> bool:
    """Whether an agent reports on its lease."""
    named = isinstance(past.fact, e.RunReleased) or leased(past)
    return past.actor.kind == "agent_session" and named


def test_what_really_happened_can_be(history: list[Recorded]) -> None:
    assert follow(history) == 0


@pytest.mark.parametrize(
    ("kind", "fits"),
    [
        (e.RunEnqueued, anything),
        (e.RunClaimed, leased),
        (e.RunLeaseExpired, anything),
        (e.RunReleased, anything),
        (e.RunCompleted, leased),
        (e.RunFailed, anything),
        (e.RunCanceled, anything),
    ],
)
def test_nothing_of_it_can_be_twice(
    history: list[Recorded], kind: type[Fact], fits: Callable[[Recorded], bool]
) -> None:
    place = first(history, kind, fits)
    again = [*history[: place + 1], history[place], *history[place + 1 :]]

    assert follow(again) == history[place].sequence


@pytest.mark.parametrize("kind", [e.RunLeaseExtended, e.RunReleased, e.RunCompleted, e.RunFailed])
def test_nobody_but_the_holder_reports(history: list[Recorded], kind: type[Fact]) -> None:
    place = first(history, kind, of_agent)
    stranger = Actor("agent_session", "somebody-else")
    changed = msgspec.structs.replace(history[place], actor=stranger)

    assert follow([*history[:place], changed]) == changed.sequence


@pytest.mark.parametrize("kind", [e.RunLeaseExtended, e.RunReleased, e.RunCompleted])
def test_nobody_reports_when_the_lease_has_run_out(
    history: list[Recorded], kind: type[Fact]
) -> None:
    place = first(history, kind, of_agent)
    changed = msgspec.structs.replace(history[place], occurred_at=2**60)

    assert follow([*history[:place], changed]) == changed.sequence


def test_no_lease_expires_too_early(history: list[Recorded]) -> None:
    place = first(history, e.RunLeaseExpired, anything)
    changed = msgspec.structs.replace(history[place], occurred_at=0)

    assert follow([*history[:place], changed]) == changed.sequence


def test_a_task_that_cannot_be_followed_holds_nothing_against_its_session(
    history: list[Recorded],
) -> None:
    place = first(history, e.RunClaimed, leased)
    holds = Holds(lambda _: True)
    for past in history[: place + 1]:
        holds.take(past)
    with pytest.raises(HoldError, match="held already"):
        holds.take(history[place])
    holds.forget(history[place].originator_id)

    holds.take(history[place])


@pytest.mark.parametrize(
    "kind", [e.SessionRegistered, e.RunEnqueued, e.RunClaimed, e.RunLeaseExtended, e.RunCompleted]
)
def test_what_follows_on_an_event_that_cannot_be_read_is_not_blamed(
    history: list[Recorded], kind: type[Fact]
) -> None:
    of_kind = [past for past in history if isinstance(past.fact, kind)]
    assert of_kind

    for unreadable in of_kind:
        assert follow(history, unreadable.sequence) == 0


def of_an_app() -> list[Recorded]:
    """Return how an app held an operation again and again, until it failed by itself."""
    spec = given(connect(), ask(run_id="r1"), ask(run_id="r2"))
    spec.given(take(), take(NOW + 1), report("r2", at=NOW + 2))
    for number in range(1, 4):
        at = NOW + number * 600 * SECOND
        spec.given(expire(at), take(at))
    return spec.world.history


def test_an_app_holds_what_it_was_handed_without_a_session() -> None:
    history = of_an_app()
    assert history[-1].type == "task.run_failed"
    assert follow(history) == 0


def test_nobody_but_the_app_reports() -> None:
    history = of_an_app()
    place = first(history, e.RunCompleted, anything)
    changed = msgspec.structs.replace(history[place], actor=Actor("extension", "tempest/other:v1"))
    assert follow([*history[:place], changed]) == changed.sequence


def test_what_failed_because_its_leases_ran_out_is_held_by_nobody() -> None:
    history = of_an_app()
    place = first(history, e.RunLeaseExpired, anything)
    failed = msgspec.structs.replace(history[-1], sequence=history[place].sequence)
    assert follow([*history[:place], failed]) == failed.sequence
    assert follow([*history, failed]) == failed.sequence
