"""Statements on their way to the server: sent one behind the other, waited for only when needed.

While nobody waits the server is already at work, so whoever sends early has less to wait for.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Final

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer
from psycopg.pq.abc import PGresult

from replay.errors import ForeignDatabaseError
from replay.postgresql.parameters import Parameter
from replay.steps import Steps, taken
from replay.store import Row

_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.DataCorrupted,
    errors.IndexCorrupted,
)
_STATEMENTS: Final = 1_000
_LOOK_SECONDS: Final = 1.0
"""Whoever closes a socket wakes nobody who waits for it, so that it is looked at as well."""

_DONE: Final = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


def fault_of(error: psycopg.Error) -> ForeignDatabaseError:
    """Return an error of the client library as this package knows them."""
    return ForeignDatabaseError(
        error,
        busy=isinstance(error, errors.LockNotAvailable),
        unavailable=isinstance(error, _UNAVAILABLE),
        outdated=isinstance(error, errors.UndefinedColumn),
    )


@contextmanager
def _told() -> Iterator[None]:
    """Raise ForeignDatabaseError in place of the client library's errors."""
    try:
        yield
    except psycopg.Error as error:
        raise fault_of(error) from error


class _Traffic:
    """Waits for a moment until a socket can be read, or written while something is unsent."""

    def __init__(self, socket: int, *, unsent: bool) -> None:
        self._socket = socket
        self._unsent = unsent
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look: asyncio.TimerHandle | None = None

    def wait(self) -> None:
        self._leave()
        with selectors.DefaultSelector() as selector:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            selector.register(self._socket, wanted)
            selector.select(_LOOK_SECONDS)

    def call(self, go_on: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._look = self._loop.call_later(_LOOK_SECONDS, self._ready, go_on)
        self._loop.add_reader(self._socket, self._ready, go_on)
        if self._unsent:
            self._loop.add_writer(self._socket, self._ready, go_on)

    def _ready(self, go_on: Callable[[], None]) -> None:
        self._leave()
        go_on()

    def _leave(self) -> None:
        if self._loop is not None and self._look is not None:
            self._look.cancel()
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._loop = None


class Answer:
    """What a statement gave. Looking at it waits for it and raises ForeignDatabaseError."""

    __slots__ = ("_at", "_pipeline", "_rows", "error", "name", "result")

    def __init__(self, pipeline: "Pipeline", name: bytes = b"") -> None:
        """Belong to a statement that is sent, or to the preparation of one under a name."""
        self.name = name
        self.result: PGresult | None = None
        self.error: psycopg.Error | None = None
        self._pipeline = pipeline
        self._rows: list[Row] | None = None
        self._at = 0

    @property
    def rowcount(self) -> int:
        """How many rows were written."""
        return self._found().command_tuples or 0

    def _found(self) -> PGresult:
        if self.result is None:
            self._pipeline.wait()
        if self.error is not None:
            raise fault_of(self.error) from self.error
        assert self.result is not None
        return self.result

    @property
    def failed(self) -> bool:
        """Whether it is known that the server did not do it."""
        return self.error is not None

    def fetchall(self) -> list[Row]:
        """Return the rows that are left."""
        return self.fetchmany(self._found().ntuples)

    def fetchmany(self, size: int, /) -> list[Row]:
        """Return at most so many of the next rows."""
        if self._rows is None:
            self._rows = self._pipeline.rows_of(self._found())
        start, self._at = self._at, self._at + size
        return self._rows[start : self._at]

    def fetchone(self) -> Row | None:
        """Return the next row, None behind the last."""
        return next(iter(self.fetchmany(1)), None)

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows that are left."""
        return iter(self.fetchall())


class Pipeline:
    """The one way in which statements go to the server of a connection, for one thread at a time.

    Raises ForeignDatabaseError: at once when the connection is broken, otherwise when waiting.
    Answers that do not fit what was sent break the connection as well.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Take the connection over."""
        self._connection = connection
        self._server = connection.pgconn
        self._server.enter_pipeline_mode()
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._numbers = count()
        # None stands for the end of what was sent in one go.
        self._expected: deque[Answer | None] = deque()
        self._part: PGresult | None = None
        self._arrived: list[tuple[Answer, PGresult]] = []
        self._error: psycopg.Error | None = None
        self._synced = True

    @_told()
    def send(self, statement: bytes, parameters: Sequence[Parameter] = ()) -> Answer:
        """Send a statement, perhaps only once there is more to be sent."""
        kinds = tuple(each.oid for each in parameters)
        values = [each.data for each in parameters]
        formats = [pq.Format.BINARY] * len(values)
        name = self._prepared(statement, kinds)
        answer = self._awaited(Answer(self))
        if name:
            self._server.send_query_prepared(name, values, formats, pq.Format.BINARY)
        else:
            self._server.send_query_params(statement, values, kinds, formats, pq.Format.BINARY)
        return answer

    def _prepared(self, statement: bytes, kinds: tuple[int, ...]) -> bytes:
        """Return the name of a statement that is prepared, none when there are too many."""
        name = self._names.get((statement, kinds), b"")
        if not name and len(self._names) < _STATEMENTS:
            name = b"s%d" % next(self._numbers)
            self._awaited(Answer(self, name))
            self._names[statement, kinds] = name
            self._server.send_prepare(name, statement, kinds)
        return name

    def _awaited(self, answer: Answer) -> Answer:
        """Note an answer before it is asked for: one too many is found out, one too few may not."""
        self._synced = False
        self._expected.append(answer)
        return answer

    @_told()
    def finish(self) -> None:
        """Let the server do and answer what was sent; from here on it may lose its patience.

        A server that was not told that nothing follows for now waits for more, however long.
        """
        if not self._synced:
            self._expected.append(None)
            self._synced = True
            self._server.pipeline_sync()
        self._server.flush()

    @_told()
    def pump(self) -> bool:
        """Take what has come; return whether everything has.

        Raises the first error of a statement once all of them are answered.
        """
        server = self._server
        server.consume_input()
        server.flush()
        while self._expected and not server.is_busy():
            self._take(server.get_result())
        while server.notifies() is not None:
            pass
        if self._expected:
            return False
        error, self._error = self._error, None
        if error is not None:
            raise error
        return True

    def _take(self, result: PGresult | None) -> None:
        """Take the next thing that the server has to say.

        Of a statement that is one result with nothing behind it, of an end one result alone unless
        it failed: see PQgetResult and PQpipelineSync in the manual of libpq.
        """
        expected, part = self._expected[0], self._part
        ended = result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC
        if ended and expected is None and part is None:
            self._expected.popleft()
            self._settle()
        elif result is not None and not ended and part is None:
            self._part = result
        elif result is None and part is not None and (expected or part.status not in _DONE):
            self._part = None
            self._note(expected, part)
        else:
            self._connection.close()
            message = "what the database server answers does not fit what it was sent"
            raise psycopg.OperationalError(message)

    def _note(self, expected: Answer | None, result: PGresult) -> None:
        if expected is None:
            self._error = self._error or errors.error_from_result(result)
        else:
            self._expected.popleft()
            self._arrived.append((expected, result))

    def _settle(self) -> None:
        """Give the answers to those who asked, now that their number is right."""
        failed: psycopg.Error | None = None
        arrived, self._arrived = self._arrived, []
        for answer, result in arrived:
            answer.result = result
            if result.status not in _DONE:
                # Behind the first that fails the others are passed over.
                failed = answer.error = failed or errors.error_from_result(result)
                self._forget(answer.name)
        self._error = self._error or failed

    def _forget(self, prepared: bytes) -> None:
        if prepared:
            self._names = {key: name for key, name in self._names.items() if name != prepared}

    def wait(self) -> None:
        """Wait until everything sent is answered."""
        taken(self.answered())

    def answered(self) -> Steps[None]:
        """Wait in steps until everything sent is answered."""
        self.finish()
        while not self.pump():
            yield self._traffic()

    @_told()
    def _traffic(self) -> _Traffic:
        return _Traffic(self._server.socket, unsent=bool(self._server.flush()))

    @_told()
    def rows_of(self, result: PGresult) -> list[Row]:
        """Return the rows of a result."""
        transformer = Transformer(self._connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)
