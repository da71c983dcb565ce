"""What the store, and other processes, can do to a committer."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from replay.batch import Commit
from replay.connections import LedgerConnectionPool, Writer
from replay.errors import StoreUnavailableError, is_unavailable
from replay.ledger import Ledger
from replay.read_models import position_of
from replay.store import Row, SqlReader
from tests.replay.support import (
    POISON,
    Repeat,
    committer_of,
    context,
    opened,
    register,
    together,
)

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with opened(path, SQLITE_LOCK_TIMEOUT="1") as ledger:
        yield ledger


def streams(ledger: Ledger) -> list[str]:
    return [event.originator_id.partition(":")[2] for event in ledger.read(0, 10_000)]


# The disk.


async def test_a_full_disk_fails_the_batch_and_the_next_one_tries_afresh(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    await committer.submit(register("before"), context())
    pages = ledger.reader.select("PRAGMA page_count")[0][0]
    ledger.writer.connection.execute(f"PRAGMA max_page_count={pages + 2}")
    large = "x" * 20_000
    failed = await together(committer, *(register(f"w{n}", f"{n}{large}") for n in range(3)))

    assert [type(outcome) for outcome in failed] == [StoreUnavailableError] * 3
    assert "full" in str(failed[0])
    assert streams(ledger) == ["before"]
    # The connection was opened anew, and with it went the limit on pages.
    outcome = await committer.submit(register("w1", large), context())
    assert outcome.head == 2


async def test_a_store_that_became_read_only_is_not_available(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    ledger.writer.connection.execute("PRAGMA query_only=ON")

    with pytest.raises(StoreUnavailableError, match="readonly"):
        await committer.submit(register("w1"), context())
    assert (await committer.submit(register("w1"), context())).head == 1


class LosingConnection(sqlite3.Connection):
    """A connection whose COMMIT reports an I/O error, sometimes although it was done."""

    faults: list[bool] = []  # noqa: RUF012 - one list for all connections of a test

    def commit(self) -> None:
        done = self.faults.pop() if self.faults else None
        if done is not False:
            super().commit()
        if done is not None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error


class LosingPool(LedgerConnectionPool):
    def connect(self, *, cache_kib: int = 4096, timeout: float = -1) -> sqlite3.Connection:
        return sqlite3.connect(
            self.db_name, isolation_level=None, check_same_thread=False, factory=LosingConnection
        )


class Unreadable(SqlReader):
    """Reads on a connection that is gone."""

    def __init__(self) -> None:
        pass

    def select(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        raise StoreUnavailableError(statement)


@pytest.fixture
def losing(ledger: Ledger) -> Iterator[list[bool]]:
    ledger.writer = Writer(LosingPool(db_name=ledger.access.place))
    LosingConnection.faults.clear()
    yield LosingConnection.faults
    ledger.writer.reset()


@pytest.mark.parametrize("slow_commit_ms", [1000, -1], ids=["on the loop", "in a thread"])
async def test_a_commit_that_was_done_after_all_is_a_success(
    ledger: Ledger, losing: list[bool], slow_commit_ms: float
) -> None:
    commits: list[Commit] = []
    committer = committer_of(ledger, slow_commit_ms=slow_commit_ms, on_commit=[commits.append])
    await committer.submit(register("w0"), context())
    losing.append(True)
    outcomes = await together(committer, register("w1"), register("w2"))

    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert [commit.head for commit in commits] == [1, 3]
    assert (await committer.submit(register("w1"), context())).head == 4
    assert streams(ledger) == ["w0", "w1", "w2", "w1"]
    await committer.close()


@pytest.mark.parametrize("slow_commit_ms", [1000, -1], ids=["on the loop", "in a thread"])
async def test_a_commit_that_was_not_done_fails_its_batch_alone(
    ledger: Ledger, losing: list[bool], slow_commit_ms: float
) -> None:
    committer = committer_of(ledger, slow_commit_ms=slow_commit_ms)
    await committer.submit(register("w0"), context())
    losing.append(False)
    outcomes = await together(committer, register("w0"), register("w2"))

    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 2
    assert (await committer.submit(register("w0"), context())).head == 2
    assert [event.originator_version for event in ledger.read(0, 10)] == [1, 2]
    await committer.close()


async def test_a_commit_that_nobody_can_look_up_fails_and_is_found_later(
    ledger: Ledger, losing: list[bool]
) -> None:
    commits: list[Commit] = []
    committer = committer_of(ledger, on_commit=[commits.append])
    await committer.submit(register("w0"), context())
    reader, ledger.events.reader = ledger.events.reader, Unreadable()
    losing.append(True)
    with pytest.raises(StoreUnavailableError):
        await committer.submit(register("w0", "again"), context())
    ledger.events.reader = reader
    outcome = await committer.submit(register("w2"), context())

    assert outcome.head == 3
    assert streams(ledger) == ["w0", "w0", "w2"]
    assert [row[0] for commit in commits for row in commit.rows["timeline"]] == [1, 2, 3]


async def test_a_rollback_forgets_what_its_commands_had_changed(ledger: Ledger) -> None:
    committer = committer_of(ledger)
    await committer.submit(Repeat(workspace_id="w1", times=2), context())
    ledger.writer.connection.execute("PRAGMA query_only=ON")
    await together(committer, Repeat(workspace_id="w1", times=3), register("bad", POISON))
    await committer.submit(Repeat(workspace_id="w1", times=1), context())

    assert [event.originator_version for event in ledger.read(0, 10)] == [1, 2, 3]


# Other processes.

FOREIGN = """
import sys
from pathlib import Path
from tests.replay.support import committer_of, context, opened, register
with opened(Path(sys.argv[1])) as ledger:
    committer = committer_of(ledger)
    for number in range(int(sys.argv[2])):
        committer.execute(register("shared", f"foreign {number}"), context())
"""


def write_elsewhere(path: Path, times: int) -> None:
    command = [sys.executable, "-c", FOREIGN, str(path), str(times)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)


async def test_a_commit_of_another_process_is_built_upon(ledger: Ledger, path: Path) -> None:
    commits: list[Commit] = []
    committer = committer_of(ledger, on_commit=[commits.append])
    await committer.submit(register("shared", "own"), context())
    write_elsewhere(path, 3)
    outcome = await committer.submit(register("shared", "own again"), context())

    assert outcome.head == 5
    assert [event.originator_version for event in ledger.read(0, 10)] == [1, 2, 3, 4, 5]
    assert [row[0] for commit in commits for row in commit.rows["timeline"]] == [1, 2, 3, 4, 5]
    assert [commit.previous for commit in commits] == [0, 1, 4]


async def test_polling_passes_commits_of_other_processes_on(ledger: Ledger, path: Path) -> None:
    commits: list[Commit] = []
    committer = committer_of(ledger, on_commit=[commits.append])
    await committer.submit(register("shared", "own"), context())
    committer.poll()
    write_elsewhere(path, 2)
    committer.poll()
    committer.poll()

    assert [(commit.previous, commit.head) for commit in commits] == [(0, 1), (1, 3)]
    assert [row[0] for row in commits[1].rows["timeline"]] == [2, 3]
    assert ledger.head == 3


async def test_many_missed_commits_are_announced_by_number_alone(path: Path) -> None:
    commits: list[Commit] = []
    with opened(path) as ledger, opened(path) as other:
        committer = committer_of(ledger, on_commit=[commits.append])
        elsewhere = committer_of(other)
        for _ in range(2):
            elsewhere.execute(Repeat(workspace_id="w1", times=3000), context())
        committer.poll()
        elsewhere.execute(Repeat(workspace_id="w1", times=1200), context())
        committer.poll()

    assert [(commit.previous, commit.head) for commit in commits] == [
        (6000, 6000),
        (6000, 6500),
        (6500, 7000),
        (7000, 7200),
    ]


async def test_a_lock_of_another_process_is_waited_for_without_blocking_the_loop(
    path: Path,
) -> None:
    # Whoever blocked the loop would do so for as long as a lock is waited for.
    with (
        opened(path, SQLITE_LOCK_TIMEOUT="30") as ledger,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        committer = committer_of(ledger)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.gather(*(committer.submit(register(f"w{n}"), context()) for n in "abc"))
        for _ in range(10):
            await asyncio.sleep(0.005)
        assert not waiting.done()
        other.execute("ROLLBACK")
        outcomes = await waiting

    assert [outcome.head for outcome in outcomes] == [1, 2, 3]
    assert committer.metrics.longest_stall_ms < 10_000


async def test_a_lock_that_is_never_given_back_is_reported_in_time(
    ledger: Ledger, path: Path
) -> None:
    committer = committer_of(ledger)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="locked"):
            await committer.submit(register("w1"), context())
        assert 0.9 < time.monotonic() - started < 20
        with pytest.raises(StoreUnavailableError, match="locked"):
            committer.execute(register("w1"), context())
        with pytest.raises(StoreUnavailableError, match="locked"):
            committer_of(ledger)
        with pytest.raises(OperationalError, match="locked") as refused:
            ledger.save()
        assert is_unavailable(refused.value)
    assert (await committer.submit(register("w1"), context())).head == 1


async def test_two_processes_writing_at_once_share_one_order(path: Path) -> None:
    with opened(path) as ledger:
        committer = committer_of(ledger)
        command = [sys.executable, "-c", FOREIGN, str(path), "150"]
        with subprocess.Popen(command, cwd=ROOT) as other:
            own = 0
            while other.poll() is None:
                await committer.submit(register("shared", f"own {own}"), context())
                own += 1
                await asyncio.sleep(0.001)
        committer.poll()
        events = ledger.read(0, 1_000_000)

    assert other.returncode == 0
    assert len(events) == own + 150
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.originator_version for event in events] == list(range(1, len(events) + 1))
    times = [event.recorded_at for event in events]
    assert times == sorted(times)


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.replay.support import committer_of, context, opened, register

async def submit(committer, caller):
    number = 0
    while True:
        await committer.submit(register(f"{caller}-{number}"), context())
        sys.stdout.write(f"{caller}-{number}\\n")
        sys.stdout.flush()
        number += 1

async def main(ledger):
    committer = committer_of(ledger)
    await asyncio.gather(*(submit(committer, caller) for caller in range(8)))

with opened(Path(sys.argv[1])) as ledger:
    asyncio.run(main(ledger))
"""


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = {process.stdout.readline().strip() for _ in range(500)}
        process.kill()
        acknowledged |= {line.strip() for line in process.stdout if line.endswith("\n")}
    with opened(path) as ledger:
        found = streams(ledger)
        positions = [position_of(ledger.writer.connection, name) for name in ("names", "frames")]
        rows = ledger.reader.select("SELECT count(*) FROM names")[0][0]

    assert acknowledged <= set(found)
    assert positions == [len(found)] * 2
    assert rows == len(found)
