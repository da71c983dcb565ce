"""What is PostgreSQL's own: who may open it, in which order writers follow, how a session heals."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import psycopg
import pytest
from eventsourcing.persistence import Notification, StoredEvent

from replay.errors import ForeignDatabaseError, StoreOpenError
from replay.ledger import Ledger
from replay.places import environment_of, without_password
from replay.postgresql.dialect import over_rows, translated
from replay.postgresql.recorder import Factory
from tests.faults.client import until
from tests.support.postgres import GUARDED, PostgresServer, free_port, postgres

WRITERS = 32
EACH = 12


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture(name="place")
def _place(cluster: PostgresServer) -> Iterator[str]:
    with cluster.database() as place:
        yield place


def refusal(place: str) -> str:
    """Return the line that opening a place is refused with."""
    with pytest.raises(StoreOpenError) as refused:
        Ledger(environment_of(place)).close()
    told = str(refused.value)
    assert "\n" not in told
    return told


def test_a_database_that_cannot_keep_a_ledger_is_refused_in_one_line(
    cluster: PostgresServer, place: str
) -> None:
    cluster.run(
        "CREATE ROLE poor LOGIN",
        f"CREATE ROLE {GUARDED} LOGIN PASSWORD 'right'",
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
        "CREATE DATABASE frozen",
        "ALTER DATABASE frozen SET default_transaction_read_only = on",
    )
    where = f"127.0.0.1:{cluster.port}"
    name = place.rpartition("/")[2]

    assert 'database "nowhere" does not exist' in refusal(cluster.url("nowhere"))
    assert "Connection refused" in refusal(f"postgresql://x@127.0.0.1:{free_port()}/x")
    assert 'role "stranger" does not exist' in refusal(f"postgresql://stranger@{where}/{name}")
    wrong = refusal(f"postgresql://{GUARDED}:wrong@{where}/{name}")
    assert "password authentication failed" in wrong
    assert "wrong" not in wrong
    assert "permission denied for schema" in refusal(f"postgresql://poor@{where}/{name}")
    assert "encoding LATIN1; it must be UTF8" in refusal(cluster.url("latin"))
    assert "is read-only" in refusal(cluster.url("frozen"))
    # The URL's own parameters hold: this server speaks no TLS.
    assert "SSL" in refusal(f"{place}?sslmode=require")


def test_the_password_may_come_from_the_environment(
    cluster: PostgresServer, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = place.rpartition("/")[2]
    cluster.run(
        "CREATE ROLE keeper LOGIN PASSWORD 'right' IN ROLE pg_read_all_data",
        f'ALTER DATABASE "{name}" OWNER TO keeper',
    )
    monkeypatch.setenv("PGPASSWORD", "right")

    Ledger(environment_of(f"postgresql://keeper@127.0.0.1:{cluster.port}/{name}")).close()


def test_a_newer_schema_is_refused(place: str) -> None:
    Ledger(environment_of(place)).close()
    with psycopg.connect(place, autocommit=True) as admin:
        admin.execute("UPDATE meta SET value = 99 WHERE key = 'schema_version'")

    assert "schema version 99; this release knows" in refusal(place)


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("postgresql://u:secret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=secret&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("postgresql://u@h:5433/d", "postgresql://u@h:5433/d"),
        ("sqlite:data/ledger.db", "sqlite:data/ledger.db"),
    ],
)
def test_a_place_is_shown_without_its_password(place: str, shown: str) -> None:
    assert without_password(place) == shown


def test_a_follower_of_many_writers_skips_and_repeats_nothing(place: str) -> None:
    factory = Factory(environment_of(place) | {"ORIGINATOR_ID_TYPE": "text"})
    with closing(factory):
        recorder = factory.process_recorder()
        written: list[int] = []

        def write(number: int) -> None:
            for version in range(1, EACH + 1):
                event = StoredEvent(f"task:{number}", version, "t", b"{}")
                written.extend(recorder.insert_events([event]) or ())

        writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        seen: list[int] = []
        page: Sequence[Notification] = ()
        writing = True
        while writing or page:
            # Asked before reading, so that the last page is read after the last commit.
            writing = any(writer.is_alive() for writer in writers)
            start = seen[-1] if seen else 0
            page = recorder.select_notifications(start, 7, inclusive_of_start=False)
            seen += [each.id for each in page]
        for writer in writers:
            writer.join()

    assert seen == list(range(1, WRITERS * EACH + 1)) == sorted(written)


def test_selects_go_on_after_the_session_was_ended(cluster: PostgresServer, place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        cluster.end_sessions(place)

        assert ledger.reader.select("SELECT 1") == [(1,)]
        with ledger.snapshot() as reader:
            assert reader.select("SELECT 2") == [(2,)]


def test_only_one_process_leads_and_another_follows_when_it_ends(place: str) -> None:
    first, second = Ledger(environment_of(place)), Ledger(environment_of(place))
    with closing(second):
        with closing(first):
            assert first.access.leads()
            assert not second.access.leads()
            assert first.access.leads()

        # The server notices within moments that a session is gone.
        until(second.access.leads, "the second leads")


def test_processes_get_numbers_of_their_own(place: str) -> None:
    with closing(Ledger(environment_of(place))) as ledger:
        assert ledger.access.node() != ledger.access.node()


def test_the_lock_of_all_writers_is_busy_for_the_second(place: str) -> None:
    first, second = Ledger(environment_of(place)), Ledger(environment_of(place))
    with closing(first), closing(second):
        first.writer.begin()
        with pytest.raises(ForeignDatabaseError) as refused:
            second.writer.begin()
        first.writer.rollback()

        assert refused.value.busy
        assert second.writer.begin().in_transaction


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("SELECT a FROM t WHERE b = ? AND c = ?", "SELECT a FROM t WHERE b = $1 AND c = $2"),
        ("SELECT a FROM t LIMIT ?", "SELECT a FROM t LIMIT NULLIF($1::bigint, -1)"),
        (
            "CREATE TABLE IF NOT EXISTS t (a TEXT NOT NULL, b BLOB NOT NULL) WITHOUT ROWID",
            'CREATE TABLE IF NOT EXISTS t (a text COLLATE "C" NOT NULL, b bytea NOT NULL)',
        ),
    ],
)
def test_statements_are_translated(ours: str, theirs: str) -> None:
    assert translated(ours) == theirs


def test_rows_go_there_as_one_array_for_each_column() -> None:
    statement = "INSERT INTO t (a,b) VALUES (?,?) ON CONFLICT (a) DO NOTHING"

    assert over_rows(statement, (str, int)) == (
        "INSERT INTO t (a,b) SELECT * FROM unnest($1::text[], $2::bigint[])"
        " ON CONFLICT (a) DO NOTHING"
    )
    assert over_rows("DELETE FROM t WHERE a=? AND b=?", (str, int)) == (
        "DELETE FROM t WHERE (a, b) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))"
    )
    assert over_rows("UPDATE t SET a=?", (str,)) is None
