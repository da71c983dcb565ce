"""A ledger from one store into another, of whatever kind: the stored events as they are.

Read models are folded in the target, in the commits of their events. A copy that was stopped goes
on where the target ends, because a target has to be the beginning of its source at any time.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from typing import Final

import msgspec
from eventsourcing.persistence import MapperDeserialisationError
from msgspec import Struct

from domain.values import Blob
from replay import tables
from replay.appending import Appender, AppendError, whole_commands
from replay.attach import skipped_by
from replay.batch import Projector
from replay.blobs.carrying import Carrier, CarryError
from replay.blobs.named import blobs_of, may_name
from replay.digest import digest
from replay.errors import ReplayError
from replay.ledger import Ledger
from replay.log_check import Finding
from replay.read_models import position_of, standing_of
from replay.statements import HEAD, PAGE
from replay.store import Connection, Row
from replay.verify import verify

Told = Callable[[str, int, int], None]
"""Gets what is done, how far that is, and how far it goes."""

CHUNK: Final = 1_000
_DIGEST_BYTES: Final = 16
_encode: Final = msgspec.msgpack.Encoder().encode


class CopyRefusedError(ReplayError):
    """The target is not the beginning of its source; the text names the first difference."""


class Copied(Struct, frozen=True, kw_only=True):
    """What a copy came to. `digest` is that of both logs up to `head`.

    The source has gone on since when `source_head` is larger. `equal` read models have the same
    rows in both stores; those in `unequal` are right in the target and wrong in the source, unless
    there is a `finding`, which is what is wrong with the target.
    """

    copied: int
    blobs: int
    present: int
    head: int
    source_head: int
    digest: str
    equal: tuple[str, ...]
    unequal: tuple[str, ...]
    finding: Finding | None


def copy(
    source: Ledger,
    target: Ledger,
    projectors: Iterable[Projector],
    told: Told,
    carrier: Carrier,
) -> Copied:
    """Bring the target up to the source and verify it. The source may be written to meanwhile.

    Blobs are there before the events that name them.

    Raises CopyRefusedError; what was copied by then stays in the target.
    """
    projectors = tuple(projectors)
    present, upto = target.head, source.head
    if present > upto:
        message = f"the target ends at sequence {present}, but the source at {upto}"
        raise CopyRefusedError(message)
    compare(source, target, present, told)
    try:
        _append(source, target, projectors, carrier, upto=upto, told=told)
    except AppendError as error:
        raise CopyRefusedError(f"sequence {error.sequence}: {error}") from error
    except CarryError as error:
        raise CopyRefusedError(f"sequence {error.number}: {error}") from error
    found = compare(source, target, upto, told)
    verified = verify(target, projectors, told, carrier.target)
    equal, unequal = _compare_rows(source, target, projectors)
    source.refresh()
    return Copied(
        copied=upto - present,
        blobs=carrier.carried,
        present=present,
        head=upto,
        source_head=source.head,
        digest=found,
        equal=equal,
        unequal=unequal,
        finding=verified.finding,
    )


def _append(
    source: Ledger,
    target: Ledger,
    projectors: tuple[Projector, ...],
    carrier: Carrier,
    *,
    upto: int,
    told: Told,
) -> None:
    appender = Appender(target, projectors, partial(skipped_by, source))
    rows = (row for page in _pages(source, target.head, upto) for row in page)
    for chunk in whole_commands(rows, CHUNK, lambda row: _command_of(source, row)):
        carrier.bring(_blobs_of(source, chunk))
        appender.append(chunk)
        told("copied", chunk[-1][0], upto)


def _command_of(ledger: Ledger, row: Row) -> str:
    try:
        return ledger.mapper.decode(*row).command_id
    except MapperDeserialisationError as error:
        raise AppendError(row[0], f"it cannot be read: {error}") from error


def _blobs_of(ledger: Ledger, rows: Iterable[Row]) -> Iterator[tuple[int, Blob]]:
    """Yield the sequence of each event that names a blob, and the blob."""
    for row in rows:
        if may_name(row[3]):
            for blob in blobs_of(ledger.mapper.decode(*row).fact):
                yield row[0], blob


def _pages(ledger: Ledger, after: int, upto: int) -> Iterator[list[Row]]:
    while page := ledger.reader.select(PAGE, (after, upto, CHUNK)):
        yield page
        after = page[-1][0]


def compare(source: Ledger, target: Ledger, upto: int, told: Told) -> str:
    """Return the digest that both logs have up to a sequence.

    Raises CopyRefusedError, which names the first difference.
    """
    total = blake2b(digest_size=_DIGEST_BYTES)
    done = 0
    while done < upto:
        ours = source.reader.select(PAGE, (done, upto, CHUNK))
        theirs = target.reader.select(PAGE, (done, upto, CHUNK))
        if ours != theirs or not ours:
            raise CopyRefusedError(_difference(ours, theirs, done + 1))
        for row in ours:
            total.update(_encode(row))
        done = ours[-1][0]
        told("compared", done, upto)
    return total.hexdigest()


def _difference(ours: list[Row], theirs: list[Row], first: int) -> str:
    pairs = zip(ours, theirs, strict=False)
    place = next((n for n, (left, right) in enumerate(pairs) if left != right), None)
    if place is None:
        place = min(len(ours), len(theirs))
        return f"sequence {first + place} is not in both stores"
    left, right = ours[place], theirs[place]
    if left[:4] == right[:4]:
        return f"sequence {left[0]}, {_event(left)}, has other contents in the target"
    return f"sequence {left[0]} is {_event(left)} in the source, {_event(right)} in the target"


def _event(row: Row) -> str:
    return f"{row[3]} of {row[1]} with version {row[2]}"


def _compare_rows(
    source: Ledger, target: Ledger, projectors: tuple[Projector, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the read models with the same rows, and of those with others.

    Those that do not stand at the same event in both are not compared.
    """
    equal: list[str] = []
    unequal: list[str] = []
    with (
        source.access.snapshot(large=True) as ours,
        target.access.snapshot(large=True) as theirs,
    ):
        head = theirs.execute(HEAD).fetchone()[0] or 0
        for each in projectors:
            if _stands_at(ours, each, head) and _stands_at(theirs, each, head):
                same = digest(ours, each.tables) == digest(theirs, each.tables)
                (equal if same else unequal).append(each.name)
    return tuple(equal), tuple(unequal)


def _stands_at(connection: Connection, projector: Projector, head: int) -> bool:
    """Return whether a read model's rows are those at an event, as this release makes them."""
    if not tables.complete(connection, projector.tables):
        return False
    standing = standing_of(connection, projector.name)
    at = position_of(connection, projector.name)
    return standing.version == projector.version and at == head
