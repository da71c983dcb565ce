"""What waits for a database in vain rests afterwards, and then tries again."""

from contextlib import closing

import psycopg
import pytest

from replay.errors import ForeignDatabaseError, StoreUnavailableError
from replay.ledger import Ledger
from replay.places import environment_of
from replay.postgresql.access import PostgresAccess
from replay.postgresql.rest import Rest
from tests.faults.client import until

PATIENCE = "options=-c%20lock_timeout%3D2s"


class Waits:
    """A clock that goes on only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rest = Rest(lambda: self.now)

    def wait(self, seconds: float, error: Exception | None = None, *, hasty: bool = False) -> None:
        with self.rest.after_waiting(hasty=hasty):
            self.now += seconds
            if error is not None:
                raise error


def gone() -> ForeignDatabaseError:
    return ForeignDatabaseError("gone", unavailable=True)


def test_after_waiting_in_vain_nobody_waits_for_as_long() -> None:
    waits = Waits()
    with pytest.raises(ForeignDatabaseError, match="gone"):
        waits.wait(3, gone())
    waits.now += 2.9
    with pytest.raises(ForeignDatabaseError, match="in vain a moment ago") as refused:
        waits.wait(3)
    assert refused.value.unavailable

    waits.now += 0.1
    waits.wait(3)
    waits.wait(3)


def test_after_waiting_for_a_lock_what_waits_for_none_goes_on() -> None:
    waits = Waits()
    with pytest.raises(ForeignDatabaseError, match="kept"):
        waits.wait(3, ForeignDatabaseError("kept", busy=True))
    assert waits.rest.from_a_lock
    waits.wait(0.01, hasty=True)
    with pytest.raises(ForeignDatabaseError, match="in vain a moment ago"):
        waits.wait(3)
    with pytest.raises(ForeignDatabaseError, match="in vain a moment ago"):
        waits.wait(0.01, ForeignDatabaseError("kept", busy=True), hasty=True)
    waits.wait(0.01, hasty=True)
    with pytest.raises(ForeignDatabaseError, match="gone"):
        waits.wait(0.2, gone(), hasty=True)
    with pytest.raises(ForeignDatabaseError, match="in vain a moment ago"):
        waits.wait(0.01, hasty=True)

    waits.now += 3
    assert not waits.rest.from_a_lock


def test_who_is_refused_at_once_may_ask_again_at_once() -> None:
    waits = Waits()
    with pytest.raises(ForeignDatabaseError, match="gone"):
        waits.wait(0.01, gone())
    waits.wait(1)


def test_a_statement_that_is_wrong_is_no_reason_to_rest() -> None:
    waits = Waits()
    with pytest.raises(ForeignDatabaseError, match="wrong"):
        waits.wait(3, ForeignDatabaseError("wrong"))
    waits.wait(3)


def test_reads_of_every_kind_rest_together_from_what_somebody_keeps(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        closing(Ledger(environment_of(f"{place}?{PATIENCE}"))) as ledger,
        psycopg.connect(place) as other,
    ):
        access = ledger.access
        assert isinstance(access, PostgresAccess)
        other.execute("LOCK TABLE stored_events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailableError, match="lock timeout"):
            ledger.reader.select("SELECT count(*) FROM stored_events")
        # The rest lasts for as long as the test needs it.
        moment = access._rest._over_at - 1
        monkeypatch.setattr(access._rest, "_clock", lambda: moment)
        with pytest.raises(StoreUnavailableError, match="in vain a moment ago"):
            ledger.access.leads()
        with pytest.raises(StoreUnavailableError, match="in vain"):
            ledger.reader.select("SELECT count(*) FROM stored_events")
        with (
            pytest.raises(StoreUnavailableError, match="in vain"),
            ledger.snapshot() as reader,
        ):
            reader.select("SELECT count(*) FROM stored_events")
        assert ledger.reader.select("SELECT 1") == [(1,)]
        with ledger.snapshot() as reader:
            assert reader.select("SELECT 1") == [(1,)]

        other.rollback()
        monkeypatch.undo()
        until(lambda: leads(ledger), "there is an end to the rest")
        with ledger.snapshot() as reader:
            assert reader.select("SHOW lock_timeout") == [("2s",)]


def leads(ledger: Ledger) -> bool:
    try:
        return ledger.access.leads()
    except StoreUnavailableError:
        return False
