"""Long work on one read model: rebuild, catch-up, rollback and check.

It runs beside a server or without one. The fold reads the store and writes a file of its own. What
goes into the store goes there in slices of a few milliseconds, so that commands hardly wait, and
the last slice, which reaches the head, switches in the same transaction. Every step can be killed
and repeated.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from msgspec.structs import replace

from replay import scratch, tables
from replay.attach import Slices, failure_of, skipped_by
from replay.batch import decides, separable
from replay.digest import Difference, differences, digest
from replay.filling import filled
from replay.fold import Fold, FoldError
from replay.read_models import (
    Ended,
    Failure,
    Rebuilding,
    Standing,
    holds,
    position_of,
    put_hold,
    put_position,
    put_standing,
    release,
    standing_of,
)
from replay.scratch import PAGE, Scratch
from replay.statements import HEAD, OF_STREAM
from replay.store import Connection, SqlReader
from replay.switching import swap, switch
from replay.workbench import RefusedError, Workbench


class Workshop(Workbench):
    """Works on one read model of a store; only one at a time can."""

    # What can be asked for.

    def rebuild(self, *, repair: bool = False) -> Ended | None:
        """Fold everything anew and switch to it; go on where an earlier attempt was.

        Rows that differ from live ones of the same projector version are only put in their place
        with `repair`. The new rows stand still for streams with events that cannot be applied,
        where the read model allows it and the live ones are no better. Raises RefusedError,
        CanceledError or FoldError.
        """
        with self.alone(), self._noting_failures():
            rebuilding = self._begin(repair=repair)
            with closing(self._scratch(self.path, rebuilding.held)) as made:
                if rebuilding.phase == "fold":
                    rebuilding = self._fold(made, rebuilding)
                if rebuilding.phase == "copy":
                    rebuilding = self._copy(made, rebuilding)
            self._follow(tables.NEXT, rebuilding.position, self._note_position, self._switch)
            scratch.remove(self.path)
            return self.standing().ended

    def discard(self) -> Ended | None:
        """Give a rebuild up and remove what there is of it."""
        with self.alone():
            self._empty(tables.NEXT)
            with self.writing() as connection:
                tables.drop(connection, self.projector.tables, tables.NEXT)
                standing = standing_of(connection, self.name)
                position = position_of(connection, self.name)
                ended = Ended(ending="canceled", version=standing.version, position=position)
                put_standing(connection, self.name, replace(standing, rebuild=None, ended=ended))
            scratch.remove(self.path)
            return ended

    def catch_up(self) -> Ended | None:
        """Bring a detached read model, and streams it stands still for, up to date and attach them.

        Raises FoldError; streams that can be brought up to date are nevertheless.
        """
        with self.alone(), self._noting_failures():
            standing = self.standing()
            if standing.version != self.projector.version:
                raise RefusedError(f"the rows of {self.name} are of another version: rebuild it")
            connection = self.ledger.writer.connection
            position = position_of(connection, self.name)
            if standing.state == "detached":
                self._follow("", position, self._track, self._attach)
            self._let_go(holds(connection).get(self.name, {}))
            return self.standing().ended

    def _let_go(self, held: Mapping[str, Failure]) -> None:
        failed: FoldError | None = None
        for stream, failure in held.items():
            try:
                self._bring_up(stream, failure.sequence)
            except FoldError as error:
                failed = failed or error
                with self.writing() as connection:
                    put_hold(
                        connection, self.name, stream, failure_of(error, self.clock(), failure)
                    )
        if failed is not None:
            raise failed

    def _bring_up(self, stream: str, sequence: int) -> None:
        """Apply the events of a stream from a sequence on, and let it go."""
        slices = Slices(self.ledger, self.projector)
        with self.writing() as connection:
            missed = connection.execute(OF_STREAM, (stream, sequence)).fetchall()
            slices.rows.start(connection)
            slices.fold.apply_alone(missed, SqlReader(connection), slices.rows)
            slices.rows.flush()
            release(connection, self.name, stream)
            if self.name not in holds(connection):
                head = connection.execute(HEAD).fetchone()[0]
                put_standing(connection, self.name, _caught_up(self.standing(), head))

    def roll_back(self) -> Ended | None:
        """Put the tables that the last rebuild replaced back in place.

        Tables that another version wrote come back as they were and stay detached.
        """
        with self.alone():
            standing = self.standing()
            previous = standing.previous
            connection = self.ledger.writer.connection
            if previous is None or not tables.complete(
                connection, self.projector.tables, tables.PREVIOUS
            ):
                raise RefusedError(f"{self.name} has no previous tables to go back to")
            if standing.rebuild is not None:
                raise RefusedError(f"{self.name} is being rebuilt: cancel that first")
            position = previous.position
            if previous.version == self.projector.version:
                position = self._follow(tables.PREVIOUS, position, self._note_previous, self._swap)
            elif decides(self.projector):
                raise RefusedError(
                    f"deciding needs {self.name} as this release writes it, in version"
                    f" {self.projector.version}; the previous tables are of {previous.version}"
                )
            else:
                with self.writing() as connection:
                    self._swap(connection, position)
            return self.standing().ended

    def check(self) -> tuple[int, list[Difference]]:
        """Return a sequence and how the live rows differ at it from a rebuild."""
        path = f"{self.path}-check"
        scratch.remove(path)
        try:
            held = holds(self.ledger.writer.connection).get(self.name, {})
            with closing(self._scratch(path, held)) as made:
                self._fold_nearly(made)
                with self.snapshot() as stored:
                    position = position_of(stored, self.name)
                    if made.position > position:
                        raise RefusedError(f"{self.name} stands behind the log: catch it up first")
                    made.fold(SqlReader(stored), lambda: position, self._folded)
                    return position, differences(stored, made.connection, self.projector.tables)
        finally:
            scratch.remove(path)

    # Steps of a rebuild.

    def _begin(self, *, repair: bool) -> Rebuilding:
        """Return the rebuild to go on with, or note a new one."""
        standing = self.standing()
        rebuilding = standing.rebuild
        version = self.projector.version
        sealed_in_vain = (
            rebuilding is not None
            and rebuilding.failure is not None
            and not rebuilding.failure.sequence
            and not repair
        )
        if rebuilding is None or rebuilding.version != version or sealed_in_vain:
            scratch.remove(self.path)
            self._empty(tables.NEXT)
            rebuilding = Rebuilding(version=version, started_at=self.clock())
        rebuilding = replace(rebuilding, repair=repair or rebuilding.repair, failure=None)
        self._put_rebuilding(rebuilding)
        return rebuilding

    def _put_rebuilding(self, rebuilding: Rebuilding) -> None:
        with self.writing() as connection:
            standing = standing_of(connection, self.name)
            put_standing(connection, self.name, replace(standing, rebuild=rebuilding))

    def _fold_nearly(self, made: Scratch) -> None:
        """Fold all but the last page, without a snapshot that would keep the log from shrinking."""
        self.start_phase(made.position)
        made.fold(self.ledger.reader, lambda: max(self.head() - PAGE, 0), self._folded)

    def _folded(self, position: int, target: int) -> None:
        self.tell("fold", position, max(target, self.head()))

    def _fold_holding(self, made: Scratch, fold: Callable[[], None]) -> None:
        """Fold, and leave streams behind that stop it."""
        while True:
            try:
                fold()
            except FoldError as error:
                if not self._may_stand_still(error.stream):
                    raise
                with self.writing() as connection:
                    self._hold(connection, error.stream, failure_of(error, self.clock()))
                made.hold(error.stream, error.sequence)
            else:
                return

    def _may_stand_still(self, stream: str) -> bool:
        """Whether new rows that stand still for a stream are no worse than the live ones."""
        connection, standing = self.ledger.writer.connection, self.standing()
        live = standing.state == "live" and standing.version == self.projector.version
        whole = live and tables.complete(connection, self.projector.tables)
        known = stream in holds(connection).get(self.name, {})
        return separable(self.projector) and (known or not whole)

    def _hold(self, connection: Connection, stream: str, failure: Failure) -> None:
        """Note that the new rows stand still for a stream, in the caller's transaction."""
        standing = standing_of(connection, self.name)
        assert standing.rebuild is not None
        held = {**standing.rebuild.held, stream: failure}
        rebuilding = replace(standing.rebuild, held=held)
        put_standing(connection, self.name, replace(standing, rebuild=rebuilding))

    def _fold(self, made: Scratch, rebuilding: Rebuilding) -> Rebuilding:
        if not made.digest:
            self._fold_holding(made, lambda: self._fold_nearly(made))
            with self.snapshot() as stored:
                head = stored.execute(HEAD).fetchone()[0] or 0
                source = SqlReader(stored)
                self._fold_holding(made, lambda: made.fold(source, lambda: head, self._folded))
                found = digest(made.connection, self.projector.tables)
                same = self._equals_live(stored, head, found)
            if not same and not rebuilding.repair:
                raise RefusedError(
                    f"the rebuilt rows of {self.name} differ from the live ones at sequence"
                    f" {head}: look at the differences with --dry-run, and replace the rows"
                    " with --repair"
                )
            made.seal(found)
        with self.writing() as connection:
            standing = standing_of(connection, self.name)
            tables.create(connection, self.projector.tables, tables.NEXT, standing.generation + 1)
            assert standing.rebuild is not None
            following = replace(
                standing.rebuild, phase="copy", position=made.position, digest=made.digest
            )
            put_standing(connection, self.name, replace(standing, rebuild=following))
        return following

    def _equals_live(self, stored: Connection, head: int, found: str) -> bool:
        """Whether the live rows are the same, as far as they have to be."""
        standing = standing_of(stored, self.name)
        whole = tables.complete(stored, self.projector.tables)
        if not whole or holds(stored).get(self.name):
            return True
        if standing.version != self.projector.version or position_of(stored, self.name) != head:
            return True
        return digest(stored, self.projector.tables) == found

    def _copy(self, made: Scratch, rebuilding: Rebuilding) -> Rebuilding:
        self.start_phase(0)
        for copied, target in filled(self, made):
            self.tell("copy", copied, target)
        self._empty_previous()
        following = replace(rebuilding, phase="follow")
        self._put_rebuilding(following)
        return following

    def _empty_previous(self) -> None:
        with self.writing() as connection:
            standing = standing_of(connection, self.name)
            put_standing(connection, self.name, replace(standing, previous=None))
        self._empty(tables.PREVIOUS)

    def _empty(self, suffix: str) -> None:
        """Remove copies of the tables, little by little where others would have to wait."""
        for table in self.projector.tables:
            more = not self.ledger.access.drops_freely
            while more:
                with self.slicing() as connection:
                    more = tables.empty_some(connection, table, suffix)
        with self.writing() as connection:
            tables.drop(connection, self.projector.tables, suffix)

    # Following the log, and what is done where it ends.

    def _follow(
        self,
        suffix: str,
        position: int,
        note: Callable[[Connection, int], None],
        finish: Callable[[Connection, int], None],
    ) -> int:
        """Apply what is behind `position`; `finish` in the transaction that reaches the head."""
        slices = self._slices(suffix)
        self.start_phase(position)
        while True:
            with self.slicing(last=self.head() - position <= self.slice) as connection:
                head = connection.execute(HEAD).fetchone()[0] or 0
                position, _ = slices.take(connection, position, head, self.slice)
                if position >= head:
                    finish(connection, position)
                    return position
                note(connection, position)
            self.tell("follow", position, head)

    def _slices(self, suffix: str) -> Slices:
        """Return what writes the live tables or a copy; replaced ones never stand still."""
        if suffix == tables.PREVIOUS:
            return Slices(self.ledger, self.projector, suffix=suffix)
        note = None
        held = holds(self.ledger.writer.connection).get(self.name)
        if suffix and (rebuilding := self.standing().rebuild) is not None:
            note, held = self._hold, rebuilding.held
        return Slices(
            self.ledger, self.projector, suffix=suffix, held=held, clock=self.clock, note=note
        )

    def _note_position(self, connection: Connection, position: int) -> None:
        standing = standing_of(connection, self.name)
        assert standing.rebuild is not None
        rebuilding = replace(standing.rebuild, position=position)
        put_standing(connection, self.name, replace(standing, rebuild=rebuilding))

    def _note_previous(self, connection: Connection, position: int) -> None:
        standing = standing_of(connection, self.name)
        assert standing.previous is not None
        previous = replace(standing.previous, position=position)
        put_standing(connection, self.name, replace(standing, previous=previous))

    def _track(self, connection: Connection, position: int) -> None:
        put_position(connection, self.name, position)

    def _attach(self, connection: Connection, position: int) -> None:
        standing = standing_of(connection, self.name)
        put_position(connection, self.name, position)
        live = replace(standing, state="live", failure=None)
        put_standing(connection, self.name, _caught_up(live, position))

    def _switch(self, connection: Connection, position: int) -> None:
        switch(connection, self.projector, position)

    def _swap(self, connection: Connection, position: int) -> None:
        swap(connection, self.projector, position, self.clock())

    # What it is done with.

    def _scratch(self, path: str, held: Mapping[str, Failure]) -> Scratch:
        """Return the rows folded anew, but for those about streams that are held."""
        fold = Fold(
            self.ledger.mapper.decode,
            self.projector,
            skipped=skipped_by(self.ledger, self.name),
            held={stream: failure.sequence for stream, failure in held.items()},
            spanning=True,
        )
        return Scratch(path, self.projector, fold)

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        """Keep beside the read model why the work could not be finished."""
        try:
            yield
        except FoldError as error:
            self._note_failure(failure_of(error, self.clock()))
            raise
        except RefusedError as error:
            self._note_failure(Failure(error=str(error), since=self.clock()))
            raise

    def _note_failure(self, failure: Failure) -> None:
        with self.writing() as connection:
            standing = standing_of(connection, self.name)
            if standing.rebuild is not None:
                rebuilding = replace(standing.rebuild, failure=failure)
                standing = replace(standing, rebuild=rebuilding)
            elif standing.state == "detached":
                standing = replace(standing, failure=failure)
            put_standing(connection, self.name, standing)


def _caught_up(standing: Standing, position: int) -> Standing:
    ended = Ended(ending="caught_up", version=standing.version, position=position)
    return replace(standing, ended=ended)
