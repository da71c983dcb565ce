"""Which events a read model may be told to pass over: those that are in its way, and no others.

Passing over is for good: a wrong number must not cost a read model an event that it can take.
"""

from eventsourcing.persistence import MapperDeserialisationError

from replay.ledger import Ledger
from replay.read_models import Failure, Standing, held_by


def is_in_the_way(ledger: Ledger, name: str, standing: Standing, sequence: int) -> bool:
    """Return whether a read model, or its rebuild, stands still at an event, or nobody can read it.

    Raises one of DATABASE_ERRORS when the store cannot be read.
    """
    failures = (*_failures_of(standing), *held_by(ledger.reader, name))
    return any(each.sequence == sequence for each in failures) or not _readable(ledger, sequence)


def _failures_of(standing: Standing) -> tuple[Failure, ...]:
    rebuild = standing.rebuild
    held = (rebuild.failure, *rebuild.held.values()) if rebuild else ()
    return tuple(each for each in (standing.failure, *held) if each is not None)


def _readable(ledger: Ledger, sequence: int) -> bool:
    try:
        ledger.read(sequence - 1, 1)
    except MapperDeserialisationError:
        return False
    return True
