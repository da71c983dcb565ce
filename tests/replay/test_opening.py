"""Which PostgreSQL databases can keep a ledger, and with what a process connects to them."""

from contextlib import closing

import psycopg
import pytest

from replay.errors import StoreOpenError
from replay.ledger import Ledger
from replay.places import environment_of, without_password
from tests.replay.support import PROJECTORS, committer_of, context, register
from tests.support.ports import free_port
from tests.support.postgres import GUARDED, PostgresServer


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


def test_the_url_says_how_to_connect_before_what_is_usual(place: str) -> None:
    more = "connect_timeout=3&application_name=mine&options=-c%20lock_timeout%3D7s"
    shown = "SELECT current_setting('application_name'), current_setting('lock_timeout')"
    with closing(Ledger(environment_of(f"{place}?{more}"))) as ledger:
        assert ledger.reader.select(shown) == [("mine", "7s")]
        # An event loop waits for what is read.
        assert ledger.reader.select("SHOW statement_timeout") == [("5s",)]
        writing = ledger.writer.connection.execute("SHOW statement_timeout")
        assert writing.fetchone() == ("30s",)
        assert ledger.writer.connection.execute("SHOW lock_timeout").fetchone() == ("7s",)
        assert ledger.writer.lock_timeout == 7


def test_the_server_is_to_notice_when_a_host_goes_without_a_word(place: str) -> None:
    # Only then does what leads there, or keeps a lock there, let go of it.
    names = "('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count')"
    shown = f"SELECT setting FROM pg_settings WHERE name IN {names} ORDER BY name DESC"
    with closing(Ledger(environment_of(place))) as ledger:
        interval, idle, count = (int(value) for (value,) in ledger.reader.select(shown))
    assert 0 < idle + interval * count < 30


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
        ("postgresql://u:se/cr@et:@h/d?x=1", "postgresql://u:***@h/d?x=1"),
        ("sqlite:data/ledger.db", "sqlite:data/ledger.db"),
    ],
)
def test_a_place_is_shown_without_its_password(place: str, shown: str) -> None:
    assert without_password(place) == shown


@pytest.mark.parametrize("password", ["se/cret", "se@cret", "12/34", "@", "/"])
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(StoreOpenError, match="percent-encoded") as refused:
        environment_of(f"postgresql://u:{password}@h/d")
    assert password not in str(refused.value).split()


def test_a_database_with_a_table_of_somebody_else_is_refused(place: str) -> None:
    name = PROJECTORS[0].tables[0].name
    with psycopg.connect(place) as admin:
        admin.execute(f"CREATE TABLE {name} (mine text)".encode())
    with closing(Ledger(environment_of(place))) as ledger:
        with pytest.raises(StoreOpenError, match=f'table "{name}" that is not the ledger\'s'):
            committer_of(ledger)
        assert ledger.reader.select(f"SELECT mine FROM {name}") == []


def test_tables_of_somebody_else_in_a_schema_of_their_own_do_not_matter(place: str) -> None:
    with psycopg.connect(place) as admin:
        admin.execute("CREATE SCHEMA other")
        for name in ("meta", PROJECTORS[0].tables[0].name):
            admin.execute(f"CREATE TABLE other.{name} (mine text)".encode())
    with closing(Ledger(environment_of(place))) as ledger:
        committer_of(ledger)


def test_the_ledger_may_have_a_schema_of_its_own(place: str) -> None:
    own = f"{place}?options=-c%20search_path%3Down"
    assert "no schema" in refusal(own)
    with psycopg.connect(place) as admin:
        admin.execute("CREATE SCHEMA own")
    with closing(Ledger(environment_of(own))) as ledger:
        committer_of(ledger).execute(register("w1"), context())
    asked = "SELECT DISTINCT schemaname FROM pg_tables WHERE schemaname IN ('own', 'public')"
    with psycopg.connect(place) as admin:
        assert admin.execute(asked).fetchall() == [("own",)]
