"""Opening a ledger, reading it, and what its file looks like."""

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from eventsourcing.cryptography import AESCipher
from eventsourcing.persistence import IntegrityError

from domain.events import TokenRevoked
from domain.recorded import OPS_STREAM
from domain.registry import WorkspaceState
from replay.connections import Checkpointer, SQLiteAccess
from replay.errors import StoreOpenError, StoreUnavailableError
from replay.ledger import Ledger
from replay.migrations import MIGRATIONS, latest
from tests.replay.golden_lines import recorded
from tests.replay.support import Repeat, committer_of, context, opened, register


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def fill(ledger: Ledger, count: int) -> None:
    committer = committer_of(ledger)
    for number in range(count):
        committer.execute(register(f"w{number % 3}", f"name {number}"), context())


def test_the_folder_of_the_file_is_made(tmp_path: Path) -> None:
    with opened(tmp_path / "a" / "b" / "ledger.db") as ledger:
        assert ledger.head == 0
    assert (tmp_path / "a" / "b" / "ledger.db").exists()


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreOpenError, match="is a directory"), opened(tmp_path):
        pass


def test_a_path_below_a_file_is_no_store(path: Path) -> None:
    path.write_text("a file")
    with pytest.raises(StoreOpenError, match="cannot be a database file"), opened(path / "x.db"):
        pass


@pytest.mark.parametrize("content", [b"hello, this is text" * 100, os.urandom(5000)])
def test_another_file_is_no_store_and_stays_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreOpenError) as found, opened(path):
        pass

    assert "\n" not in str(found.value)
    assert path.read_bytes() == content


def test_a_missing_name_is_an_error_of_the_environment() -> None:
    with pytest.raises(OSError, match="SQLITE_DBNAME"):
        Ledger()


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    with opened(path) as ledger:
        fill(ledger, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value=value+1 WHERE key='schema_version'")
    found = f"schema version {latest(MIGRATIONS) + 1}; this release knows {latest(MIGRATIONS)}"
    with pytest.raises(StoreOpenError, match=found), opened(path):
        pass


def test_a_wrong_key_is_told_at_once(path: Path) -> None:
    keys = [AESCipher.create_key(16) for _ in range(2)]
    with opened(path, CIPHER_KEY=keys[0]) as ledger:
        fill(ledger, 1)
    with (
        pytest.raises(StoreOpenError, match="cannot be read with these settings"),
        opened(path, CIPHER_KEY=keys[1]),
    ):
        pass


@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({"CIPHER_KEY": "short"}, "CIPHER_KEY"),
        ({"CIPHER_KEY": "c2hvcnQ="}, "CIPHER_KEY"),
        ({"CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher"}, "CIPHER_KEY"),
        ({"CIPHER_TOPIC": "no.such:Cipher", "CIPHER_KEY": "short"}, "CIPHER_TOPIC.*no.such"),
        ({"COMPRESSOR_TOPIC": "none"}, "COMPRESSOR_TOPIC.*none"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_one_line(
    path: Path, env: dict[str, str], found: str
) -> None:
    with pytest.raises(StoreOpenError, match=found) as refused, opened(path, **env):
        pass
    assert "\n" not in str(refused.value)
    assert not path.exists()


def test_streams_are_read_through_the_pool_as_well(path: Path) -> None:
    with opened(path) as ledger:
        fill(ledger, 5)
        directly = list(ledger.events.get("workspace:w1", gt=0, lte=9, desc=True, limit=2))
        ledger.events.reader = None

        assert list(ledger.events.get("workspace:w1", desc=True, limit=2)) == directly
        assert [event.originator_version for event in directly] == [2, 1]


def test_the_names_of_the_library_configure_the_ledger(path: Path) -> None:
    with Ledger({"LEDGER_SQLITE_DBNAME": str(path)}) as ledger:
        fill(ledger, 1)
    with pytest.raises(StoreOpenError, match="MAPPER_TOPIC"):
        Ledger({"SQLITE_DBNAME": str(path), "MAPPER_TOPIC": "eventsourcing.persistence:Mapper"})


def test_closing_twice_is_no_error(path: Path) -> None:
    with opened(path) as ledger:
        ledger.close()
    with pytest.raises(sqlite3.ProgrammingError):
        ledger.read(0, 1)


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
def test_the_log_is_read_in_pages(path: Path, page: int) -> None:
    with opened(path) as ledger:
        fill(ledger, 20)
        found: list[int] = []
        while events := ledger.read(found[-1] if found else 0, page, upto=18):
            assert len(events) <= page
            found.extend(event.sequence for event in events)

    assert found == list(range(1, 19))


def test_a_state_is_folded_from_its_stream(path: Path) -> None:
    with opened(path) as ledger:
        fill(ledger, 20)
        cached = ledger.state("workspace:w1")
    with opened(path) as ledger:
        folded = ledger.state("workspace:w1")
        assert ledger.state("workspace:w1") is folded
        assert ledger.state("workspace:unknown") is None

    assert isinstance(folded, WorkspaceState)
    assert (folded, folded.name, folded.version) == (cached, "name 19", 7)


def test_a_snapshot_stays_as_it_is_while_the_ledger_goes_on(path: Path) -> None:
    count = "SELECT count(*) FROM stored_events"
    with opened(path) as ledger:
        fill(ledger, 3)
        with ledger.snapshot() as outer, ledger.snapshot() as other:
            assert outer.select(count) == [(3,)]
            fill(ledger, 2)
            assert (outer.select(count), other.select(count)) == ([(3,)], [(5,)])
            assert ledger.reader.select(count) == [(5,)]
        with ledger.snapshot() as later:
            assert later.select(count) == [(5,)]


def test_readers_cannot_write(path: Path) -> None:
    with opened(path) as ledger, ledger.snapshot() as snapshot:
        for reader in (ledger.reader, snapshot):
            with pytest.raises(StoreUnavailableError, match="readonly"):
                reader.select("DELETE FROM stored_events RETURNING 1")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            snapshot.select("SELECT 1 FROM absent")


def test_commits_of_others_are_noticed(path: Path) -> None:
    with opened(path) as ledger, opened(path) as other:
        fill(ledger, 1)
        before = ledger.state("workspace:w0")
        fill(other, 4)

        assert ledger.refresh()
        assert not ledger.refresh()
        assert (ledger.head, ledger.recorded_at) == (other.head, other.recorded_at)
        assert ledger.state("workspace:w0") == other.state("workspace:w0") != before


def test_events_can_be_saved_through_the_library(path: Path) -> None:
    event = recorded(TokenRevoked(token_id="tok-1"), full=False)
    with opened(path) as ledger:
        saved = ledger.save(event)
        assert [recording.notification.id for recording in saved] == [1]
        assert ledger.head == 1
        assert ledger.read(0, 10)[0].fact == event.fact
        section = ledger.notification_log.select(1, 5000)
        assert [notification.topic for notification in section] == ["ops.token_revoked"]
        with pytest.raises(IntegrityError):
            ledger.save(event)
        assert ledger.state(OPS_STREAM) is None


@pytest.mark.parametrize(
    "env",
    [
        {"CIPHER_KEY": AESCipher.create_key(32)},
        {
            "CIPHER_TOPIC": "eventsourcing.cryptography:AESCipher",
            "CIPHER_KEY": AESCipher.create_key(16),
            "COMPRESSOR_TOPIC": "eventsourcing.compressor:ZlibCompressor",
        },
        {"COMPRESSOR_TOPIC": "zlib"},
    ],
    ids=["cipher", "cipher and compressor", "compressor"],
)
def test_payloads_are_not_visible_in_the_file(path: Path, env: dict[str, str]) -> None:
    secret = "sesame" * 10
    event = recorded(TokenRevoked(token_id=secret), full=False)
    with opened(path, **env) as ledger:
        ledger.save(event)
    with opened(path, **env) as ledger:
        assert ledger.read(0, 1)[0].fact == event.fact
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())

    assert secret.encode() not in content
    assert b"ops.token_revoked" in content


def log_generation(path: Path) -> int:
    """Return how often the write-ahead log has started anew."""
    with Path(f"{path}-wal").open("rb") as log:
        return int.from_bytes(log.read(16)[12:], "big")


def test_the_write_ahead_log_starts_anew_while_nobody_writes(path: Path) -> None:
    with opened(path) as ledger:
        committer = committer_of(ledger)
        committer.execute(Repeat(workspace_id="w1", times=500), context())
        before = log_generation(path)
        deadline = time.monotonic() + 60
        while log_generation(path) == before and time.monotonic() < deadline:
            time.sleep(0.1)
            committer.execute(register("w1"), context())

        assert log_generation(path) > before


def test_the_write_ahead_log_starts_anew_under_a_writer_that_never_rests(path: Path) -> None:
    with opened(path) as ledger:
        access = ledger.access
        assert isinstance(access, SQLiteAccess)
        access.checkpointer.close()
        access.checkpointer = Checkpointer(access.pool, log_pages=1)
        committer = committer_of(ledger)
        committer.execute(register("w1"), context())
        before = log_generation(path)
        deadline = time.monotonic() + 60
        while log_generation(path) < before + 2 and time.monotonic() < deadline:
            committer.execute(Repeat(workspace_id="w1", times=20), context())
        access.checkpointer.close()

        assert log_generation(path) >= before + 2
