"""Processes that a test holds back."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_WAIT: Final = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.execv(sys.argv[2], sys.argv[2:])
"""


def held_back(command: Sequence[str], go: Path) -> tuple[str, ...]:
    """Return a command that waits until a file is there, and then becomes the given command."""
    return (sys.executable, "-c", _WAIT, str(go), *command)
