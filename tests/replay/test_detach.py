"""A read model that cannot take an event is left behind, and comes back; nothing else notices."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import StreamHeldError
from domain.world import Change
from projections.rows import Rows, Table
from projections.schema import define
from replay.batch import Commit, Projector, ProjectorError
from replay.committer import Committer
from replay.errors import StoreOpenError, StoreUnavailableError
from replay.feed import Hub, Live, Match
from replay.fold import FoldError
from replay.ledger import Ledger
from replay.read_models import Standing, holds, position_of, standing_of
from replay.rebuild import Workshop
from replay.statements import track
from tests.replay.support import (
    PROJECTORS,
    Clock,
    Frames,
    Names,
    SmallWorld,
    context,
    decide,
    opened,
    register,
    together,
)

pytestmark = pytest.mark.anyio

SEEN = define("seen", key={"sequence": "INTEGER"}, values={"stream": "TEXT"})
MORE = define(
    "seen",
    key={"sequence": "INTEGER"},
    values={"stream": "TEXT", "more": "TEXT"},
    indexes={"more": "(more)"},
)


class Seen:
    """Which events there were, but for those of the streams it cannot take."""

    name = "seen"
    version = 1
    tables: tuple[Table, ...] = (SEEN,)

    def __init__(self, *poison: str) -> None:
        self.poison = {f"workspace:{name}" for name in poison}

    def apply(self, change: Change, rows: Rows) -> None:
        recorded = change.recorded
        rows.put(SEEN, (recorded.sequence, recorded.originator_id))
        if recorded.originator_id in self.poison:
            message = f"cannot take {recorded.originator_id}"
            raise ArithmeticError(message)


class SeenApart(Seen):
    """Stands still for single streams."""

    separable = True


class SeenMore(Seen):
    """The next version, with one more column."""

    version = 2
    tables = (MORE,)

    def apply(self, change: Change, rows: Rows) -> None:
        recorded = change.recorded
        rows.put(MORE, (recorded.sequence, recorded.originator_id, recorded.type))


class FrailFrames(Frames):
    """Cannot take one of the streams."""

    def apply(self, change: Change, rows: Rows) -> None:
        if change.recorded.originator_id == "workspace:bad":
            raise ArithmeticError
        super().apply(change, rows)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(tmp_path / "ledger.db") as ledger:
        yield ledger


def committer_with(
    ledger: Ledger,
    *projectors: Projector,
    detached: list[str] | None = None,
    hub: Hub | None = None,
) -> Committer:
    def note(error: ProjectorError) -> None:
        assert detached is not None
        detached.append(error.name)

    return Committer(
        ledger,
        projectors,
        decide,
        SmallWorld,
        Clock(),
        on_commit=[] if hub is None else [hub.publish],
        on_detach=[note],
        slow_commit_ms=1_000,
    )


def standing(ledger: Ledger, name: str = "seen") -> Standing:
    return standing_of(ledger.writer.connection, name)


def seen(ledger: Ledger) -> list[int]:
    return [row[0] for row in ledger.reader.select("SELECT sequence FROM seen ORDER BY 1")]


async def test_a_projector_that_raises_is_detached_and_commands_go_on(ledger: Ledger) -> None:
    detached: list[str] = []
    committer = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=detached)
    await committer.submit(register("w1"), context())
    outcomes = await together(committer, register("w2"), register("bad"), register("w3"))

    assert not [each for each in outcomes if isinstance(each, BaseException)]
    assert [event.sequence for event in ledger.read(0, 10)] == [1, 2, 3, 4]
    assert detached == ["seen"]
    found = standing(ledger)
    assert found.state == "detached"
    assert found.failure is not None
    assert (found.failure.sequence, found.failure.type) == (3, "workspace.registered")
    assert found.failure.error == "ArithmeticError: cannot take workspace:bad"
    assert seen(ledger) == [1]
    assert position_of(ledger.writer.connection, "seen") == 1


async def test_only_the_stream_that_cannot_be_taken_is_held_back(ledger: Ledger) -> None:
    detached: list[str] = []
    committer = committer_with(ledger, *PROJECTORS, SeenApart("bad"), detached=detached)
    await committer.submit(register("w1"), context())
    outcomes = await together(committer, register("w2"), register("bad"), register("w3"))
    await committer.submit(register("bad", "again"), context())

    assert not [each for each in outcomes if isinstance(each, BaseException)]
    assert detached == ["seen"]
    assert standing(ledger).state == "live"
    assert seen(ledger) == [1, 2, 4]
    (failure,) = holds(ledger.writer.connection)["seen"].values()
    assert (failure.sequence, failure.type) == (3, "workspace.registered")
    assert failure.error == "ArithmeticError: cannot take workspace:bad"


async def test_what_is_held_back_is_known_after_a_restart_and_let_go_after_the_fix(
    ledger: Ledger,
) -> None:
    committer = committer_with(ledger, *PROJECTORS, SeenApart("bad"), detached=[])
    for name in ("w1", "bad", "bad"):
        await committer.submit(register(name), context())
    committer = committer_with(ledger, *PROJECTORS, SeenApart("bad"), detached=[])
    await committer.submit(register("bad"), context())
    assert seen(ledger) == [1]

    with pytest.raises(FoldError):
        Workshop(ledger, SeenApart("bad"), Clock()).catch_up()
    Workshop(ledger, SeenApart(), Clock()).catch_up()
    await committer.submit(register("w5"), context())

    assert seen(ledger) == [1, 2, 3, 4, 5]
    assert holds(ledger.writer.connection) == {}


async def test_a_rebuild_lets_go_what_was_held_back(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, SeenApart("bad"), detached=[])
    for name in ("w1", "bad", "w3"):
        await committer.submit(register(name), context())
    assert Workshop(ledger, SeenApart(), Clock()).check() == (3, [])

    Workshop(ledger, SeenApart(), Clock()).rebuild()

    assert seen(ledger) == [1, 2, 3]
    assert holds(ledger.writer.connection) == {}
    assert standing(ledger).previous is None


async def test_streams_are_held_back_while_a_new_version_is_folded(ledger: Ledger) -> None:
    class Next(SeenMore):
        separable = True

        def apply(self, change: Change, rows: Rows) -> None:
            if change.recorded.originator_id == "workspace:bad":
                raise ArithmeticError
            super().apply(change, rows)

    committer = committer_with(ledger, *PROJECTORS, Seen())
    for name in ("w1", "bad", "w3"):
        await committer.submit(register(name), context())
    committer_with(ledger, *PROJECTORS, Next(), detached=[])

    assert seen(ledger) == [1, 3]
    assert list(holds(ledger.writer.connection)["seen"]) == ["workspace:bad"]


async def test_what_deciding_stands_still_for_is_refused_and_nothing_else(ledger: Ledger) -> None:
    class Apart(Names):
        version = 2
        separable = True

        def apply(self, change: Change, rows: Rows) -> None:
            if change.recorded.originator_id == "workspace:bad":
                raise ArithmeticError
            super().apply(change, rows)

    await committer_with(ledger, *PROJECTORS).submit(register("bad"), context())
    committer = committer_with(ledger, Apart(), Frames(), detached=[])
    refused, done = await together(committer, register("bad"), register("w2"))

    assert isinstance(refused, StreamHeldError)
    assert "names stands still for it" in str(refused)
    assert not isinstance(done, BaseException)


async def test_an_unreadable_event_refuses_what_concerns_its_stream_alone(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS)
    await committer.submit(register("w1"), context())
    row = (2, "workspace:w1", 2, "workspace.of_tomorrow", b'{"recorded_at":1}')
    ledger.writer.connection.execute("INSERT INTO stored_events VALUES (?,?,?,?,?)", row)
    for name in ("names", "frames"):
        track(ledger.writer.connection, [name], 2)

    refused, done = await together(committer, register("w1"), register("w2"))

    assert isinstance(refused, StreamHeldError)
    assert "workspace:w1 cannot be read by this release" in str(refused)
    assert not isinstance(done, BaseException)


async def test_other_read_models_stay_current(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])
    for name in ("bad", "w2"):
        await committer.submit(register(name), context())

    assert ledger.reader.select("SELECT count(*) FROM timeline") == [(2,)]
    assert standing(ledger, "frames").state == "live"


async def test_it_stays_detached_while_the_event_cannot_be_taken(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])
    for name in ("w1", "w2", "bad", "w4"):
        await committer.submit(register(name), context())
    before = standing(ledger).failure

    committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])

    assert standing(ledger).failure == before
    assert seen(ledger) == [1, 2]


async def test_it_is_caught_up_at_the_next_start_after_the_fix(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])
    for name in ("w1", "bad", "w3"):
        await committer.submit(register(name), context())

    committer = committer_with(ledger, *PROJECTORS, Seen())
    await committer.submit(register("w4"), context())

    assert standing(ledger) == Standing(version=1)
    assert seen(ledger) == [1, 2, 3, 4]


async def test_another_process_notices_that_it_is_caught_up(ledger: Ledger, tmp_path: Path) -> None:
    first = committer_with(ledger, *PROJECTORS, Seen("bad"), detached=[])
    await first.submit(register("bad"), context())
    with opened(tmp_path / "ledger.db") as other:
        committer_with(other, *PROJECTORS, Seen())
    await first.submit(register("w2"), context())

    assert seen(ledger) == [1, 2]


async def test_a_new_version_is_folded_into_new_tables_at_start(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen())
    for name in ("w1", "w2"):
        await committer.submit(register(name), context())

    committer_with(ledger, *PROJECTORS, SeenMore())

    assert standing(ledger) == Standing(version=2, generation=1)
    rows = ledger.reader.select("SELECT sequence, more FROM seen")
    assert rows == [(1, "workspace.registered"), (2, "workspace.registered")]


async def test_what_asks_for_new_columns_has_to_wait_for_the_rebuild(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen())
    for name in ("w1", "w2"):
        await committer.submit(register(name), context())
    monkeypatch.setattr("replay.attach.INLINE", 1)
    committer = committer_with(ledger, *PROJECTORS, SeenMore())
    await committer.submit(register("w3"), context())

    assert standing(ledger).state == "detached"
    assert seen(ledger) == [1, 2]
    with pytest.raises(StoreUnavailableError, match="no such column: more"):
        ledger.reader.select("SELECT more FROM seen")
    Workshop(ledger, SeenMore(), Clock()).rebuild()
    assert len(ledger.reader.select("SELECT more FROM seen")) == 3


async def test_a_read_model_that_is_added_begins_with_the_first_event(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS)
    await committer.submit(register("w1"), context())

    committer_with(ledger, *PROJECTORS, Seen())

    assert seen(ledger) == [1]


async def test_what_deciding_needs_is_never_detached(ledger: Ledger) -> None:
    committer = committer_with(ledger, *PROJECTORS, detached=[])
    refused, done = await together(committer, register("w1", "poison"), register("w2"))

    assert isinstance(refused, StreamHeldError)
    assert "names cannot take a workspace.registered: LookupError" in str(refused)
    assert not isinstance(done, BaseException)
    assert standing(ledger, "names").state == "live"


async def test_the_store_is_not_opened_when_deciding_would_be_wrong(ledger: Ledger) -> None:
    class Broken(Names):
        version = 2

        def apply(self, change: Change, rows: Rows) -> None:
            raise ArithmeticError

    await committer_with(ledger, *PROJECTORS).submit(register("w1"), context())

    with pytest.raises(StoreOpenError, match="read model names cannot be brought up to date"):
        committer_with(ledger, Broken(), Frames())


async def test_an_unknown_event_stops_only_the_read_models_that_have_to_read_it(
    ledger: Ledger,
) -> None:
    committer = committer_with(ledger, *PROJECTORS, Seen())
    await committer.submit(register("w1"), context())
    state = b'{"schema_version":1,"recorded_at":1700000000000009,"payload":{}}'
    row = (2, "workspace:w9", 1, "workspace.of_tomorrow", state)
    ledger.writer.connection.execute("INSERT INTO stored_events VALUES (?,?,?,?,?)", row)
    for name in ("names", "frames"):
        track(ledger.writer.connection, [name], 2)

    committer = committer_with(ledger, *PROJECTORS, Seen())
    outcome = await committer.submit(register("w3"), context())

    assert outcome.head == 3
    failure = standing(ledger).failure
    assert failure is not None
    assert (failure.sequence, failure.type) == (2, "workspace.of_tomorrow")
    assert "is unreadable" in failure.error
    assert seen(ledger) == [1]


async def test_readers_of_the_feed_wait_while_it_is_detached_and_miss_nothing(
    ledger: Ledger,
) -> None:
    hub = Hub(0)
    committer = committer_with(ledger, Names(), FrailFrames(), detached=[], hub=hub)
    subscription = hub.subscribe(Match(), 0, lambda: None)
    for name in ("w1", "bad", "w3"):
        await committer.submit(register(name), context())

    taken = subscription.take()
    assert isinstance(taken, Live)
    assert [frame.sequence for frame in taken.frames] == [1]
    assert hub.head == 1
    hub.publish(Commit(previous=3, head=3, rows={}))
    assert hub.head == 3
    assert not isinstance(subscription.take(), Live)
