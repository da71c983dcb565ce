"""Lines of an export into a store, in chunks of whole commands that commit with their rows."""

from collections.abc import Callable, Iterable, Iterator

from domain.events import Fact, ProjectionEventSkipped
from domain.recorded import Recorded
from replay.appending import Appender, AppendError, whole_commands
from replay.attach import skipped_by
from replay.batch import Projector
from replay.blobs.carrying import Carrier, CarryError
from replay.blobs.named import blobs_of
from replay.errors import ReplayError
from replay.export import PAGE, LineError, event_of
from replay.ledger import Ledger

Numbered = tuple[int, Recorded]


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


class Skips:
    """The events that operators had read models pass over, by read model."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, set[int]] = {}

    def note(self, fact: Fact) -> None:
        """Take note of an event that tells of one."""
        if isinstance(fact, ProjectionEventSkipped):
            self._known.setdefault(fact.projection, set()).add(fact.skipped_sequence)

    def of(self, name: str) -> frozenset[int]:
        """Return what a read model passes over."""
        return frozenset(self._known.get(name, ()))


class Importer:
    """Appends events to a store that nobody serves, keeping sequences, versions and ids."""

    def __init__(
        self, ledger: Ledger, projectors: Iterable[Projector], carrier: Carrier, skips: Skips
    ) -> None:
        """Keep the read models in step; their tables have to be there.

        They pass over what the store says and what `skips`, which are those of all the lines, say:
        an event is passed over by later ones.
        """
        self._ledger = ledger
        self._carrier = carrier

        def passed_over(name: str) -> frozenset[int]:
            return skips.of(name).union(skipped_by(ledger, name))

        self._appender = Appender(ledger, projectors, passed_over)
        self.imported = 0
        self.present = 0

    def take(self, lines: Iterable[bytes], told: Callable[[int], None]) -> None:
        """Import all lines; `told` gets the last sequence of each chunk.

        Lines whose events are in the store are compared with it, so that an import which was
        stopped goes on by being started again. Raises ImportRefusedError.
        """
        for chunk in whole_commands(read_events(lines), PAGE, lambda each: each[1].command_id):
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
        """Append events, behind the blobs that they name."""
        try:
            self._carrier.bring((n, blob) for n, each in chunk for blob in blobs_of(each.fact))
        except CarryError as error:
            raise ImportRefusedError(error.number, str(error)) from error
        encode = self._ledger.mapper.encode
        rows = [
            (e.sequence, e.originator_id, e.originator_version, e.type, encode(e)) for _, e in chunk
        ]
        try:
            self._appender.append(rows)
        except AppendError as error:
            number = chunk[error.sequence - chunk[0][1].sequence][0]
            raise ImportRefusedError(number, str(error)) from error
        self.imported += len(chunk)
