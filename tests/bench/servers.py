"""The servers that cases measure: the product with a few routes more, and bare ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.embedded import place_of
from tests.support.ports import free_port
from tests.support.server import Server, running, spawn

NOTHING_PATH: Final = "/bench/nothing"
TIMES_PATH: Final = "/bench/times"
BROADCAST_PATH: Final = "/bench/broadcast"
STREAM_PATH: Final = "/bench/stream"


def product_command(store: Path | str, port: int) -> list[str]:
    """Return the arguments that start the product on a store."""
    return ["-m", "tests.bench.serve", place_of(store), str(port)]


@contextmanager
def product(store: Path | str, folder: Path) -> Iterator[Server]:
    """Give the product, running on a store of its own; its log is in `folder`."""
    port = free_port()
    command = product_command(store, port)
    with running(command, port=port, log=folder / "product.log") as server:
        yield server


def spawn_product(store: Path, folder: Path) -> Server:
    """Start the product and do not wait for it."""
    port = free_port()
    return spawn(product_command(store, port), port=port, log=folder / "product.log")


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """Give the bare broadcaster."""
    port = free_port()
    command = ["-m", "tests.bench.broadcaster", str(port)]
    with running(command, port=port, log=folder / "bare.log", ready_path=TIMES_PATH) as server:
        yield server
