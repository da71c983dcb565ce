"""From decided commands to a durable commit, and what to do when that fails half way."""

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from eventsourcing.persistence import PersistenceError

from domain.recorded import Recorded
from replay.attach import Attachment
from replay.batch import Commit, Desk, Job, Projector, ProjectorError, separable
from replay.errors import DATABASE_ERRORS, ReplayError, is_busy, unavailable
from replay.ledger import Ledger
from replay.statements import track
from replay.steps import Steps
from replay.store import BUSY_PAUSE, Connection, begun, locked

_TURNS_AHEAD: Final = 4
_AT_ONCE: Final = 16
"""As many commands the store may begin to write while the next ones are decided."""


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

    def begin(self, jobs: Iterable[Job], *, wait: bool = False) -> Steps[None]:
        """Take the write lock and look at what is committed; raises one of DATABASE_ERRORS.

        From a store that is far away, what commands will look at is fetched on the same way. With
        `wait` a lock that another process holds is waited for, up to the lock timeout.
        """
        give_up = time.monotonic() + self.lock_timeout * wait
        while True:
            try:
                yield from self._begin(jobs)
            except DATABASE_ERRORS as error:
                if not is_busy(error) or time.monotonic() > give_up:
                    raise
                time.sleep(BUSY_PAUSE)
            else:
                return

    def _begin(self, jobs: Iterable[Job]) -> Steps[None]:
        desk = self.desk
        if self._writer.far:
            desk.look_ahead(jobs)
        connection = yield from begun(self._writer, self._ask)
        if self._note():
            desk.rows.discard()
        if self._writer.disturbed():
            self._look_around(connection)
        desk.start(self._ledger.head, self._ledger.recorded_at)
        desk.rows.start(connection, far=self._writer.far)
        desk.rows.learn()

    def _ask(self, connection: Connection) -> None:
        self._note = self._ledger.ask(connection)
        self.desk.rows.ask(connection)

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

    def write(self, jobs: Sequence[Job]) -> Steps[bool]:
        """Decide the commands and write what they came to; return whether that is anything."""
        desk = self.desk
        if self._writer.far:
            yield from self._read_ahead(jobs)
        sent = 0
        for number, job in enumerate(jobs, 1):
            desk.run(job)
            if self._writer.far and number % _AT_ONCE == 0:
                sent = self._send(sent)
        if not desk.groups:
            return False
        connection = desk.rows.connection
        desk.rows.flush()
        self._ledger.events.put_groups(desk.groups[sent:], connection)
        if self._attachment.pending:
            self._attachment.write(connection)
        if desk.holding:
            self._attachment.hold(connection, desk.holding)
        track(connection, self._attachment.names, desk.head)
        return True

    def _send(self, sent: int) -> int:
        """Let the store begin with what is decided behind the first `sent` groups of events."""
        desk, groups = self.desk, len(self.desk.groups)
        desk.rows.flush_unread()
        self._ledger.events.put_groups(desk.groups[sent:], desk.rows.connection)
        self._writer.push()
        return groups

    def _read_ahead(self, jobs: Iterable[Job]) -> Steps[None]:
        """Fetch what the commands will look at, in a few turns in place of one for each row."""
        rows = self.desk.rows
        for _ in range(_TURNS_AHEAD):
            self.desk.look_ahead(jobs)
            if not rows.ask(rows.connection):
                return
            yield from self._writer.answered()
            rows.learn()

    def commit(self) -> float:
        """Make it durable; return the seconds that took."""
        started = time.perf_counter()
        self._writer.commit()
        return time.perf_counter() - started

    def committing(self) -> Steps[float]:
        """Make it durable in steps, as `commit` does."""
        started = time.perf_counter()
        yield from self._writer.committing()
        return time.perf_counter() - started

    @property
    def far(self) -> bool:
        """Whether the store is far away, so that others can work while it does."""
        return self._writer.far

    def survived(self) -> Steps[bool]:
        """Return whether a commit whose outcome is unknown is there after all."""
        self.abandon()
        with suppress(*DATABASE_ERRORS):
            # Where it may still be on its way, whoever gets the lock knows that it has ended.
            yield from begun(self._writer)
        try:
            return self._is_there(self.desk.groups[0][0])
        finally:
            self._writer.rollback()

    def _is_there(self, event: Recorded) -> bool:
        version = event.originator_version
        with suppress(ReplayError, PersistenceError, *DATABASE_ERRORS):
            found = self._ledger.events.get(event.originator_id, gt=version - 1, lte=version)
            return any(each.event_id == event.event_id for each in found)
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

    def undoing(self) -> Steps[None]:
        """End in steps a transaction that has nothing to commit."""
        yield from self._writer.rolling_back()
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
