"""A loop that holds the start of a process."""

import asyncio
from typing import Any, Final

# More than anything takes that waits for nothing but its turn.
_ROUNDS: Final = 50


class HeldLoop(asyncio.SelectorEventLoop):
    """A loop on which processes begin, but whoever starts one is told of it only by `go_on`."""

    def __init__(self) -> None:
        super().__init__()
        self._free = asyncio.Event()

    async def subprocess_exec(self, *arguments: Any, **options: Any) -> Any:
        """Start a process and return what belongs to it when the loop may go on."""
        started = await super().subprocess_exec(*arguments, **options)
        await self._free.wait()
        return started

    async def go_on(self) -> None:
        """Hold nothing any more, once all is done that does not wait for what is held."""
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        self._free.set()
