"""Lines of an export into a store, in chunks of whole commands that commit with their rows."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from domain.recorded import Recorded
from replay.attach import Slices, skipped_by
from replay.batch import Projector
from replay.errors import ReplayError
from replay.export import PAGE, LineError, event_of
from replay.fold import FoldError
from replay.ledger import Ledger
from replay.past import Several
from replay.read_models import standings
from replay.statements import insert_rows, track
from replay.store import Connection

Numbered = tuple[int, Recorded]
_VERSION: Final = "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?"


class ImportRefusedError(ReplayError):
    """A line cannot be imported; `line` counts from 1. Chunks before it are in the store."""

    def __init__(self, line: int, text: str) -> None:
        """Keep the line."""
        self.line = line
        super().__init__(f"line {line}: {text}")


def read_events(lines: Iterable[bytes]) -> Iterator[Numbered]:
    """Yield (line number, event), each checked against the one before it.

    Raises ImportRefusedError for the first line that is damaged or out of order.
    """
    before: Recorded | None = None
    for number, line in enumerate(lines, 1):
        try:
            recorded = event_of(line)
        except LineError as error:
            raise ImportRefusedError(number, str(error)) from error
        if not line.endswith(b"\n"):
            raise ImportRefusedError(number, "it has no end")
        if before is not None and recorded.sequence != before.sequence + 1:
            text = f"sequence {recorded.sequence} comes behind {before.sequence}"
            raise ImportRefusedError(number, text)
        if before is not None and recorded.recorded_at < before.recorded_at:
            raise ImportRefusedError(number, "its recordedtime is before that of the line before")
        before = recorded
        yield number, recorded


def _chunks(events: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """Yield what is to be committed together: whole commands, and about a page of events."""
    chunk: list[Numbered] = []
    for numbered in events:
        if len(chunk) >= PAGE and numbered[1].command_id != chunk[-1][1].command_id:
            yield chunk
            chunk = []
        chunk.append(numbered)
    if chunk:
        yield chunk


class Importer:
    """Appends events to a store that nobody serves, keeping sequences, versions and ids."""

    def __init__(self, ledger: Ledger, projectors: Iterable[Projector]) -> None:
        """Keep those of the read models in step that are live; their tables have to be there."""
        self._ledger = ledger
        known = standings(ledger.writer.connection)
        self._live = [each for each in projectors if known[each.name].state == "live"]
        skipped = {each.name: skipped_by(ledger, each.name) for each in self._live}
        self._slices = Slices(ledger, Several(self._live, skipped))
        self.imported = 0
        self.present = 0

    def take(self, lines: Iterable[bytes], told: Callable[[int], None]) -> None:
        """Import all lines; `told` gets the last sequence of each chunk.

        Lines whose events are in the store are compared with it, so that an import which was
        stopped goes on by being started again. Raises ImportRefusedError.
        """
        for chunk in _chunks(read_events(lines)):
            fresh = self._fresh(chunk)
            if fresh:
                self._append(fresh)
            told(chunk[-1][1].sequence)

    def _fresh(self, chunk: list[Numbered]) -> list[Numbered]:
        """Return the events that the store does not have; the others have to be the same."""
        head, first = self._ledger.head, chunk[0][1].sequence
        if first > head + 1:
            text = f"it begins at sequence {first}, but the store ends at {head}"
            raise ImportRefusedError(chunk[0][0], text)
        stored = {each.sequence: each for each in self._ledger.read(first - 1, len(chunk))}
        for number, recorded in chunk:
            if recorded.sequence in stored and stored[recorded.sequence] != recorded:
                text = f"the store has another event at sequence {recorded.sequence}"
                raise ImportRefusedError(number, text)
        self.present += len(stored)
        return [each for each in chunk if each[1].sequence not in stored]

    def _append(self, chunk: list[Numbered]) -> None:
        ledger, writer = self._ledger, self._ledger.writer
        last = chunk[-1][1]
        connection = writer.begin()
        try:
            self._check_versions(chunk)
            rows = [
                (e.sequence, e.originator_id, e.originator_version, e.type, ledger.mapper.encode(e))
                for _, e in chunk
            ]
            insert_rows(connection, rows)
            self._project(connection, chunk[0][1].sequence - 1, last.sequence)
            names = [each.name for each in self._live]
            track(connection, names, last.sequence)
            writer.commit()
        except FoldError as error:
            number = chunk[error.sequence - chunk[0][1].sequence][0]
            raise ImportRefusedError(number, f"it cannot be applied: {error}") from error
        finally:
            writer.rollback()
        ledger.refresh()
        self.imported += len(chunk)

    def _project(self, connection: Connection, after: int, upto: int) -> None:
        while after < upto:
            after, _ = self._slices.take(connection, after, upto)

    def _check_versions(self, chunk: list[Numbered]) -> None:
        versions: dict[str, int] = {}
        select = self._ledger.writer.connection.execute
        for number, recorded in chunk:
            stream = recorded.originator_id
            if stream not in versions:
                versions[stream] = select(_VERSION, (stream,)).fetchone()[0] or 0
            versions[stream] += 1
            if recorded.originator_version != versions[stream]:
                text = f"version {recorded.originator_version} of {stream} is not the next one"
                raise ImportRefusedError(number, text)
