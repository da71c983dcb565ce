"""A command in a process group of its own, so that it ends with everything it started."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Self

from api.worker.output import Outcome, Tail

# Once the command itself has ended, what it left behind may finish writing for this long.
LEFTOVER_SECONDS = 1.0
STDIN, STDOUT = 0, 1
SHELL = "/bin/sh"

# The worker holds the other end of a pipe. When the worker is gone, even by SIGKILL, the pipe ends
# and this watcher takes the whole group down: nobody would renew the lease of what still runs.
# The watcher is a grandchild, so that the command does not find a child it never started.
GUARD = """
( { trap '' TERM INT HUP; read -r _; kill -KILL 0; } <"/dev/fd/$1" >/dev/null 2>&1 & )
shift
exec "$@"
"""


def shell(command: str) -> Sequence[str]:
    """Return the argument list that runs a line through the shell."""
    return (SHELL, "-c", command)


class Printed(asyncio.SubprocessProtocol):
    """Keeps the ends of both outputs, and knows when the command and its outputs have ended."""

    def __init__(self) -> None:
        self.stdout = Tail()
        self.stderr = Tail()
        self.exited = asyncio.Event()
        self.closed = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep a piece of output."""
        (self.stdout if fd == STDOUT else self.stderr).add(data)

    def process_exited(self) -> None:
        """Note that the command itself has ended; what it started may still write."""
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nobody writes any more."""
        self.closed.set()


class Command:
    """A running command; make one with `start`."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, printed: Printed, guard: int
    ) -> None:
        self._transport = transport
        self._printed = printed
        self._guard = guard
        self._over = False

    @classmethod
    async def start(
        cls, arguments: Sequence[str], *, stdin: bytes, environment: Mapping[str, str]
    ) -> Self:
        """Start the command with these bytes on its standard input; raises OSError.

        Called off meanwhile, it ends what was started before it raises CancelledError.
        """
        spawning = asyncio.create_task(cls._spawn(arguments, environment))
        try:
            command = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            command = await spawning
            await command.stop(0)
            command._end()
            raise
        command._feed(stdin)
        return command

    @classmethod
    async def _spawn(cls, arguments: Sequence[str], environment: Mapping[str, str]) -> Self:
        watched, guard = os.pipe()
        try:
            transport, printed = await asyncio.get_running_loop().subprocess_exec(
                Printed,
                *(SHELL, "-c", GUARD, SHELL, str(watched), *arguments),
                env=environment,
                start_new_session=True,
                pass_fds=(watched,),
            )
        except BaseException:
            os.close(guard)
            raise
        finally:
            os.close(watched)
        return cls(transport, printed, guard)

    async def finished(self) -> Outcome:
        """Wait for the end and return how it ended; nothing of the group is left then."""
        try:
            await self._printed.exited.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._printed.closed.wait(), LEFTOVER_SECONDS)
        finally:
            self._end()
        return Outcome(
            exit_code=self._transport.get_returncode() or 0,
            stdout=self._printed.stdout.text(),
            stdout_cut=self._printed.stdout.cut,
            stderr=self._printed.stderr.text(),
        )

    async def stop(self, grace: float) -> None:
        """Ask the group to end, and after `grace` seconds end it."""
        if grace > 0:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._printed.exited.wait(), grace)
        self._signal(signal.SIGKILL)
        await self._printed.exited.wait()

    def _feed(self, text: bytes) -> None:
        """Hand over the input in the background; a command that does not read it is no error."""
        pipe = self._transport.get_pipe_transport(STDIN)
        assert isinstance(pipe, asyncio.WriteTransport)
        pipe.write(text)
        pipe.close()

    def _end(self) -> None:
        """Take down what the command left behind, and dismiss the watcher."""
        if not self._over:
            self._signal(signal.SIGKILL)
            self._over = True
            self._transport.close()
            os.close(self._guard)

    def _signal(self, number: signal.Signals) -> None:
        # Once everything is gone, the number of the group may belong to somebody else.
        if not self._over:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), number)
