"""`taskledger verify`, `replay` and `diff`: what an auditor asks of the store itself.

The commands only read, from one snapshot, so a server may be running on the same store.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from api.cli import output
from api.cli.failures import REFUSED, USAGE, Failure
from api.cli.options import json_option, option
from api.cli.progress import progress
from api.cli.stores import blob_store_option, settings_of
from api.cli.token import store_option

if TYPE_CHECKING:
    from replay.fold import Source
    from replay.history import FieldChange, Step
    from replay.ledger import Ledger

_SHOWN = 200


@contextmanager
def ledger_of(store: str, name: str = "--store") -> Iterator["Ledger"]:
    """Yield the ledger in an existing store; raises Failure when it cannot be read."""
    from replay.errors import DATABASE_ERRORS, ReplayError
    from replay.fold import FoldError
    from replay.ledger import Ledger
    from replay.places import environment_of

    path = settings_of(store, name).sqlite_path
    # A file without a byte is one that nobody has written to, nor does a command that only reads.
    if path and not (Path(path).is_file() and Path(path).stat().st_size):
        raise Failure(f"there is no store at {path}: name one with {name}", USAGE)
    try:
        ledger = Ledger(environment_of(store))
        try:
            yield ledger
        finally:
            ledger.close()
    except FoldError as error:
        raise Failure(str(error), REFUSED) from error
    except BrokenPipeError:
        # Whoever reads has enough, and click ends the program without a word.
        raise
    except (ReplayError, *DATABASE_ERRORS, OSError) as error:
        raise Failure(str(error), USAGE) from error


def known_moment(ledger: "Ledger", source: "Source", text: str, name: str) -> int:
    """Return the sequence that an option names by itself or by a time; raises Failure."""
    from replay.moments import MomentError, moment_of

    try:
        return moment_of(ledger, source, text).sequence
    except MomentError as error:
        raise Failure(f"{name}: {error}", USAGE) from error


def require_sequence(ledger: "Ledger", sequence: int, name: str) -> None:
    """Raise Failure when an option names a sequence that there is not yet."""
    if sequence > ledger.head:
        raise Failure(f"{name}: {sequence} lies beyond the head, {ledger.head}", USAGE)


@click.command()
@store_option
@blob_store_option
@json_option
def verify(*, store: str, blob_store: str, as_json: bool) -> None:
    """Replay the whole log and compare every read model with its rebuild.

    Checked are also the pages of an SQLite file, the order of sequences, versions and times, that
    commands are whole, that no run ever had two holders, and that each artifact or log that an
    event names is there and has its SHA-256. The first difference is printed.

    \b
    Exit codes:
      0    everything is in order
      1    there is a difference
      2    wrong usage, or the store cannot be read
    """
    from projections.catalog import PROJECTORS
    from replay.blobs.places import blobs_at
    from replay.verify import verify as verify_store

    with ledger_of(store) as ledger, progress() as told:
        found = verify_store(ledger, PROJECTORS, told, blobs_at(blob_store, ledger.access))
    finding = found.finding
    if as_json:
        output.json_document(msgspec.to_builtins(found))
    elif finding:
        click.echo(finding.text)
    else:
        also = f", {found.blobs} blobs" if found.blobs else ""
        models = ", ".join(found.read_models)
        click.echo(f"in order: {found.events} events{also}, read models {models}")
    if finding:
        sys.exit(REFUSED)


@click.command()
@option("--task", "task_id", default="", help="Only the events of this task and its runs.")
@option("--all", "everything", is_flag=True, help="All events of the ledger.")
@option("--from", "first", type=click.IntRange(min=1), default=1, help="The first sequence.")
@option("--until", default="", help="The last sequence, or a time (RFC 3339).")
@store_option
@json_option
def replay(
    *, task_id: str, everything: bool, first: int, until: str, store: str, as_json: bool
) -> None:
    """Print each event with the fields it changed, before and after; JSON is one line per event.

    Exit codes: 0 done, 1 an event cannot be read, 2 wrong usage or nothing known of the task.
    """
    from replay.history import steps

    if bool(task_id) == everything:
        raise click.UsageError("give one of --task ID and --all")
    with ledger_of(store) as ledger, ledger.snapshot() as source, progress() as told:
        stream = known_stream(source, task_id)
        upto = known_moment(ledger, source, until, "--until") if until else ledger.head
        if first > 1:
            require_sequence(ledger, first, "--from")
            if first > upto:
                raise click.UsageError(f"--until ({upto}) comes before --from ({first})")
        for step in steps(ledger, source, stream=stream, after=first - 1, upto=upto):
            _print_step(step, as_json=as_json)
            told("events", step.recorded.sequence, upto)


def known_stream(source: "Source", task_id: str) -> str:
    """Return the stream of a task, empty without one; raises Failure for an unknown task."""
    from domain.recorded import task_stream
    from replay.history import is_known

    stream = task_stream(task_id) if task_id else ""
    if stream and not is_known(source, stream):
        raise Failure(f"the ledger knows no task {task_id!r}", USAGE)
    return stream


def _print_step(step: "Step", *, as_json: bool) -> None:
    from domain.instants import rfc3339

    recorded = step.recorded
    if as_json:
        described = {
            "sequence": recorded.sequence,
            "type": recorded.type,
            "stream": recorded.originator_id,
            "version": recorded.originator_version,
            "event_id": recorded.event_id,
            "actor": recorded.actor.label,
            "origin": f"{recorded.origin.kind}:{recorded.origin.ref}",
            "occurred_at": rfc3339(recorded.occurred_at),
            "recorded_at": rfc3339(recorded.recorded_at),
            "command_id": recorded.command_id,
            "causation_id": recorded.causation_id,
            "correlation_id": recorded.correlation_id,
            "changes": [msgspec.to_builtins(each) for each in step.changes],
        }
        output.json_line(described)
        return
    when, who = rfc3339(recorded.recorded_at), recorded.actor.label
    click.echo(f"{recorded.sequence}  {when}  {recorded.type}  {recorded.originator_id}  {who}")
    _print_changes(step.changes)


def _print_changes(changes: "tuple[FieldChange, ...]") -> None:
    for each in changes:
        click.echo(f"    {each.field}: {_text(each.before)} → {_text(each.after)}")


def _text(value: Any) -> str:
    if value is msgspec.UNSET:
        return "-"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@click.command()
@option("--from", "before", required=True, help="A sequence, or a time (RFC 3339).")
@option("--to", "after", required=True, help="A later sequence or time.")
@option("--task", "task_id", default="", help="Only this task and its runs.")
@store_option
@json_option
def diff(*, before: str, after: str, task_id: str, store: str, as_json: bool) -> None:
    """Print what differs between two moments, stream by stream; JSON is one line per stream.

    Exit codes: 0 done, 1 an event cannot be read, 2 wrong usage or nothing known of the task.
    """
    from replay.history import differences_between

    with ledger_of(store) as ledger, ledger.snapshot() as source, progress() as told:
        stream = known_stream(source, task_id)
        start = known_moment(ledger, source, before, "--from")
        end = known_moment(ledger, source, after, "--to")
        if end < start:
            raise click.UsageError(f"--to ({end}) comes before --from ({start})")
        found = differences_between(
            ledger,
            source,
            stream=stream,
            after=start,
            upto=end,
            told=lambda done, target: told("streams", done, target),
        )
        for each in found:
            if as_json:
                output.json_line(msgspec.to_builtins(each))
            else:
                click.echo(each.stream)
                _print_changes(each.changes)
