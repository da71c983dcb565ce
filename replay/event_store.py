"""The library's event store, with one call for the events of many commands."""

from collections.abc import Iterable, Iterator, Sequence

from eventsourcing.persistence import EventStore

from domain.recorded import Recorded
from replay.codec import LedgerMapper
from replay.statements import insert_rows, stream_query
from replay.store import Connection, SqlReader


class LedgerEventStore(EventStore[str]):
    """Stores and retrieves `Recorded` events.

    With a `reader` it reads on that connection: several times faster than through the pool.
    """

    mapper: LedgerMapper
    reader: SqlReader | None = None

    def put_groups(self, groups: Iterable[Sequence[Recorded]], connection: Connection) -> None:
        """Write the events of many commands, positions already given, in the caller's transaction.

        Raises an error of the database when a position is taken; the caller then rolls back.
        """
        encode = self.mapper.encode
        insert_rows(
            connection,
            [
                (
                    event.sequence,
                    event.originator_id,
                    event.originator_version,
                    event.fact.TYPE,
                    encode(event),
                )
                for events in groups
                for event in events
            ],
        )

    def get(
        self,
        originator_id: str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Iterator[Recorded]:
        """Return events of one stream; raises StoreUnavailableError when they cannot be read."""
        if self.reader is None:
            found = super().get(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
            return (event for event in found if isinstance(event, Recorded))
        decode = self.mapper.decode
        rows = self.reader.select(*stream_query(originator_id, gt, lte, desc, limit))
        return (decode(*row) for row in rows)
