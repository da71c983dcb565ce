"""What is folded for one task is what a fold of everything says about it, at every sequence."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.past import READ_OF_ONE_TASK
from projections.catalog import PROJECTORS
from projections.queries.runs import list_runs, run_detail
from projections.queries.tasks import task_detail, task_tree
from projections.rows import Reader
from replay.ledger import Ledger
from replay.past import PastFold, create
from replay.related import Kin, Pad, RelatedFold
from replay.rows import RowBuffer
from replay.store import SqlReader
from tests.machine.machines import DirectMachine
from tests.machine.moves import spend_day
from tests.replay.audited import STORY, planted, store_of
from tests.replay.support import opened

READ = [each for each in PROJECTORS if each.name in READ_OF_ONE_TASK]
ASKED: tuple[tuple[Kin, Callable[[Reader, str], Any]], ...] = (
    ("detail", task_detail),
    ("tree", task_tree),
    ("runs", list_runs),
)


class SilentMachine(DirectMachine):
    """Only makes a history."""

    def compare(self) -> None:
        self.steps += 1
        self.sound = True


@pytest.fixture(name="ledger", scope="module")
def _ledger() -> Iterator[Ledger]:
    day = SilentMachine()
    spend_day(day, 3, 50)
    path = day.gate.close()
    with opened(path) as ledger:
        yield ledger
    day.gate.clean()


def everything(ledger: Ledger, sequence: int) -> SqlReader:
    target = sqlite3.connect(":memory:", isolation_level=None)
    create(target, PROJECTORS)
    rows = RowBuffer(table for each in PROJECTORS for table in each.tables)
    rows.start(target)
    for _ in PastFold(ledger, PROJECTORS, rows).pages(ledger.reader, sequence, 10_000):
        pass
    return SqlReader(target)


def related(ledger: Ledger, sequence: int, task_id: str, kin: Kin) -> SqlReader:
    pad = Pad(READ)
    for _ in RelatedFold(ledger, ledger.reader, sequence, pad).slices(task_id, kin):
        pass
    return SqlReader(pad.connection)


def test_answers_about_each_task_are_the_same_bytes_at_every_sequence(ledger: Ledger) -> None:
    encode = msgspec.json.encode
    for sequence in range(ledger.head + 1):
        whole = everything(ledger, sequence)
        for (task_id,) in whole.select("SELECT task_id FROM tasks"):
            for kin, ask in ASKED:
                part = related(ledger, sequence, task_id, kin)
                assert encode(ask(part, task_id)) == encode(ask(whole, task_id)), (sequence, kin)
        for run_id, task_id in whole.select("SELECT run_id, task_id FROM runs"):
            part = related(ledger, sequence, task_id, "run")
            assert encode(run_detail(part, run_id)) == encode(run_detail(whole, run_id))


def test_nothing_is_read_but_the_streams_of_the_task_and_its_kin(ledger: Ledger) -> None:
    asked = []

    class Watched:
        def select(self, statement: str, parameters: Any = ()) -> list[Any]:
            asked.append(parameters[0])
            return ledger.reader.select(statement, parameters)

    (task_id, document) = everything(ledger, ledger.head).select(
        "SELECT task_id, doc FROM tasks WHERE parent_task_id <> ''"
    )[0]
    fold = RelatedFold(ledger, Watched(), ledger.head, Pad(READ))
    for _ in fold.slices(task_id, "runs"):
        pass

    lineage = [task_id, *msgspec.json.decode(document)["ancestors"]]
    assert set(asked) == {f"task:{each}" for each in lineage}


def test_a_task_of_which_nothing_is_known_has_no_rows(ledger: Ledger) -> None:
    assert task_detail(related(ledger, ledger.head, "nobody", "detail"), "nobody") is None


def test_an_event_that_cannot_be_read_holds_its_task_back_and_not_its_kin(tmp_path: Path) -> None:
    changes = [("PATCH", f"/api/tasks/{id_}", {"title": f"{id_} anew"}) for id_ in ("a", "b")]
    store = store_of(tmp_path, [*STORY[:3], *changes])
    planted(store, "UPDATE stored_events SET topic = 'task.of_tomorrow' WHERE notification_id = 4")
    with opened(store) as ledger:
        held, kin = (
            task_detail(related(ledger, ledger.head, id_, "detail"), id_) for id_ in ("a", "b")
        )
        before = task_detail(everything(ledger, 3), "a")

    assert msgspec.json.encode(held) == msgspec.json.encode(before)
    assert kin is not None
    assert kin.summary.title == "b anew"
    assert kin.summary.dependencies[0].depends_on.title == "First"
