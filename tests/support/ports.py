"""Ports for servers that are started later than their port is chosen.

What the system gives for port 0 it may give again to whoever asks before the server listens, and
to any connection that is made meanwhile. So these ports lie below those that it hands out.
"""

import os
import secrets
import socket
from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Final

# Browsers refuse a few ports, of which 10080 is the last.
_FIRST: Final = 11_000
# Each process of pytest-xdist has one to itself; whoever runs without it has the first.
_SLICES: Final = 17
_HANDED_OUT: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Where no system that is left as it was has begun to hand out ports.
_USUAL_END: Final = 32_768


def free_port() -> int:
    """Return a TCP port that nobody listens on, and that no other process of the tests is given.

    Raises OSError when there is none.
    """
    first, width = _slice()
    for place in islice(_places(), width):
        port = first + place % width
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    message = f"none of the ports from {first} to {first + width - 1} is free"
    raise OSError(message)


@cache
def _places() -> Iterator[int]:
    """Return the places in the slice: two runs of the tests at once begin far from each other."""
    return count(secrets.randbelow(_slice()[1]))


@cache
def _slice() -> tuple[int, int]:
    """Return the first port of this process, and how many it has."""
    width = (_end() - _FIRST) // _SLICES
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    number = 1 + int(worker) % (_SLICES - 1) if worker.isdigit() else 0
    return _FIRST + number * width, width


def _end() -> int:
    """Return the first port that the system hands out, or the usual one if that is too low."""
    try:
        end = int(_HANDED_OUT.read_text().split()[0])
    except FileNotFoundError:
        return _USUAL_END
    return end if end > 2 * _FIRST else _USUAL_END
