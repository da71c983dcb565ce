"""From decided commands to a durable commit, and what to do when that fails half way."""

import time
from collections.abc import Sequence
from contextlib import suppress

from eventsourcing.persistence import PersistenceError

from replay.attach import Attachment
from replay.batch import Commit, Desk, Job, Projector, ProjectorError, separable
from replay.errors import DATABASE_ERRORS, ReplayError, is_busy, unavailable
from replay.ledger import Ledger
from replay.statements import HEAD, track
from replay.store import Connection, locked


class Transaction:
    """The transactions of a committer, one at a time: begin, write, commit, finish or abandon."""

    def __init__(self, ledger: Ledger, desk: Desk) -> None:
        """Write what `desk` decides into the store of `ledger`."""
        self.desk = desk
        self._ledger = ledger
        self._writer = ledger.writer
        self._attachment = Attachment(ledger, desk.projectors, desk.clock)
        self.lock_timeout = self._writer.lock_timeout
        self.held_back: list[ProjectorError] = []

    def prepare(self) -> None:
        """Make missing tables and catch up; raises StoreOpenError when deciding could be wrong."""
        try:
            connection = locked(self._writer, self.lock_timeout)
            self._ledger.refresh()
            self._attachment.prepare(connection)
            self._look_around(connection)
            self._writer.commit()
        except DATABASE_ERRORS as error:
            raise unavailable(error) from error
        finally:
            self._writer.rollback()

    @property
    def attached(self) -> tuple[Projector, ...]:
        """The read models that are written in each commit."""
        return self.desk.attached

    @property
    def names(self) -> tuple[str, ...]:
        """The names of those read models."""
        return self._attachment.names

    def begin(self, *, wait: bool = False) -> None:
        """Take the write lock and look at what is committed; raises one of DATABASE_ERRORS.

        With `wait` a lock that another process holds is waited for, up to the lock timeout.
        """
        writer = self._writer
        connection = locked(writer, self.lock_timeout) if wait else writer.begin()
        head = connection.execute(HEAD).fetchone()[0] or 0
        if head != self._ledger.head:
            self._ledger.refresh()
            self.desk.rows.discard()
        if self._writer.disturbed():
            self._look_around(connection)
        self.desk.start(self._ledger.head, self._ledger.recorded_at)
        self.desk.rows.start(connection)

    def _look_around(self, connection: Connection) -> None:
        self.desk.attached = self._attachment.look(connection)
        self.desk.held = self._attachment.held
        self.desk.rows.discard()

    def detach(self, error: ProjectorError) -> None:
        """Undo the transaction; go on without a read model, or without what it cannot take."""
        self.abandon()
        if any(each.name == error.name and separable(each) for each in self.desk.attached):
            self.desk.holding = []
        else:
            self.desk.attached = self._attachment.detach(error, self.desk.attached)

    def write(self, jobs: Sequence[Job]) -> bool:
        """Decide the commands and write what they came to; return whether that is anything."""
        desk = self.desk
        for job in jobs:
            desk.run(job)
        if not desk.groups:
            return False
        connection = desk.rows.connection
        with self._writer.together():
            desk.rows.flush()
            self._ledger.events.put_groups(desk.groups, connection)
            if self._attachment.pending:
                self._attachment.write(connection)
            if desk.holding:
                self._attachment.hold(connection, desk.holding)
            track(connection, self._attachment.names, desk.head)
        return True

    def commit(self) -> float:
        """Make it durable; return the seconds that took."""
        started = time.perf_counter()
        self._writer.commit()
        return time.perf_counter() - started

    def survived(self) -> bool:
        """Return whether a commit whose outcome is unknown is there after all."""
        self.abandon()
        first = self.desk.groups[0][0]
        version = first.originator_version
        with suppress(ReplayError, PersistenceError, *DATABASE_ERRORS):
            found = self._ledger.events.get(first.originator_id, gt=version - 1, lte=version)
            return any(event.event_id == first.event_id for event in found)
        return False

    def finish(self) -> Commit:
        """Take note of the durable commit and return what it added."""
        desk, ledger = self.desk, self._ledger
        self._attachment.written()
        self.held_back, desk.holding = desk.holding or [], None
        self._attachment.held = desk.held
        for stream, state in desk.states.items():
            ledger.cache.put(stream, state)
        ledger.advance(desk.head, desk.recorded_at)
        commit = Commit(previous=desk.base, head=desk.head, rows=desk.rows.written())
        desk.rows.finish()
        return commit

    def possible(self, *, durably: bool) -> bool:
        """Return whether a transaction can begin or, `durably`, whether one can be committed."""
        try:
            if durably:
                self._writer.try_out()
            else:
                self._writer.begin()
                self._writer.rollback()
        except DATABASE_ERRORS as error:
            self._writer.reset()
            return is_busy(error)
        return True

    def undo(self) -> None:
        """End a transaction that has nothing to commit."""
        self._writer.rollback()
        self.desk.rows.finish()

    def abandon(self) -> None:
        """Undo the transaction and distrust the connection and every cached state."""
        self._writer.reset()
        self._ledger.cache.clear()
        self.desk.rows.discard()
        if self.desk.holding:
            # What was noted of them has been undone.
            self.desk.holding.clear()
            self.desk.held = self._attachment.held
