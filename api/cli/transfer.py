"""`taskledger export` and `import`: the ledger as NDJSON of CloudEvents 1.0."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from api.cli import output
from api.cli.audit import ledger_of
from api.cli.failures import REFUSED, USAGE, Failure
from api.cli.options import json_option, option
from api.cli.progress import Told, progress
from api.cli.stores import held_alone, settings_of
from api.cli.token import store_option

if TYPE_CHECKING:
    from api.services import Services

_BACK = 1 << 20


@click.command("export")
@option("--after", type=click.IntRange(min=0), help="Only events behind this sequence.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@store_option
@json_option
def export(*, after: int | None, file: str, store: str, as_json: bool) -> None:
    """Write the events as lines to FILE, or to standard output when it is -.

    A FILE that is there is continued behind its last whole line. A server may be running.

    Exit codes: 0 done, 1 the file is no export of this store, 2 wrong usage or environment.
    """
    with ledger_of(store) as ledger, progress() as told:
        from replay.export import export_lines

        with _target(file, after) as (target, start):
            last, count = start, 0
            for sequence, line in export_lines(ledger, start):
                target.write(line)
                last, count = sequence, count + 1
                told("events", last, ledger.head)
            target.flush()
    if as_json and file != "-":
        output.json_document({"events": count, "after": start, "last": last})
    elif file != "-":
        click.echo(f"{count} events, up to sequence {last}")


@contextmanager
def _target(file: str, after: int | None) -> Iterator[tuple[IO[bytes], int]]:
    """Yield where to write, and behind which sequence."""
    if file == "-":
        yield sys.stdout.buffer, after or 0
        return
    with Path(file).open("ab+") as target:
        size = target.seek(0, os.SEEK_END)
        if size and after is not None:
            raise Failure(f"{file} is there already: leave --after out to continue it", USAGE)
        yield target, _resumed(file, target, size) if size else after or 0
        target.flush()
        os.fsync(target.fileno())


def _resumed(file: str, target: IO[bytes], size: int) -> int:
    """Cut off a line that has no end, and return the sequence of the last whole one."""
    from replay.export import LineError, event_of

    back = _BACK
    while True:
        start = target.seek(max(0, size - back))
        lines = target.read().split(b"\n")
        if len(lines) > 2 or start == 0:  # noqa: PLR2004  # one whole line at least
            break
        back *= 2
    target.truncate(size - len(lines[-1]))
    if len(lines) == 1:
        return 0
    try:
        return event_of(lines[-2]).sequence
    except LineError as error:
        raise Failure(f"{file} cannot be continued, its last line: {error}", REFUSED) from error


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@store_option
@json_option
def import_(*, file: str, store: str, as_json: bool) -> None:
    """Add the events of an export to a store, with their sequences, times and ids.

    FILE, or standard input when it is -, is checked as a whole before anything is written. Events
    are then committed about a thousand at a time, never a part of a command. An import that was
    stopped goes on when it is started again. No server may be running: one on the same host or
    database is noticed.

    Exit codes: 0 done, 1 a line is refused (its number is printed), 2 wrong usage or environment.
    """
    from replay.importing import ImportRefusedError

    with (
        progress() as told,
        held_alone(settings_of(store)) as opened,
        _lines_of(file) as lines,
    ):
        try:
            _check(lines, told)
            lines.seek(0)
            with opened() as services:
                done = _import(services, lines, told)
        except ImportRefusedError as error:
            raise Failure(f"{file}: {error}", REFUSED) from error
    if as_json:
        output.json_document(done)
    else:
        click.echo(f"{done['imported']} events imported, {done['present']} were there already")


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


def _check(lines: IO[bytes], told: Told) -> None:
    from replay.importing import read_events

    size = os.fstat(lines.fileno()).st_size
    for number, _ in read_events(lines):
        if number % 1000 == 0:
            told("checked", lines.tell(), size)


def _import(services: "Services", lines: IO[bytes], told: Told) -> dict[str, int]:
    from replay.importing import Importer

    importer = Importer(services.ledger, services.projectors)
    importer.take(lines, lambda last: told("imported", last, 0))
    head = services.ledger.head
    return {"imported": importer.imported, "present": importer.present, "head": head}
