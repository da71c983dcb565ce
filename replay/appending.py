"""Stored events that come from elsewhere: appended as they are, in the commit of their rows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from replay.attach import Slices, skipped_by
from replay.batch import Projector
from replay.errors import DATABASE_ERRORS, ReplayError, unavailable
from replay.fold import FoldError
from replay.ledger import Ledger
from replay.past import Several
from replay.read_models import standings
from replay.statements import HEAD, insert_rows, track
from replay.store import Connection, Row, locked

T = TypeVar("T")
_VERSION = "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?"


class AppendError(ReplayError):
    """An event cannot be added behind those in the store; `sequence` is its own."""

    def __init__(self, sequence: int, text: str) -> None:
        """Keep which event it is."""
        self.sequence = sequence
        super().__init__(text)


def whole_commands(
    items: Iterable[T], size: int, command_of: Callable[[T], str]
) -> Iterator[list[T]]:
    """Yield what is to be committed together: whole commands, and about `size` events."""
    chunk: list[T] = []
    last = ""
    for item in items:
        command = command_of(item)
        if len(chunk) >= size and command != last:
            yield chunk
            chunk = []
        chunk.append(item)
        last = command
    if chunk:
        yield chunk


class Appender:
    """Appends to a store that nobody else writes to, keeping sequences, versions and bytes."""

    def __init__(
        self,
        ledger: Ledger,
        projectors: Iterable[Projector],
        passed_over: Callable[[str], Collection[int]] | None = None,
    ) -> None:
        """Keep those of the read models in step that are live; their tables have to be there.

        Each passes over the events that `passed_over` says, by default those of this ledger.
        """
        self._ledger = ledger
        known = standings(ledger.writer.connection)
        self._live = [each for each in projectors if known[each.name].state == "live"]
        told = passed_over or partial(skipped_by, ledger)
        skipped = {each.name: told(each.name) for each in self._live}
        several = Several(self._live, skipped)
        self._slices = Slices(ledger, several, skipped=several.skipped)

    def append(self, rows: Sequence[Row]) -> None:
        """Commit stored events that follow on the head.

        Raises AppendError, and StoreUnavailableError.
        """
        try:
            self._append(rows)
        except DATABASE_ERRORS as error:
            raise unavailable(error) from error
        self._ledger.refresh()

    def _append(self, rows: Sequence[Row]) -> None:
        writer, last = self._ledger.writer, rows[-1][0]
        connection = locked(writer, writer.lock_timeout)
        try:
            self._check_head(connection, rows[0][0])
            _check_versions(connection, rows)
            insert_rows(connection, rows)
            self._slices.take(connection, rows[0][0] - 1, last, len(rows))
            track(connection, [each.name for each in self._live], last)
            writer.commit()
        except FoldError as error:
            raise AppendError(error.sequence, f"it cannot be applied: {error}") from error
        finally:
            writer.rollback()

    def _check_head(self, connection: Connection, first: int) -> None:
        head = connection.execute(HEAD).fetchone()[0] or 0
        if head != first - 1:
            place = self._ledger.access.place
            raise AppendError(first, f"somebody else writes to {place}, which ends at {head} now")


def _check_versions(connection: Connection, rows: Iterable[Row]) -> None:
    versions: dict[str, int] = {}
    for sequence, stream, version, *_ in rows:
        if stream not in versions:
            versions[stream] = connection.execute(_VERSION, (stream,)).fetchone()[0] or 0
        versions[stream] += 1
        if version != versions[stream]:
            raise AppendError(sequence, f"version {version} of {stream} is not the next one")
