"""Rest after waiting in vain, so that whoever waits does other things half of the time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from replay.errors import ForeignDatabaseError, is_unavailable

_SHORT_SECONDS: Final = 0.1
"""So long nobody minds, and whoever asks again at once may have luck."""


class Rest:
    """Spares an event loop from waiting over and over for a database that is of no use now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._over_at = clock()

    @contextmanager
    def after_waiting(self) -> Iterator[None]:
        """Wait for the database in the block; after that was in vain nobody does for as long.

        Raises ForeignDatabaseError while there is rest.
        """
        began = self._clock()
        if began < self._over_at:
            message = "the database was waited for in vain a moment ago"
            raise ForeignDatabaseError(message, unavailable=True)
        try:
            yield
        except Exception as error:
            if is_unavailable(error):
                self._begin(self._clock() - began)
            raise

    def _begin(self, waited: float) -> None:
        if waited > _SHORT_SECONDS:
            self._over_at = self._clock() + waited
