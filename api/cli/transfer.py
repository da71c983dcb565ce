"""`taskledger export` and `import`: the ledger as NDJSON of CloudEvents 1.0."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import click

from api.cli import output
from api.cli.audit import ledger_of, require_sequence
from api.cli.failures import REFUSED, USAGE, Failure
from api.cli.options import json_option, option
from api.cli.progress import Told, progress
from api.cli.stores import blob_store_option, held_alone, settings_of
from api.cli.token import store_option
from api.settings import Settings

if TYPE_CHECKING:
    from replay.blobs.carrying import Carrier
    from replay.blobs.files import FileBlobs
    from replay.importing import Skips
    from replay.ledger import Ledger

_BACK = 1 << 20

blobs_option = option(
    "--blobs",
    metavar="DIR",
    default="",
    type=click.Path(file_okay=False),
    help="The folder of the artifacts and logs, instead of FILE.blobs.",
)


@click.command("export")
@option("--after", type=click.IntRange(min=0), help="Only events behind this sequence.")
@blobs_option
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@store_option
@blob_store_option
@json_option
def export(
    *, after: int | None, blobs: str, file: str, store: str, blob_store: str, as_json: bool
) -> None:
    """Write the events as lines to FILE, or to standard output when it is -.

    The artifacts and logs that events name go into the folder FILE.blobs, or DIR, each as one file
    by its SHA-256; beside standard output they are left out unless DIR is given. A FILE that is
    there is continued behind its last whole line. A server may be running.

    Exit codes: 0 done, 1 an event cannot be read, the file is no export of this store or a blob is
    not in order, 2 wrong usage or environment.
    """
    from replay.blobs.carrying import Carrier
    from replay.blobs.places import blobs_at
    from replay.export import LineError

    with ledger_of(store) as ledger, progress() as told:
        folder = _folder_of(file, blobs)
        carrier = Carrier(blobs_at(blob_store, ledger.access), folder) if folder else None
        require_sequence(ledger, after or 0, "--after")
        with _target(ledger, file, after) as (target, start):
            try:
                done = _export(ledger, carrier, target, start, told)
            except LineError as error:
                raise Failure(str(error), REFUSED) from error
    if done.left_out:
        click.echo(f"{done.left_out} blobs are left out: --blobs DIR takes them along", err=True)
    if as_json and file != "-":
        counts = {"events": done.events, "blobs": done.blobs}
        output.json_document({**counts, "after": start, "last": done.last})
    elif file != "-":
        also = f" and {done.blobs} blobs" if done.blobs else ""
        click.echo(f"{done.events} events{also}, up to sequence {done.last}")


class _Exported(NamedTuple):
    events: int
    blobs: int
    left_out: int
    last: int


def _folder_of(file: str, blobs: str) -> "FileBlobs | None":
    """Return where the blobs of an export are, which begins at `file`; None for nowhere."""
    from replay.blobs.files import FileBlobs

    folder = blobs or (f"{file}.blobs" if file != "-" else "")
    return FileBlobs(Path(folder)) if folder else None


def _export(
    ledger: "Ledger", carrier: "Carrier | None", target: IO[bytes], start: int, told: Told
) -> _Exported:
    """Write what is behind `start`, each page behind the blobs that its events name."""
    from replay.blobs.carrying import CarryError
    from replay.blobs.named import blobs_of
    from replay.export import PAGE, export_lines

    lines = export_lines(ledger, start)
    last, events, left_out = start, 0, 0
    while page := list(islice(lines, PAGE)):
        named = [(each.sequence, blob) for each, _ in page for blob in blobs_of(each.fact)]
        if carrier is None:
            left_out += len(named)
        else:
            try:
                carrier.bring(named)
            except CarryError as error:
                raise Failure(f"sequence {error.number}: {error}", REFUSED) from error
        target.writelines(line for _, line in page)
        last, events = page[-1][0].sequence, events + len(page)
        told("events", last, ledger.head)
    return _Exported(events, carrier.carried if carrier else 0, left_out, last)


@contextmanager
def _target(ledger: "Ledger", file: str, after: int | None) -> Iterator[tuple[IO[bytes], int]]:
    """Yield where to write, and behind which sequence."""
    if file == "-":
        yield sys.stdout.buffer, after or 0
        return
    with Path(file).open("ab+") as target:
        size = target.seek(0, os.SEEK_END)
        if size and after is not None:
            raise Failure(f"{file} is there already: leave --after out to continue it", USAGE)
        yield target, _resumed(ledger, file, target, size) if size else after or 0
        target.flush()
        os.fsync(target.fileno())


def _resumed(ledger: "Ledger", file: str, target: IO[bytes], size: int) -> int:
    """Cut off a line that has no end, and return the sequence of the last whole one.

    Raises Failure when that is no event of this ledger.
    """
    from replay.export import LineError, resumed_behind

    back = _BACK
    while True:
        start = target.seek(max(0, size - back))
        lines = target.read().split(b"\n")
        if len(lines) > 2 or start == 0:  # noqa: PLR2004  # one whole line at least
            break
        back *= 2
    try:
        last = resumed_behind(ledger, lines[-2]) if len(lines) > 1 else 0
    except LineError as error:
        raise Failure(f"{file} cannot be continued, its last line: {error}", REFUSED) from error
    target.truncate(size - len(lines[-1]))
    return last


@click.command("import")
@blobs_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@option(
    "--store",
    envvar="TASKLEDGER_STORE",
    default=Settings().store,
    help="Where to; made if need be, served by nobody.",
)
@blob_store_option
@json_option
def import_(*, blobs: str, file: str, store: str, blob_store: str, as_json: bool) -> None:
    """Add the events of an export to a store, with their sequences, times and ids.

    The artifacts and logs that they name are brought from the folder FILE.blobs, or DIR, and each
    is checked against its SHA-256 before its event is written. They are kept as a server with the
    same --blob-store keeps them.

    FILE, or standard input when it is -, is checked as a whole before anything is written. Events
    are then committed about a thousand at a time, never a part of a command. An import that was
    stopped goes on when it is started again. No server may be running: one on the same host or
    database is noticed.

    Exit codes: 0 done, 1 a line is refused (its number is printed), 2 wrong usage or environment.
    """
    from replay.blobs.carrying import Carrier
    from replay.importing import Importer, ImportRefusedError

    with (
        progress() as told,
        held_alone(settings_of(store, blob_store=blob_store)) as opened,
        _lines_of(file) as lines,
    ):
        try:
            last, skips = _check(lines, told)
            lines.seek(0)
            with opened() as services:
                carrier = Carrier(_folder_of(file, blobs) or services.blobs, services.blobs)
                importer = Importer(services.ledger, services.projectors, carrier, skips)
                importer.take(lines, lambda done: told("imported", done, last))
                done = {
                    "imported": importer.imported,
                    "present": importer.present,
                    "blobs": carrier.carried,
                    "head": services.ledger.head,
                }
        except ImportRefusedError as error:
            raise Failure(f"{file}: {error}", REFUSED) from error
    if as_json:
        output.json_document(done)
    else:
        also = f" and {done['blobs']} blobs" if done["blobs"] else ""
        click.echo(
            f"{done['imported']} events{also} imported, {done['present']} were there already"
        )


@contextmanager
def _lines_of(file: str) -> Iterator[IO[bytes]]:
    """Yield what can be read twice; standard input is kept in a temporary file."""
    if file != "-":
        with Path(file).open("rb") as lines:
            yield lines
        return
    with tempfile.TemporaryFile(prefix="taskledger-import-") as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.seek(0)
        yield kept


def _check(lines: IO[bytes], told: Told) -> tuple[int, "Skips"]:
    """Return the last sequence of the lines and what they say to pass over.

    Raises ImportRefusedError.
    """
    from replay.importing import Skips, read_events

    size, last = os.fstat(lines.fileno()).st_size, 0
    skips = Skips()
    for number, recorded in read_events(lines):
        last = recorded.sequence
        skips.note(recorded.fact)
        if number % 1000 == 0:
            told("checked", lines.tell(), size)
    return last, skips
