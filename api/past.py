"""Answers as of a moment of the past: handlers run as ever, over the rows as they were then."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qsl

from msgspec import Struct

from domain.errors import ValidationError
from domain.instants import SECOND
from domain.recorded import SCHEDULER_STREAM
from domain.registry import SchedulerState
from domain.world import evolve
from projections.queries.runs import run_of
from projections.queries.scheduler import scheduler_status
from projections.wire import SchedulerStatus
from replay.moments import Moment, MomentError, moment_of
from replay.related import Kin, Pad, RelatedFold
from replay.store import SqlReader

if TYPE_CHECKING:
    from api.services import Services
    from replay.ledger import Ledger

_OF_ONE_TASK: Final[Mapping[str, Kin]] = {
    "getTask": "detail",
    "getTaskTree": "tree",
    "listTaskRuns": "runs",
    "getTaskRun": "run",
    "getTaskTimeline": "runs",
}
_OF_THE_LEDGER: Final = "getLedgerTimeline"
"""What was recorded never changes, so this reads the live rows up to the moment."""
READ_OF_ONE_TASK: Final = frozenset({"tasks", "runs", "registry", "timeline"})
"""The read models that answers about one task are read from."""

REWINDING: Final = frozenset(
    {
        *_OF_ONE_TASK,
        _OF_THE_LEDGER,
        "listTasks",
        "getScheduler",
        "getSchedulerBacklog",
        "getTaskInbox",
        "getTaskDashboard",
        "listTaskReviews",
        "listTaskRunReviews",
        "getTaskRunReview",
        "listTempestApps",
        "getTempestApp",
        "listTempestOperations",
        "getTempestOperation",
        "posthogTasksList",
        "posthogTasksRetrieve",
        "posthogTasksRunsList",
        "posthogTasksRunsRetrieve",
        *(
            f"ona{name}{form}"
            for name in ("GetTask", "ListTasks", "GetTaskExecution", "ListTaskExecutions")
            for form in ("", "ByGet")
        ),
    }
)
"""The operations that answer `?as_of=`, by id."""

_COUNTING: Final[Mapping[str, str]] = {"getTaskDashboard": "dashboard", "posthog": "posthog"}
"""The read models that stand still as a whole, by what the operations that read them begin with."""

AS_OF: Final[dict[str, Any]] = {
    "name": "as_of",
    "in": "query",
    "required": False,
    "description": "Answer as of this moment: a sequence of the ledger, or an RFC 3339 time, which"
    " means the last sequence recorded at it or before.",
    "schema": {
        "anyOf": [
            {"type": "integer", "format": "int64", "minimum": 0},
            {"type": "string", "format": "date-time"},
        ]
    },
}
_PARAMETER: Final = "as_of"


def _needed_by(operation: str) -> str:
    return next((name for start, name in _COUNTING.items() if operation.startswith(start)), "")


def wanted(query_string: bytes) -> str | None:
    """Return the moment a request asks for, None when it asks for now."""
    if _PARAMETER.encode() not in query_string:
        return None
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    return next((value.strip() for name, value in pairs if name == _PARAMETER), None)


class PastHub(Struct, frozen=True):
    """What handlers ask of the feed: how far the ledger had come."""

    head: int


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
        self.signer = services.signer
        self.started_at = services.started_at
        self.blobs = services.blobs
        self.ledger = PastLedger(reader)
        self.hub = PastHub(moment.sequence)
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


class PadReader(SqlReader):
    """Reads a pad that goes back to where it was taken from as soon as nobody reads it."""

    def __init__(self, pad: Pad, pads: list[Pad]) -> None:
        """Read `pad`, which comes from `pads`."""
        super().__init__(pad.connection)
        self._pad = pad
        self._pads = pads

    def __del__(self) -> None:
        """Empty the pad for the next one."""
        self._pad.clear()
        self._pads.append(self._pad)


class Pasts:
    """Gives services that answer as of moments of the past."""

    def __init__(self, services: "Services") -> None:
        """Stand in for these services."""
        self._services = services
        self._pads: list[Pad] = []

    async def services_at(self, text: str, operation: str, item: str) -> "Services":
        """Return services that answer an operation on an item, if it has one, as of a moment.

        Raises ValidationError for a moment that is none, StoreUnavailableError for one that cannot
        be gone back to, and StreamHeldError when an event stands in the way.
        """
        services = self._services
        services.committer.poll()
        try:
            moment = moment_of(services.ledger, services.ledger.reader, text)
        except MomentError as error:
            raise ValidationError(f"{_PARAMETER}: {error}") from error
        task_id = self._task_of(operation, item)
        reader: SqlReader
        if operation == _OF_THE_LEDGER:
            reader = services.ledger.reader
        elif task_id:
            reader = await self._related(moment.sequence, task_id, _OF_ONE_TASK[operation])
        else:
            reader = await services.moments.reader_at(moment.sequence, _needed_by(operation))
        return cast("Services", PastServices(services, moment, reader))

    def _task_of(self, operation: str, item: str) -> str:
        """Return the task that an operation is about, empty when it is about many, or unknown."""
        if operation == "getTaskRun":
            # The run of a task that was deleted later is found among all of that moment alone.
            run = run_of(self._services.ledger.reader, item)
            return run.task_id if run else ""
        return item if operation in _OF_ONE_TASK else ""

    async def _related(self, sequence: int, task_id: str, kin: Kin) -> SqlReader:
        """Return the rows that belong to a task; others get their turn while they are folded."""
        projectors = self._services.projectors
        pad = (
            self._pads.pop()
            if self._pads
            else Pad(each for each in projectors if each.name in READ_OF_ONE_TASK)
        )
        reader = PadReader(pad, self._pads)
        ledger = self._services.ledger
        for _ in RelatedFold(ledger, ledger.reader, sequence, pad).slices(task_id, kin):
            await asyncio.sleep(0)
        return reader
