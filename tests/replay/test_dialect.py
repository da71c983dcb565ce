"""Statements as PostgreSQL understands them."""

import pytest

from replay.postgresql.dialect import by_copy, over_rows, translated


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
    with pytest.raises(ValueError, match="UPDATE"):
        over_rows("UPDATE t SET a=?", (str,))


def test_many_rows_go_there_by_copy() -> None:
    assert by_copy("INSERT INTO t (a,b,c) VALUES (?,?,?)", ("a", 1, b"")) == (
        "COPY t (a,b,c) FROM STDIN (FORMAT BINARY)",
        ["text", "int8", "bytea"],
    )
    with pytest.raises(ValueError, match="CONFLICT"):
        by_copy("INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO NOTHING", (1,))
