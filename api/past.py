"""Answers as of a moment of the past: handlers run as ever, over the read models as they were.

The read models are folded by a child process; the files it leaves are kept for the next moments.
"""

import asyncio
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

from domain.errors import ValidationError
from domain.instants import SECOND
from domain.recorded import SCHEDULER_STREAM
from domain.registry import SchedulerState
from domain.world import evolve
from projections.queries.scheduler import scheduler_status
from projections.wire import SchedulerStatus
from replay.errors import StoreUnavailableError
from replay.moments import Moment, MomentError, moment_of
from replay.past import fingerprint
from replay.store import SqlReader

if TYPE_CHECKING:
    from api.services import Services
    from replay.ledger import Ledger

REWINDING: Final = frozenset(
    {
        "getTask",
        "listTasks",
        "getTaskTree",
        "listTaskRuns",
        "getTaskRun",
        "getScheduler",
        "getSchedulerBacklog",
        "getTaskInbox",
        "getTaskDashboard",
    }
)
"""The operations that answer `?as_of=`, by id."""

AS_OF: Final[dict[str, Any]] = {
    "name": "as_of",
    "in": "query",
    "required": False,
    "description": "Answer as of this moment: a sequence of the ledger, or an RFC 3339 time, which"
    " means the last sequence recorded at it or before.",
    "schema": {"type": "string"},
}
_PARAMETER: Final = "as_of"
_KEPT: Final = 8
_INTERVAL: Final = 50_000
_CHILDREN: Final = 2


def wanted(query_string: bytes) -> str:
    """Return the moment a request asks for, empty when it asks for now."""
    if _PARAMETER.encode() not in query_string:
        return ""
    pairs = parse_qsl(query_string.decode("latin-1"))
    return next((value.strip() for name, value in pairs if name == _PARAMETER), "")


class PastLedger:
    """What handlers ask of the ledger, as it was."""

    def __init__(self, reader: SqlReader) -> None:
        """Read the rows through `reader`."""
        self.reader = reader

    @contextmanager
    def snapshot(self) -> Iterator[SqlReader]:
        """Yield the reader; nothing ever changes under it."""
        yield self.reader


class PastServices:
    """What reading handlers ask of the services, at a moment of the past."""

    def __init__(self, services: "Services", moment: Moment, reader: SqlReader) -> None:
        """Stand in for `services`."""
        self.settings = services.settings
        self.ledger = PastLedger(reader)
        self._live = services.ledger
        self._moment = moment

    def clock(self) -> int:
        """Return the time of the moment."""
        return self._moment.clock

    def scheduler_status(self) -> SchedulerStatus:
        """Return how the scheduler stood."""
        starved_after = self.settings.starvation_seconds * SECOND
        scheduler = _scheduler(self._live, self._moment.sequence)
        return scheduler_status(self.ledger.reader, scheduler, self.clock(), starved_after)


def _scheduler(ledger: "Ledger", sequence: int) -> SchedulerState:
    statement = (
        "SELECT * FROM stored_events WHERE originator_id = ? AND notification_id <= ?"
        " ORDER BY originator_version"
    )
    state: Any = None
    for row in ledger.reader.select(statement, (SCHEDULER_STREAM, sequence)):
        state = evolve(state, ledger.mapper.decode(*row))
    return state if isinstance(state, SchedulerState) else SchedulerState()


class Pasts:
    """The moments that were asked for last, each a file beside the store."""

    def __init__(self, services: "Services") -> None:
        """Know no moment yet."""
        self._services = services
        self._store = Path(services.settings.sqlite_path)
        self._fingerprint = ""
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._making: dict[int, asyncio.Future[None]] = {}
        self._turns = asyncio.Semaphore(_CHILDREN)

    async def services_at(self, text: str) -> "Services":
        """Return services that answer as of a moment; raises ValidationError for a bad one."""
        ledger = self._services.ledger
        self._services.committer.poll()
        try:
            moment = moment_of(ledger, ledger.reader, text)
        except MomentError as error:
            raise ValidationError(f"{_PARAMETER}: {error}") from error
        connection = await self._connection(moment.sequence)
        past = PastServices(self._services, moment, SqlReader(connection))
        return cast("Services", past)

    async def _connection(self, sequence: int) -> sqlite3.Connection:
        self._check_fingerprint()
        while sequence not in self._open:
            await self._made(sequence)
        self._open.move_to_end(sequence)
        return self._open[sequence]

    async def _made(self, sequence: int) -> None:
        """Wait for the file of a sequence, which is made once for all who wait."""
        if sequence not in self._making:
            making = asyncio.ensure_future(self._make(sequence))
            self._making[sequence] = making
            making.add_done_callback(lambda _: self._making.pop(sequence, None))
        await asyncio.shield(self._making[sequence])

    def _check_fingerprint(self) -> None:
        """Forget files that other projectors, or an earlier server, have made."""
        found = fingerprint(self._services.ledger, self._services.projectors)
        if found == self._fingerprint:
            return
        self._fingerprint = found
        self._open.clear()
        for path in self._store.parent.glob(f"{self._store.name}.as-of-*"):
            path.unlink(missing_ok=True)

    def _path(self, sequence: int) -> Path:
        name = f"{self._store.name}.as-of-{self._fingerprint}-{sequence}"
        return self._store.with_name(name)

    async def _make(self, sequence: int) -> None:
        """Fold a moment, from a file at a whole interval that later moments begin with as well."""
        start = sequence // _INTERVAL * _INTERVAL
        if start not in {0, sequence} and start not in self._open:
            await self._made(start)
        path = self._path(sequence)
        async with self._turns:
            position = max((each for each in self._open if each < sequence), default=0)
            base = str(self._path(position)) if position else ""
            await _fold(str(self._store), str(path), str(sequence), base, str(position))
        if path != self._path(sequence):
            # Other events are passed over since this was begun.
            path.unlink(missing_ok=True)
            return
        self._keep(sequence, path)

    def _keep(self, sequence: int, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA query_only=ON")
        self._open[sequence] = connection
        while len(self._open) > _KEPT:
            oldest, _ = self._open.popitem(last=False)
            # Whoever still reads it has it open.
            self._path(oldest).unlink(missing_ok=True)


async def _fold(*words: str) -> None:
    """Let a child process fold; raises StoreUnavailableError when it fails."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.past_fold", *words), stderr=asyncio.subprocess.PIPE
    )
    try:
        _, told = await child.communicate()
    except BaseException:
        child.kill()
        raise
    if child.returncode:
        lines = told.decode(errors="replace").strip().splitlines()
        message = f"the past cannot be folded: {lines[-1] if lines else child.returncode}"
        raise StoreUnavailableError(message)
