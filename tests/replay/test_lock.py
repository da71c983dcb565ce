import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from replay.errors import StoreInUseError
from replay.lock import Holder, StoreLock, live_server

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from replay.lock import StoreLock
lock = StoreLock(sys.argv[1])
lock.announce("http://127.0.0.1:4000")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


def test_a_store_that_nobody_serves_has_no_server(store: str) -> None:
    assert live_server(store) is None


def test_the_url_of_a_live_server_is_found(store: str) -> None:
    lock = StoreLock(store)
    assert live_server(store) == Holder(os.getpid())
    lock.announce("http://127.0.0.1:4000")
    assert live_server(store) == Holder(os.getpid(), "http://127.0.0.1:4000")
    lock.release()


def test_a_released_lock_can_be_taken_again(store: str) -> None:
    first = StoreLock(store)
    first.release()
    first.release()
    assert live_server(store) is None
    second = StoreLock(store)

    assert live_server(store) == Holder(os.getpid())
    second.release()


def test_a_second_server_is_told_who_has_the_store(store: str) -> None:
    lock = StoreLock(store)
    lock.announce("http://127.0.0.1:4000")

    with pytest.raises(StoreInUseError, match=r"process id \d+ at http://127.0.0.1:4000") as found:
        StoreLock(store)
    assert (found.value.pid, found.value.url) == (os.getpid(), "http://127.0.0.1:4000")
    lock.release()


def test_a_holder_that_has_not_said_anything_is_still_in_the_way(store: str) -> None:
    lock = StoreLock(store)
    Path(f"{store}.lock").write_bytes(b"")

    assert live_server(store) == Holder(0)
    with pytest.raises(StoreInUseError):
        StoreLock(store)
    lock.release()


def test_a_killed_server_leaves_no_lock_behind(store: str) -> None:
    command = [sys.executable, "-c", HOLD, store]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert live_server(store) == Holder(process.pid, "http://127.0.0.1:4000")
        with pytest.raises(StoreInUseError, match=str(process.pid)):
            StoreLock(store)
        process.kill()

    assert live_server(store) is None
    StoreLock(store).release()


def test_those_who_only_look_never_keep_a_server_from_starting(store: str) -> None:
    StoreLock(store).release()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            live_server(store)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        StoreLock(store).release()
    stop.set()
    for looker in lookers:
        looker.join()
