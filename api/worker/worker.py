"""The worker's loop: claim as many runs as there is room for, have them done, claim the next."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from api.client.backoff import delays
from api.client.errors import ApiError, ClientError, UnreachableError
from api.client.http import Connection, LedgerClient
from api.worker.agent import Agent, Identity, Lease
from api.worker.job import Job, ended
from api.worker.options import Report, WorkerOptions

T = TypeVar("T")

# The session holds a run from an earlier life, or asks too often: both end by themselves.
PASSING = frozenset({408, 409, 429})
# Between two answers "nothing", should the server not hold a waiting claim open.
LEAST_PAUSE = 0.05


class Worker:
    """Does runs, several at the same time, until it is stopped or has begun `max_runs` runs."""

    def __init__(
        self,
        connection: Connection,
        identity: Identity,
        options: WorkerOptions,
        report: Report,
    ) -> None:
        self.runs = 0
        self._connection = connection
        self._identity = identity
        self._options = options
        self._report = report
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: ClientError | None = None
        self._jobs: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Give the leases back and end; asked a second time, do not wait for the commands."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped; raises ClientError when the server will not have this worker."""
        async with LedgerClient(self._identity.connection(self._connection)) as client:
            agent = Agent(self._identity, client)
            try:
                while (room := await self._room()) and (leases := await self._next(agent, room)):
                    self._begin(leases)
            except ClientError as error:
                self._fail(error)
            await asyncio.gather(*self._jobs)
            if not self._options.keep_sessions:
                await agent.sign_off()
        if self._failure:
            raise self._failure

    async def _room(self) -> int:
        """Return how many runs may be begun now, once there is room; 0 for no more at all."""
        most = self._options.concurrency
        while len(self._jobs) == most and not self._stopping.is_set():
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({*self._jobs, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await ended(stopping)
        if not self._options.max_runs:
            return most - len(self._jobs)
        return min(self._options.max_runs - self.runs, most - len(self._jobs))

    def _begin(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            self.runs += 1
            job = asyncio.create_task(self._do(lease))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _do(self, lease: Lease) -> None:
        try:
            await self._job(lease).run()
        except ClientError as error:
            self._fail(error)

    def _fail(self, error: ClientError) -> None:
        self._failure = self._failure or error
        self.stop()

    def _job(self, lease: Lease) -> Job:
        return Job(lease, self._options, self._report, self._stopping, self._hurry)

    async def _next(self, agent: Agent, most: int) -> list[Lease]:
        """Return the next leases; none when stopped, or when nothing is there and none awaited."""
        waits = delays()
        said = ""
        while not self._stopping.is_set():
            try:
                leases = await self._unless_stopped(self._claim(agent, most)) or []
                pause, said, waits = max(self._options.poll_seconds, LEAST_PAUSE), "", delays()
            except ClientError as error:
                if not (self._options.wait and passing(error)):
                    raise
                leases, pause = [], next(waits)
                if said != (said := str(error)):
                    self._report("waiting", {"session_id": agent.session_id, "reason": said})
            if leases or not self._options.wait:
                return leases
            await self._unless_stopped(asyncio.sleep(pause))
        return []

    def _claim(self, agent: Agent, most: int) -> Coroutine[Any, Any, list[Lease]]:
        asked: dict[str, Any] = {
            "wait": self._options.wait and not self._options.poll_seconds,
            "lease_seconds": self._options.lease_seconds,
            "priority_min": self._options.priority_min,
        }
        if self._options.concurrency == 1:
            return agent.claim(**asked)
        return agent.claim_several(most, **asked)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what the work returns; None when the worker is stopped before that."""
        task = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            await ended(task)
            await ended(stopping)


def passing(error: ClientError) -> bool:
    """Return whether waiting may help."""
    if isinstance(error, ApiError):
        return not error.refused or error.status in PASSING
    return isinstance(error, UnreachableError)
