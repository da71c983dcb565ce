"""One of several server processes on an address; `api.workers` starts it."""

import os
import signal
import threading
import time
from typing import Final

from api.server import run
from api.settings import from_env

_LOOK_SECONDS: Final = 0.5


def _end_with(parent: int) -> None:
    """Stop in order when the parent is gone, in whatever way it went."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    run(from_env(os.environ))
