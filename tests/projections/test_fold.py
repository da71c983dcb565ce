"""Folding the log in pages, with hardly any memory, gives the rows that were written live."""

import sqlite3

import pytest
from eventsourcing.persistence import JSONTranscoder
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.events import FACT_BY_TYPE
from projections.catalog import PROJECTORS
from projections.ona.projector import OnaProjector
from projections.posthog.projector import PosthogProjector
from projections.registry import RegistryProjector
from projections.rows import Projector
from projections.tempest import TempestProjector
from projections.timeline import TimelineProjector
from replay.batch import passed_over
from replay.codec import LedgerMapper
from replay.fold import Fold
from replay.rows import RowBuffer
from replay.store import SqlReader
from tests.projections.history import RandomHistory
from tests.projections.support import Ledger, Store

MAPPER = LedgerMapper(JSONTranscoder())


def stored(ledger: Ledger) -> sqlite3.Connection:
    """Return a database with the events of a ledger, as a store keeps them."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(
        "CREATE TABLE stored_events (notification_id INTEGER PRIMARY KEY, originator_id,"
        " originator_version, topic, state)"
    )
    for past in ledger.history:
        row = (
            past.sequence,
            past.originator_id,
            past.originator_version,
            past.type,
            MAPPER.encode(past),
        )
        connection.execute("INSERT INTO stored_events VALUES (?,?,?,?,?)", row)
    return connection


@pytest.mark.parametrize("projector", PROJECTORS, ids=lambda each: each.name)
@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32),
    steps=st.integers(0, 120),
    page=st.sampled_from([1, 2, 7, 1000]),
    most_states=st.sampled_from([1, 3, 1000]),
    spanning=st.booleans(),
)
def test_a_paged_fold_equals_the_live_rows(
    projector: Projector, *, seed: int, steps: int, page: int, most_states: int, spanning: bool
) -> None:
    ledger = RandomHistory(seed).take(steps)
    connection = stored(ledger)
    for table in projector.tables:
        for statement in table.ddl:
            connection.execute(statement)
    fold = Fold(MAPPER.decode, projector, spanning=spanning, most_states=most_states)
    rows = RowBuffer(projector.tables)
    position = 0
    while position < len(ledger.history):
        rows.start(connection)
        position, _ = fold.page(SqlReader(connection), rows, position, 1 << 60, page)
        rows.flush()
        rows.finish()

    for table in projector.tables:
        keys = ",".join(table.columns[: table.key_columns])
        columns = ",".join(table.columns)
        found = connection.execute(f"SELECT {columns} FROM {table.name} ORDER BY {keys}")
        assert found.fetchall() == ledger.store.rows(table)
    connection.close()
    ledger.store.close()


@pytest.mark.parametrize("projector", PROJECTORS, ids=lambda each: each.name)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), steps=st.integers(0, 120))
def test_events_that_a_projector_passes_over_change_no_rows(
    projector: Projector, seed: int, steps: int
) -> None:
    ledger = RandomHistory(seed).take(steps)
    store = Store([projector])
    types = passed_over(projector)
    for change in ledger.changes:
        before = store.writes
        projector.apply(change, store)
        assert change.recorded.type not in types or store.writes == before
    store.close()
    ledger.store.close()


def test_a_projector_that_says_nothing_passes_nothing_over() -> None:
    assert passed_over(TimelineProjector()) == frozenset()


def test_a_read_model_of_one_api_passes_over_what_the_others_say() -> None:
    for projector in (OnaProjector(), PosthogProjector(), TempestProjector()):
        assert "session.registered" in passed_over(projector)
        others = {"ona", "posthog", "tempest"} - {projector.name}
        told = {kind for kind in FACT_BY_TYPE if kind.partition(".")[0] in others}
        assert told <= passed_over(projector)


def test_events_of_unknown_types_are_never_passed_over() -> None:
    assert "task.of_tomorrow" not in passed_over(RegistryProjector())
    assert "task.created" in passed_over(RegistryProjector())
