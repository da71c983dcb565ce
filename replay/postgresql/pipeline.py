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
)
_STATEMENTS: Final = 1_000
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
    """Waits until a socket can be read, or written while there is something unsent."""

    def __init__(self, socket: int, *, unsent: bool) -> None:
        self._socket = socket
        self._unsent = unsent
        self._loop: asyncio.AbstractEventLoop | None = None

    def wait(self) -> None:
        self._leave()
        with selectors.DefaultSelector() as selector:
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            selector.register(self._socket, wanted)
            selector.select()

    def call(self, go_on: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._ready, go_on)
        if self._unsent:
            self._loop.add_writer(self._socket, self._ready, go_on)

    def _ready(self, go_on: Callable[[], None]) -> None:
        self._leave()
        go_on()

    def _leave(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._loop = None


class Answer:
    """What a statement gave. Looking at it waits for it and raises ForeignDatabaseError."""

    __slots__ = ("_at", "_pipeline", "_rows", "name", "result")

    def __init__(self, pipeline: "Pipeline", name: bytes = b"") -> None:
        """Belong to a statement that is sent, or to the preparation of one under a name."""
        self.name = name
        self.result: PGresult | None = None
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
        assert self.result is not None
        if self.result.status not in _DONE:
            raise fault_of(errors.error_from_result(self.result))
        return self.result

    @property
    def failed(self) -> bool:
        """Whether it is known that the server did not do it."""
        return self.result is not None and self.result.status not in _DONE

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
    """The one way in which statements go to the server of a connection.

    Raises ForeignDatabaseError: at once when the connection is broken, otherwise when waiting.
    """

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        """Take the connection over."""
        self._connection = connection
        self._server = connection.pgconn
        self._server.enter_pipeline_mode()
        self._names: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._numbers = count()
        self._expected: deque[Answer | None] = deque()
        self._part: PGresult | None = None
        self._error: psycopg.Error | None = None
        self._synced = True

    @property
    def idle(self) -> bool:
        """Whether everything sent has been answered."""
        return not self._expected

    @_told()
    def send(self, statement: bytes, parameters: Sequence[Parameter] = ()) -> Answer:
        """Send a statement, perhaps only once there is more to be sent."""
        kinds = tuple(each.oid for each in parameters)
        values = [each.data for each in parameters]
        formats = [pq.Format.BINARY] * len(values)
        name = self._prepared(statement, kinds)
        if name:
            self._server.send_query_prepared(name, values, formats)
        else:
            self._server.send_query_params(statement, values, kinds, formats)
        self._synced = False
        answer = Answer(self)
        self._expected.append(answer)
        return answer

    def _prepared(self, statement: bytes, kinds: tuple[int, ...]) -> bytes:
        """Return the name of a statement that is prepared, none when there are too many."""
        name = self._names.get((statement, kinds), b"")
        if not name and len(self._names) < _STATEMENTS:
            name = b"s%d" % next(self._numbers)
            self._server.send_prepare(name, statement, kinds)
            self._names[statement, kinds] = name
            self._expected.append(Answer(self, name))
        return name

    @_told()
    def push(self) -> None:
        """Let the server begin with what was sent."""
        self._server.flush()

    @_told()
    def finish(self) -> None:
        """Tell the server that nothing follows for now, so that it answers at once."""
        if not self._synced:
            self._server.pipeline_sync()
            self._expected.append(None)
            self._synced = True
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
        expected = self._expected[0]
        if expected is None:
            self._expected.popleft()
        elif result is not None:
            self._part = result
        elif self._part is not None:
            self._expected.popleft()
            expected.result, self._part = self._part, None
            if expected.result.status not in _DONE:
                self._note_failure(expected, expected.result)
        elif self._server.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(self._server.get_error_message())

    def _note_failure(self, answer: Answer, result: PGresult) -> None:
        if answer.name:
            self._names = {key: name for key, name in self._names.items() if name != answer.name}
        if self._error is None:
            self._error = errors.error_from_result(result)

    def wait(self) -> None:
        """Wait until everything sent is answered."""
        taken(self.answered())

    def answered(self) -> Steps[None]:
        """Wait in steps until everything sent is answered."""
        self.finish()
        while not self.pump():
            yield _Traffic(self._server.socket, unsent=bool(self._server.flush()))

    @_told()
    def rows_of(self, result: PGresult) -> list[Row]:
        """Return the rows of a result."""
        transformer = Transformer(self._connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)
