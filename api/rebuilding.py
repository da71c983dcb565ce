"""Work on a read model in a process of its own: `python -m api.rebuilding WORK NAME PARENT`.

It tells what it does on standard output, one JSON document per line, the last one being how it
ended. It stops at SIGTERM, and when the process that started it, PARENT, is gone; what is half done
then is gone on with the next time.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from api.settings import variable_of
from projections.catalog import PROJECTORS
from replay.digest import Difference
from replay.errors import (
    DATABASE_ERRORS,
    StoreOpenError,
    StoreUnavailableError,
    is_unavailable,
)
from replay.fold import FoldError
from replay.ledger import Ledger
from replay.places import environment_of
from replay.read_models import Ended
from replay.rebuild import Workshop
from replay.workbench import BusyError, CanceledError, Progress, RefusedError

Work: TypeAlias = Literal["rebuild", "repair", "discard", "catch_up", "roll_back", "check"]
End: TypeAlias = Literal["done", "refused", "busy", "taken", "failed", "canceled"]


class Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Progress, or how the work ended."""

    progress: Progress | None = None
    end: End | None = None
    text: str = ""
    failed_sequence: int = 0
    result: Ended | None = None
    checked_at: int = 0
    differences: tuple[Difference, ...] = ()


NICENESS: Final = 10
GC_THRESHOLDS: Final = (200_000, 50, 100)
_PATIENCE: Final = {"POSTGRES_LOCK_TIMEOUT": "2"}
"""Who waits for tables that others read holds all writers up meanwhile, so it is not for long. But
an autovacuum, which comes after many new rows, is only sent away after `deadlock_timeout`, usually
a second (PostgreSQL manual, "Routine Vacuuming")."""

_encode: Final = msgspec.json.Encoder().encode


def _tell(line: Line) -> None:
    # Whoever started this may be gone; that is looked at where it can be stopped.
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(_encode(line) + b"\n")
        sys.stdout.buffer.flush()


def perform(work: Work, opened: Callable[[], Workshop]) -> Line:
    """Do the work and return how it ended.

    `busy` may be tried again, and `taken` when the process that works on the same is done.
    """
    try:
        return _WORKS[work](opened())
    except BusyError as error:
        return Line(end="taken", text=str(error))
    except RefusedError as error:
        return Line(end="refused", text=str(error))
    except CanceledError:
        return Line(end="canceled")
    except FoldError as error:
        return Line(end="failed", text=str(error), failed_sequence=error.sequence)
    except (StoreOpenError, StoreUnavailableError, *DATABASE_ERRORS) as error:
        if not (isinstance(error, StoreOpenError) or is_unavailable(error)):
            raise
        return Line(end="busy", text=str(error))


def _check(shop: Workshop) -> Line:
    position, found = shop.check()
    return Line(end="done", checked_at=position, differences=tuple(found))


_WORKS: Final[dict[Work, Callable[[Workshop], Line]]] = {
    "rebuild": lambda shop: Line(end="done", result=shop.rebuild()),
    "repair": lambda shop: Line(end="done", result=shop.rebuild(repair=True)),
    "catch_up": lambda shop: Line(end="done", result=shop.catch_up()),
    "roll_back": lambda shop: Line(end="done", result=shop.roll_back()),
    "discard": lambda shop: Line(end="done", result=shop.discard()),
    "check": _check,
}


def main(work: Any, name: str, parent: int) -> None:
    """Do the work on one read model of the store that the environment names.

    `parent` is the id of the process that waits for it.
    """
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    # A terminal's interrupt is for the process that waits for this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever is served goes first.
    os.nice(NICENESS)
    # States and rows are many and hold no cycles, so looking for some would only take time.
    gc.set_threshold(*GC_THRESHOLDS)
    with ExitStack() as resources:

        def opened() -> Workshop:
            store = environment_of(os.environ[variable_of("store")])
            ledger = resources.enter_context(closing(Ledger({**store, **_PATIENCE})))
            return Workshop(
                ledger,
                next(each for each in PROJECTORS if each.name == name),
                lambda: time.time_ns() // 1000,
                report=lambda progress: _tell(Line(progress=progress)),
                stopping=lambda: bool(asked) or os.getppid() != parent,
            )

        _tell(perform(work, opened))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
