"""Rest after waiting in vain, so that whoever waits does other things half of the time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from replay.errors import ForeignDatabaseError, is_busy, is_unavailable

_SHORT_SECONDS: Final = 0.1
"""So long nobody minds, and whoever asks again at once may have luck."""
_IN_VAIN: Final = "the database was waited for in vain a moment ago"


class Rest:
    """Spares an event loop from waiting over and over for a database that is of no use now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._clock = clock
        self._over_at = clock()
        self._for_a_lock = False

    @property
    def from_a_lock(self) -> bool:
        """Whether there is rest from waiting for a lock: what needs another one can be done."""
        return self._for_a_lock and self._clock() < self._over_at

    @contextmanager
    def after_waiting(self, *, hasty: bool = False) -> Iterator[None]:
        """Wait for the database in the block; after that was in vain nobody does for as long.

        Raises ForeignDatabaseError while there is rest, but for a `hasty` block, which waits for no
        lock, while there is rest from one.
        """
        began = self._clock()
        if began < self._over_at and not (hasty and self._for_a_lock):
            raise ForeignDatabaseError(_IN_VAIN, unavailable=True)
        try:
            yield
        except Exception as error:
            if is_unavailable(error):
                busy = is_busy(error) or is_busy(error.__cause__ or error)
                if hasty and busy:
                    raise ForeignDatabaseError(_IN_VAIN, unavailable=True) from error
                self._begin(self._clock() - began, for_a_lock=busy)
            raise

    def _begin(self, waited: float, *, for_a_lock: bool) -> None:
        if waited > _SHORT_SECONDS:
            self._over_at = self._clock() + waited
            self._for_a_lock = for_a_lock
