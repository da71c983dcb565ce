"""One leased run: the command does it while heartbeats keep the lease, then it is reported."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from api.client.documents import JsonObject, at, text_at
from api.client.errors import ApiError
from api.worker.agent import Lease, LeaseLostError
from api.worker.command import Command, shell
from api.worker.options import Report, WorkerOptions
from api.worker.output import Outcome, ending_of, error_of, result_of

STOP_REASON = "worker stopped"
# A server that is away when the worker stops gets this long; then the lease runs out by itself.
RELEASE_SECONDS = 5.0


class CannotRunError(Exception):
    """The run has no command, or it could not be started."""


class Job:
    """Carries one lease from claim to report."""

    def __init__(
        self,
        lease: Lease,
        options: WorkerOptions,
        report: Report,
        stopping: asyncio.Event,
        hurry: asyncio.Event,
    ) -> None:
        self._lease = lease
        self._options = options
        self._report = report
        self._stopping = stopping
        self._hurry = hurry
        self._command: Command | None = None
        self._began = time.monotonic()

    async def run(self) -> None:
        """Do the run and report how it ended, unless the lease is lost or the worker stops.

        Raises ApiError when the server refuses what a worker needs.
        """
        self._say("claimed", attempt=at(self._lease.run, "attempt"))
        keeper = asyncio.create_task(self._keep())
        try:
            await self._race(keeper)
        except LeaseLostError as error:
            self._say("lost", reason=str(error))
        finally:
            await ended(keeper)

    async def _keep(self) -> None:
        """Renew the lease for ever; raises LeaseLostError when that fails."""
        while True:
            await asyncio.sleep(self._lease.interval)
            await self._lease.renew()

    async def _race(self, keeper: asyncio.Task[None]) -> None:
        work = asyncio.create_task(self._execute())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({work, keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await self._settle(work)
            elif keeper.done():
                keeper.result()
            else:
                await self._give_back(work)
        finally:
            if self._command:
                await self._command.stop(0)
            await ended(work)
            await ended(stopping)

    async def _execute(self) -> Outcome:
        task = await self._lease.task()
        own = {} if self._options.command else variables_of(task)
        try:
            self._command = await Command.start(
                arguments_of(task, self._options.command),
                stdin=msgspec.json.encode({**task, "run": self._lease.run}),
                environment={**self._options.environment, **own, **self._variables()},
            )
        except (OSError, ValueError) as error:
            raise CannotRunError(f"cannot start the command: {error}") from error
        if at(task, "metadata", "ona"):
            # Whoever started the execution waits to see that this step runs.
            await self._lease.start()
        return await self._command.finished()

    def _variables(self) -> dict[str, str]:
        run = self._lease.run
        return {
            "TASKLEDGER_TASK_ID": self._lease.task_id,
            "TASKLEDGER_RUN_ID": self._lease.run_id,
            "TASKLEDGER_ATTEMPT": text_at(run, "attempt"),
            "TASKLEDGER_SESSION": text_at(run, "session_id"),
        }

    async def _settle(self, work: asyncio.Task[Outcome]) -> None:
        """Report what came of the work."""
        try:
            outcome = work.result()
        except CannotRunError as error:
            await self._fail(str(error))
            return
        except ApiError:
            await self._release("the worker could not read the task")
            raise
        if outcome.exit_code == 0:
            await self._complete(outcome)
        else:
            ending = ending_of(outcome.exit_code)
            await self._fail(error_of(outcome), ending, {"exit_code": outcome.exit_code})

    async def _complete(self, outcome: Outcome) -> None:
        try:
            await self._lease.complete(result_of(outcome))
        except ApiError as error:
            await self._fail(f"the result was refused: {error.text}")
        else:
            self._say("completed")

    async def _fail(
        self, error: str, summary: str = "", metadata: JsonObject | None = None
    ) -> None:
        await self._lease.fail(error, metadata)
        self._say("failed", reason=summary or error)

    async def _give_back(self, work: asyncio.Task[Outcome]) -> None:
        """End the command, then release the lease, which is kept alive until then."""
        if not self._command:
            # It may be starting at this very moment.
            await ended(work)
        else:
            hurry = asyncio.create_task(self._hurry.wait())
            stop = asyncio.create_task(self._command.stop(self._options.grace_seconds))
            await asyncio.wait({hurry, stop}, return_when=asyncio.FIRST_COMPLETED)
            await self._command.stop(0)
            await ended(hurry)
            await stop
        await self._release(STOP_REASON)

    async def _release(self, reason: str) -> None:
        try:
            await asyncio.wait_for(self._lease.release(reason), RELEASE_SECONDS)
        except TimeoutError:
            self._say("kept", reason="the server is away; the lease runs out by itself")
        else:
            self._say("released", reason=reason)

    def _say(self, event: str, **members: Any) -> None:
        identity = {
            "task_id": self._lease.task_id,
            "run_id": self._lease.run_id,
            "session_id": text_at(self._lease.run, "session_id"),
        }
        took = {} if event == "claimed" else {"seconds": round(time.monotonic() - self._began, 3)}
        self._report(event, identity | members | took)


def arguments_of(task: JsonObject, command: str) -> Sequence[str]:
    """Return what to run for a task: the given shell line, else the task's own command.

    Raises CannotRunError when the task names no command, neither a text nor a list of texts.
    """
    own = command or at(task, "metadata", "command")
    if isinstance(own, str):
        return shell(own)
    if isinstance(own, list) and own and all(isinstance(word, str) for word in own):
        return own
    raise CannotRunError("the task has no metadata.command, neither a text nor a list of texts")


def variables_of(task: JsonObject) -> dict[str, str]:
    """Return the variables that a task wants its own command to have, those with a value."""
    wanted = at(task, "metadata", "env")
    named = wanted if isinstance(wanted, list) else ()
    found = ((text_at(each, "name"), at(each, "value")) for each in named)
    return {name: value for name, value in found if name and isinstance(value, str)}


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
