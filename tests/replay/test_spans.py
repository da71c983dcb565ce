"""Several events of one stream as one change, where a projector allows it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from api.services import world_of
from domain.commands import RemoveWorkspace
from domain.decide import decide
from domain.events import Fact, WorkspaceRemoved
from domain.registry import WorkspaceState
from domain.world import Change
from projections.catalog import PROJECTORS
from projections.rows import Rows, Table
from projections.schema import define
from replay.committer import Committer
from replay.fold import Fold, FoldError
from replay.ledger import Ledger
from replay.scratch import Scratch
from tests.replay.support import FIRST_TIME, context, opened, register

NAMED = define("named", key={"workspace_id": "TEXT"}, values={"name": "TEXT", "before": "TEXT"})


class Named:
    """The name of each workspace and the one it had in the change before; it notes its changes."""

    name = "named"
    version = 1
    tables: tuple[Table, ...] = (NAMED,)
    apart: frozenset[type[Fact]] = frozenset({WorkspaceRemoved})

    def __init__(self, poison: str = "") -> None:
        self.poison = poison
        self.told: list[tuple[int, int]] = []

    def apply(self, change: Change, rows: Rows) -> None:
        before, after = change.before, change.after
        assert isinstance(after, WorkspaceState)
        self.told.append((before.version if before else 0, after.version))
        if after.name == self.poison:
            raise ArithmeticError(self.poison)
        rows.put(NAMED, (after.id, after.name, getattr(before, "name", "")))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Events of two workspaces in turn; the first is removed by the last but one."""
    with opened(tmp_path / "ledger.db") as ledger:
        committer = Committer(ledger, PROJECTORS, decide, world_of, lambda: FIRST_TIME)
        for number in range(3):
            for workspace_id in ("a", "b"):
                committer.execute(register(workspace_id, f"{workspace_id}{number}"), context())
        committer.execute(RemoveWorkspace(workspace_id="a"), context())
        committer.execute(register("b", "b3"), context())
        yield ledger


def folded(
    ledger: Ledger, path: Path, projector: Named, skipped: tuple[int, ...] = ()
) -> list[tuple[str, str, str]]:
    fold = Fold(ledger.mapper.decode, projector, skipped=skipped, spanning=True)
    with closing(Scratch(str(path), projector, fold)) as made:
        made.fold(ledger.reader, lambda: ledger.head, lambda _position, _target: None)
        return made.connection.execute("SELECT * FROM named ORDER BY 1").fetchall()


def test_a_span_ends_at_an_event_that_needs_a_change_of_its_own(
    ledger: Ledger, tmp_path: Path
) -> None:
    projector = Named()
    rows = folded(ledger, tmp_path / "made", projector)

    assert projector.told == [(0, 3), (0, 3), (3, 4), (3, 4)]
    assert rows == [("a", "a2", "a2"), ("b", "b3", "b2")]


def test_what_is_skipped_is_in_no_span(ledger: Ledger, tmp_path: Path) -> None:
    projector = Named()
    rows = folded(ledger, tmp_path / "made", projector, skipped=(3,))

    assert projector.told == [(0, 1), (0, 1), (1, 3), (2, 3), (3, 4), (3, 4)]
    assert rows == [("a", "a2", "a2"), ("b", "b3", "b2")]


def test_of_a_span_the_very_event_is_named_that_cannot_be_applied(
    ledger: Ledger, tmp_path: Path
) -> None:
    with pytest.raises(FoldError) as failed:
        folded(ledger, tmp_path / "made", Named("a2"))

    assert failed.value.sequence == 5
