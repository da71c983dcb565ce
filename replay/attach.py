"""Which read models are written in each commit, and how one that is behind comes back.

A read model that deciding looks at is always attached: the store is not opened and a command is not
accepted without it. Any other one is detached by an event that its projector cannot take; it then
stands still, with the reason beside it, until it is caught up.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from domain.errors import StreamHeldError
from domain.recorded import OPS_STREAM
from domain.registry import OpsState
from replay import tables
from replay.batch import Clock, Projector, ProjectorError, decides, separable
from replay.errors import StoreOpenError, described
from replay.fold import PAGE, Fold, FoldError
from replay.ledger import Ledger
from replay.read_models import (
    CREATE,
    CREATE_HOLDS,
    Failure,
    Standing,
    holds,
    position_of,
    put_hold,
    put_position,
    put_standing,
    release,
    standings,
)
from replay.rows import RowBuffer
from replay.store import Connection, SqlReader

INLINE: Final = 20_000
"""As many events are caught up when the store is opened; more of them beside the commands."""

_log = logging.getLogger(__name__)


def skipped_by(ledger: Ledger, name: str) -> tuple[int, ...]:
    """Return the sequences that an operator told a read model to pass over."""
    try:
        state = ledger.state(OPS_STREAM)
    except StreamHeldError:
        # What a newer release has noted there must not keep this one from its own work.
        return ()
    return state.skipped.get(name, ()) if isinstance(state, OpsState) else ()


class Slices:
    """Brings rows of one read model forward, some events at a time, in the caller's transaction."""

    def __init__(
        self,
        ledger: Ledger,
        projector: Projector,
        *,
        suffix: str = "",
        held: Mapping[str, Failure] | None = None,
        clock: Clock | None = None,
        skipped: Collection[int] | None = None,
        note: Callable[[Connection, str, Failure], None] | None = None,
    ) -> None:
        """Write the live tables, or copies of them whose names have a suffix.

        Events in `skipped` give no rows; unless it is given the ledger says which those are.
        Nothing is written about streams that are `held`; with a clock, streams are held back
        whose events cannot be applied, where the read model allows it; `note` writes that down
        elsewhere than beside the live rows.
        """
        self.rows = RowBuffer(projector.tables, suffix)
        self.fold = Fold(
            ledger.mapper.decode,
            projector,
            skipped=skipped_by(ledger, projector.name) if skipped is None else skipped,
            held={stream: each.sequence for stream, each in (held or {}).items()},
            spanning=True,
        )
        self._name = projector.name
        self._clock = clock
        self._note = note or self._put_hold
        self._separable = separable(projector)

    def take(
        self, connection: Connection, after: int, upto: int, limit: int = PAGE
    ) -> tuple[int, int]:
        """Apply and write at most `limit` events; return the last sequence and their number.

        Raises FoldError where no stream can be held back; nothing of this call is then written.
        """
        while True:
            try:
                return self._take(connection, after, upto, limit)
            except FoldError as error:
                if self.fold.spanning:
                    # Which event it was shows when each is applied by itself.
                    self.fold.spanning = False
                    continue
                if self._clock is None or not self._separable:
                    raise
                _log.error("read model %s stands still for %s: %s", self._name, error.stream, error)
                self._note(connection, error.stream, failure_of(error, self._clock()))
                self.fold.hold(error.stream, error.sequence)

    def _put_hold(self, connection: Connection, stream: str, failure: Failure) -> None:
        put_hold(connection, self._name, stream, failure)

    def _take(self, connection: Connection, after: int, upto: int, limit: int) -> tuple[int, int]:
        connection.execute("SAVEPOINT slice")
        self.rows.start(connection)
        try:
            taken = self.fold.page(SqlReader(connection), self.rows, after, upto, limit)
            self.rows.flush()
        except BaseException:
            connection.execute("ROLLBACK TO slice")
            connection.execute("RELEASE slice")
            self.rows.discard()
            self.fold.forget()
            raise
        connection.execute("RELEASE slice")
        self.rows.finish()
        return taken


class Attachment:
    """Knows which read models are attached, as the store says and this process has met."""

    def __init__(self, ledger: Ledger, projectors: Iterable[Projector], clock: Clock) -> None:
        """Look after these read models."""
        self._ledger = ledger
        self._clock = clock
        self._projectors = tuple(projectors)
        self._failures: dict[str, Failure] = {}
        self.held: Mapping[str, Collection[str]] = {}
        self.names: tuple[str, ...] = ()

    def prepare(self, connection: Connection) -> None:
        """Make what is missing and catch up what is a little behind, in the caller's transaction.

        Raises StoreOpenError when deciding could not be right.
        """
        connection.execute(CREATE)
        connection.execute(CREATE_HOLDS)
        known = standings(connection)
        for projector in self._projectors:
            standing = self._prepared(connection, projector, known.get(projector.name))
            if standing != known.get(projector.name):
                put_standing(connection, projector.name, standing)

    def _prepared(
        self, connection: Connection, projector: Projector, known: Standing | None
    ) -> Standing:
        head = self._ledger.head
        at_once = decides(projector) or head <= INLINE
        standing = known or Standing(version=projector.version)
        made = tables.complete(connection, projector.tables)
        if standing.rolled_back and standing.version != projector.version and made:
            return standing
        if standing.version != projector.version or (known and not made):
            if not at_once:
                error = f"its rows are of version {standing.version}; a rebuild is needed"
                return replace(standing, state="detached", failure=Failure(error=error))
            return self._anew(connection, projector, standing)
        if known is None:
            self._require_room(connection, projector)
        if not made:
            _create(connection, projector)
            put_position(connection, projector.name, 0)
        return self._caught_up(connection, projector, standing)

    def _require_room(self, connection: Connection, projector: Projector) -> None:
        for table in projector.tables:
            if tables.exists(connection, table.name):
                place = self._ledger.access.place
                message = f'{place} has a table "{table.name}" that is not the ledger\'s'
                raise StoreOpenError(f"{message}; the ledger needs a database of its own")

    def _anew(self, connection: Connection, projector: Projector, standing: Standing) -> Standing:
        """Fold everything into new tables in place of the live ones."""
        generation = standing.generation + 1
        tables.drop(connection, projector.tables, "")
        tables.create(connection, projector.tables, "", generation)
        put_position(connection, projector.name, 0)
        release(connection, projector.name)
        fresh = replace(standing, version=projector.version, generation=generation, failure=None)
        return self._caught_up(connection, projector, replace(fresh, state="live"))

    def _caught_up(
        self, connection: Connection, projector: Projector, standing: Standing
    ) -> Standing:
        head, position = self._ledger.head, position_of(connection, projector.name)
        if head - position > INLINE and not decides(projector):
            return replace(standing, state="detached")
        held = holds(connection).get(projector.name)
        slices = Slices(self._ledger, projector, held=held, clock=self._clock)
        try:
            while position < head:
                position, _ = slices.take(connection, position, head)
        except FoldError as error:
            return self._stuck(connection, projector, standing, position, error)
        put_position(connection, projector.name, head)
        return replace(standing, state="live", failure=None, rolled_back=False)

    def _stuck(
        self,
        connection: Connection,
        projector: Projector,
        standing: Standing,
        position: int,
        error: FoldError,
    ) -> Standing:
        """Keep what goes before the event that cannot be applied."""
        if decides(projector):
            message = f"read model {projector.name} cannot be brought up to date: {error}"
            raise StoreOpenError(message) from error
        _log.error("read model %s stays detached: %s", projector.name, error)
        slices = Slices(self._ledger, projector)
        while position < error.sequence - 1:
            position, _ = slices.take(connection, position, error.sequence - 1)
        put_position(connection, projector.name, position)
        failure = failure_of(error, self._clock(), standing.failure)
        return replace(standing, state="detached", failure=failure)

    def look(self, connection: Connection) -> tuple[Projector, ...]:
        """Return the attached read models, and take note of the streams they stand still for."""
        self.held = holds(connection)
        return self._attached(standings(connection))

    def _attached(self, known: dict[str, Standing]) -> tuple[Projector, ...]:
        attached = tuple(
            each
            for each in self._projectors
            if each.name not in self._failures and known[each.name].state == "live"
        )
        self.names = tuple(each.name for each in attached)
        return attached

    def detach(self, error: ProjectorError, attached: Iterable[Projector]) -> tuple[Projector, ...]:
        """Take note that a projector raised; return those that stay attached."""
        self._failures[error.name] = self._failure(error)
        left = tuple(each for each in attached if each.name != error.name)
        self.names = tuple(each.name for each in left)
        return left

    def _failure(self, error: ProjectorError) -> Failure:
        recorded = error.recorded
        return Failure(
            sequence=recorded.sequence,
            type=recorded.type,
            error=described(error.error),
            since=self._clock(),
        )

    def hold(self, connection: Connection, errors: Iterable[ProjectorError]) -> None:
        """Write that read models stand still for streams, in the caller's transaction."""
        for error in errors:
            put_hold(connection, error.name, error.recorded.originator_id, self._failure(error))

    def write(self, connection: Connection) -> None:
        """Write what was detached, in the caller's transaction."""
        known = standings(connection)
        for name, failure in self._failures.items():
            standing = replace(known[name], state="detached", failure=failure)
            put_standing(connection, name, standing)

    @property
    def pending(self) -> bool:
        """Whether something detached has still to be written."""
        return bool(self._failures)

    def written(self) -> None:
        """Take note that what was detached is in the store."""
        self._failures.clear()


def failure_of(error: FoldError, now: int, before: Failure | None = None) -> Failure:
    """Return a failure; at the same event as before it keeps its time."""
    same = before is not None and before.sequence == error.sequence
    since = before.since if same and before is not None else now
    return Failure(sequence=error.sequence, type=error.type, error=error.error, since=since)


def _create(connection: Connection, projector: Projector) -> None:
    for table in projector.tables:
        for statement in table.ddl:
            connection.execute(statement)
