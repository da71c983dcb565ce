"""The list of read models, and how their tables are defined."""

import sqlite3

import pytest

from projections.catalog import PROJECTORS
from projections.rows import Projector
from projections.schema import define

TABLES = [table for projector in PROJECTORS for table in projector.tables]


def test_names_are_unique() -> None:
    for names in ([p.name for p in PROJECTORS], [table.name for table in TABLES]):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("projector", PROJECTORS, ids=lambda projector: projector.name)
def test_names_and_versions_are_stored_data(projector: Projector) -> None:
    assert (projector.name, projector.version) in {
        ("lookup", 1),
        ("backlog", 3),
        ("reviews", 1),
        ("tasks", 1),
        ("runs", 1),
        ("dashboard", 3),
        ("inbox", 2),
        ("registry", 1),
        ("bridges", 1),
        ("tempest", 1),
        ("timeline", 1),
        ("ona", 1),
        ("posthog_lookup", 1),
        ("posthog", 1),
    }


def test_a_table_has_its_columns_key_and_indexes() -> None:
    table = define(
        "things",
        key={"a": "TEXT", "b": "INTEGER"},
        values={"c": "BLOB"},
        indexes={"c": "(c) WHERE b = 1"},
        eager=True,
    )

    assert (table.columns, table.key_columns, table.eager) == (("a", "b", "c"), 2, True)
    assert table.ddl == (
        "CREATE TABLE IF NOT EXISTS things (a TEXT NOT NULL, b INTEGER NOT NULL, c BLOB NOT NULL,"
        " PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE INDEX IF NOT EXISTS things_c ON things (c) WHERE b = 1",
    )


def test_a_table_of_long_rows_keeps_them_beside_the_key() -> None:
    table = define("things", key={"a": "TEXT"}, clustered=False)

    assert table.ddl == ("CREATE TABLE IF NOT EXISTS things (a TEXT NOT NULL, PRIMARY KEY (a))",)


def test_definitions_may_be_run_again() -> None:
    connection = sqlite3.connect(":memory:")
    for _ in range(2):
        for table in TABLES:
            for statement in table.ddl:
                connection.execute(statement)
    connection.close()
