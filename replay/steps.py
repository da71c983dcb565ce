"""Work on a store that goes on in steps, so that an event loop is free while the store works.

The same steps can be taken by whoever has no event loop, waiting in between.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Waiting(Protocol):
    """What the next step has to wait for."""

    def wait(self) -> None:
        """Block until the next step can be taken; `call` is then without effect."""

    def call(self, go_on: Callable[[], None]) -> None:
        """Have the running event loop call `go_on` once the next step can be taken."""


Steps: TypeAlias = Generator[Waiting, None, T]


def taken(steps: Steps[T]) -> T:
    """Take all steps, blocking in between, and return what they come to."""
    while True:
        try:
            waiting = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        waiting.wait()


class InThread(Generic[T]):
    """Work that a thread does."""

    def __init__(self, threads: Executor, work: Callable[..., T], *given: Any) -> None:
        """Start `work(*given)`."""
        self._future = threads.submit(work, *given)

    def result(self) -> T:
        """Return what the work came to, or raise what it raised."""
        return self._future.result()

    def wait(self) -> None:
        """Block until it is done."""
        self._future.exception()

    def call(self, go_on: Callable[[], None]) -> None:
        """Have the running event loop call `go_on` when it is done."""
        loop = asyncio.get_running_loop()
        self._future.add_done_callback(lambda _: loop.call_soon_threadsafe(go_on))


class Course:
    """Work whose steps an event loop takes as they can be taken, one piece at a time."""

    def __init__(self, ended: Callable[[], None], took: Callable[[float], None]) -> None:
        """Call `ended` after each piece, and `took` with the seconds of each step."""
        self._ended = ended
        self._took = took
        self._steps: Steps[None] | None = None
        self._waiting: Waiting | None = None

    @property
    def taken(self) -> bool:
        """Whether there is a piece of work that has not ended."""
        return self._steps is not None

    def take(self, steps: Steps[None]) -> None:
        """Take the first step of a piece of work, and the running event loop the others."""
        self._steps = steps
        self._go_on()

    def _go_on(self) -> None:
        try:
            self._step()
        finally:
            if self._waiting is None:
                self._ended()
            else:
                self._waiting.call(partial(self._resume, self._waiting))

    def _resume(self, waiting: Waiting) -> None:
        if self._waiting is waiting:
            self._go_on()

    def _step(self) -> None:
        assert self._steps is not None
        started = time.perf_counter()
        self._waiting = None
        try:
            self._waiting = next(self._steps, None)
        finally:
            if self._waiting is None:
                self._steps = None
            self._took(time.perf_counter() - started)

    def end(self) -> None:
        """Take all steps that are left, blocking in between."""
        waiting = self._waiting
        while waiting is not None:
            waiting.wait()
            self._step()
            waiting = self._waiting
            if waiting is None:
                self._ended()
