"""The child process that folds the read models up to a sequence: `python -m api.past_fold`."""

import sys
from contextlib import closing
from pathlib import Path

from projections.catalog import PROJECTORS
from replay.ledger import Ledger
from replay.past import fold_past


def main(store: str, target: str, sequence: str, base: str, position: str) -> None:
    """Fold `store` up to `sequence` into `target`, from the file `base` at `position` if given."""
    with closing(Ledger({"SQLITE_DBNAME": store})) as ledger:
        fold_past(
            ledger,
            PROJECTORS,
            target=Path(target),
            sequence=int(sequence),
            base=Path(base) if base else None,
            position=int(position),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
