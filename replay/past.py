"""The read models as they were at a sequence: the same projectors, folded into a file of their own.

A finished file is never written again, so it is the base of any later moment.
"""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

from replay.attach import skipped_by
from replay.batch import Projector
from replay.fold import Fold, FoldError
from replay.ledger import Ledger
from replay.rows import RowBuffer
from replay.store import SqlReader


def fingerprint(ledger: Ledger, projectors: Iterable[Projector]) -> str:
    """Return a text that is another one whenever the same events could give other rows."""
    parts = []
    for each in projectors:
        tables = [table.ddl for table in each.tables]
        parts.append((each.name, each.version, tables, skipped_by(ledger, each.name)))
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def fold_past(
    ledger: Ledger,
    projectors: Iterable[Projector],
    *,
    target: Path,
    sequence: int,
    base: Path | None = None,
    position: int = 0,
) -> None:
    """Fold the read models up to a sequence into `target`, which is there when it is complete.

    `base` holds them at `position`. A projector that raises is left behind at that event.
    """
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    if base is None or not _copied(base, unfinished):
        position = 0
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        with ledger.snapshot() as source:
            for projector in projectors:
                _fold(ledger, projector, connection, source, position, sequence)
    unfinished.replace(target)


def _copied(base: Path, target: Path) -> bool:
    try:
        shutil.copyfile(base, target)
    except FileNotFoundError:
        return False
    return True


def _fold(
    ledger: Ledger,
    projector: Projector,
    connection: sqlite3.Connection,
    source: SqlReader,
    *span: int,
) -> None:
    for table in projector.tables:
        for statement in table.ddl:
            connection.execute(statement)
    rows = RowBuffer(projector.tables)
    rows.start(connection)
    fold = Fold(ledger.mapper.decode, projector, skipped=skipped_by(ledger, projector.name))
    after, upto = span
    while after < upto:
        connection.execute("BEGIN")
        try:
            after, _ = fold.page(source, rows, after, upto)
        except FoldError as error:
            # Nothing of the page is written yet: it is folded again, up to that event.
            rows.discard()
            connection.commit()
            upto = error.sequence - 1
            continue
        rows.flush()
        connection.commit()
        rows.finish()
