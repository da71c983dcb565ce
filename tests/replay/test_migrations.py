"""Tables grow by numbered steps: once each, also by many at once, beside old processes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from api.services import Services, build
from api.settings import Settings
from domain.values import LOCAL_USER, Origin
from replay import sqlite
from replay.errors import StoreOpenError
from replay.factory import Migrated
from replay.ledger import Ledger, migrate
from replay.migrations import FIRST, MIGRATIONS, Migration, latest
from replay.places import environment_of
from replay.postgresql import recorder as postgresql
from tests.replay.support import register
from tests.support.places import KINDS, place_in

MANY: Final = 4
NOW: Final = latest(MIGRATIONS)
NEXT: Final = Migration(
    NOW + 1,
    (
        "CREATE TABLE added (name TEXT PRIMARY KEY, doc BLOB NOT NULL)",
        "CREATE INDEX stored_events_topic ON stored_events (topic)",
    ),
)
BROKEN: Final = Migration(NOW + 1, (*NEXT.statements, "CREATE TABLE added (name TEXT)"))


class NextSQLite(sqlite.Factory):
    """A later release over a file."""

    def __init__(self, place: str, *steps: Migration) -> None:
        super().__init__({**Ledger.env, **environment_of(place)})
        self.migrations = (*MIGRATIONS, *steps)  # type: ignore[misc]


class NextPostgreSQL(postgresql.Factory):
    """A later release over a database."""

    def __init__(self, place: str, *steps: Migration) -> None:
        super().__init__({**Ledger.env, **environment_of(place)})
        self.migrations = (*MIGRATIONS, *steps)  # type: ignore[misc]


def upgraded(place: str, *steps: Migration) -> Migrated:
    """Migrate as a later release does."""
    kind = NextSQLite if place.startswith("sqlite:") else NextPostgreSQL
    with closing(kind(place, *steps)) as factory:
        return factory.migrate()


@pytest.fixture(name="place", params=KINDS)
def _place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return place_in(tmp_path, request.param)


def record(services: Services, name: str) -> None:
    context = services.context(LOCAL_USER, Origin("cli", "test"))
    services.committer.execute(register(name), context)


def test_the_numbers_of_migrations_have_no_gaps() -> None:
    assert [each.version for each in MIGRATIONS] == list(range(FIRST + 1, NOW + 1))


def test_tables_are_made_once(place: str) -> None:
    assert migrate(environment_of(place)) == Migrated(before=0, version=NOW)
    assert migrate(environment_of(place)) == Migrated(before=NOW, version=NOW)


def test_a_step_is_taken_once_and_the_old_process_goes_on(place: str) -> None:
    with closing(build(Settings(store=place))) as old:
        record(old, "before")

        assert upgraded(place, NEXT) == Migrated(before=NOW, version=NOW + 1)
        assert upgraded(place, NEXT) == Migrated(before=NOW + 1, version=NOW + 1)

        record(old, "after")
        assert [each.originator_id for each in old.ledger.read(0, 10)] == [
            "workspace:before",
            "workspace:after",
        ]
        assert old.ledger.reader.select("SELECT * FROM added") == []
    with pytest.raises(StoreOpenError, match=f"schema version {NOW + 1}; this release knows {NOW}"):
        migrate(environment_of(place))


def test_a_new_store_gets_every_step(place: str) -> None:
    assert upgraded(place, NEXT) == Migrated(before=0, version=NOW + 1)


def test_a_step_is_taken_once_by_many_at_once(place: str) -> None:
    migrate(environment_of(place))
    with ThreadPoolExecutor(MANY) as threads:
        done = list(threads.map(lambda _: upgraded(place, NEXT), range(MANY)))

    assert {each.version for each in done} == {NOW + 1}
    assert NOW in {each.before for each in done}


def test_a_step_that_fails_leaves_the_tables_as_they_were(place: str) -> None:
    migrate(environment_of(place))
    with pytest.raises(StoreOpenError, match="added"):
        upgraded(place, BROKEN)

    assert migrate(environment_of(place)) == Migrated(before=NOW, version=NOW)
    assert upgraded(place, NEXT) == Migrated(before=NOW, version=NOW + 1)
