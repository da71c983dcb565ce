"""The worker's loop: every slot claims a run, has it done, and claims the next."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from api.client.backoff import delays
from api.client.errors import ApiError, ClientError, UnreachableError
from api.client.http import Connection, LedgerClient
from api.worker.agent import Agent, Identity, Lease
from api.worker.job import Job, ended
from api.worker.options import Report, WorkerOptions

# The session holds a run from an earlier life, or asks too often: both end by themselves.
PASSING = frozenset({408, 409, 429})
# Between two answers "nothing", should the server not hold a waiting claim open.
LEAST_PAUSE = 0.05


class Worker:
    """Runs one slot per identity until it is stopped or has begun `max_runs` runs."""

    def __init__(
        self,
        connection: Connection,
        identities: Sequence[Identity],
        options: WorkerOptions,
        report: Report,
    ) -> None:
        self.runs = 0
        self._connection = connection
        self._identities = identities
        self._options = options
        self._report = report
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: ClientError | None = None
        self._tickets = options.max_runs

    def stop(self) -> None:
        """Give the leases back and end; asked a second time, do not wait for the commands."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped; raises ClientError when the server will not have this worker."""
        await asyncio.gather(*(self._slot(identity) for identity in self._identities))
        if self._failure:
            raise self._failure

    async def _slot(self, identity: Identity) -> None:
        async with LedgerClient(identity.connection(self._connection)) as client:
            agent = Agent(identity, client)
            try:
                while self._take_ticket() and (lease := await self._next_lease(agent)):
                    self.runs += 1
                    await self._job(lease).run()
            except ClientError as error:
                self._failure = self._failure or error
                self.stop()
            if not self._options.keep_sessions:
                await agent.sign_off()

    def _job(self, lease: Lease) -> Job:
        return Job(lease, self._options, self._report, self._stopping, self._hurry)

    def _take_ticket(self) -> bool:
        """Return whether another run may be begun."""
        if not self._options.max_runs:
            return True
        self._tickets -= 1
        return self._tickets >= 0

    async def _next_lease(self, agent: Agent) -> Lease | None:
        """Return the next lease; None when stopped, or when nothing is there and none awaited."""
        waits = delays()
        said = ""
        while not self._stopping.is_set():
            try:
                lease = await self._unless_stopped(self._claim(agent))
                pause, said, waits = max(self._options.poll_seconds, LEAST_PAUSE), "", delays()
            except ClientError as error:
                if not (self._options.wait and passing(error)):
                    raise
                lease, pause = None, next(waits)
                if said != (said := str(error)):
                    self._report("waiting", {"session_id": agent.session_id, "reason": said})
            if lease or not self._options.wait:
                return lease
            await self._unless_stopped(asyncio.sleep(pause))
        return None

    def _claim(self, agent: Agent) -> Coroutine[Any, Any, Lease | None]:
        return agent.claim(
            wait=self._options.wait and not self._options.poll_seconds,
            lease_seconds=self._options.lease_seconds,
            priority_min=self._options.priority_min,
        )

    async def _unless_stopped(self, work: Coroutine[Any, Any, Lease | None]) -> Lease | None:
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
