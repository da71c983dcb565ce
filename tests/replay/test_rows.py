import sqlite3
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.rows import Row, Table
from projections.schema import define
from replay.rows import MissingError, RowBuffer

PAIRS = define("pairs", key={"a": "INTEGER", "b": "INTEGER"}, values={"value": "TEXT"}, eager=True)
LATE = define("late", key={"a": "INTEGER"}, values={"value": "TEXT"})
KEYS = define("keys_only", key={"a": "INTEGER", "b": "INTEGER"})
UNIQUE = Table(
    name="titles",
    columns=("id", "title"),
    key_columns=1,
    ddl=("CREATE TABLE titles (id INTEGER PRIMARY KEY, title TEXT UNIQUE)",),
)
TABLES = (PAIRS, LATE, KEYS, UNIQUE)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for table in TABLES:
        for statement in table.ddl:
            connection.execute(statement)
    yield connection
    connection.close()


@pytest.fixture
def rows(connection: sqlite3.Connection) -> RowBuffer:
    rows = RowBuffer(TABLES)
    rows.start(connection)
    return rows


def test_what_was_put_is_got_before_anything_is_written(
    rows: RowBuffer, connection: sqlite3.Connection
) -> None:
    rows.put(LATE, (1, "one"))

    assert rows.get(LATE, (1,)) == (1, "one")
    assert connection.execute("SELECT * FROM late").fetchall() == []


def test_of_the_rows_left_for_later_only_the_last_is_made(
    rows: RowBuffer, connection: sqlite3.Connection
) -> None:
    made: list[str] = []

    def make(value: str) -> tuple[int, str]:
        made.append(value)
        return (1, value)

    for value in ("a", "b", "c"):
        rows.put_later(LATE, (1,), make, value)
    assert made == []
    assert rows.get(LATE, (1,)) == (1, "c")

    rows.put_later(LATE, (1,), make, "d")
    rows.put(LATE, (1, "put"))
    assert rows.get(LATE, (1,)) == (1, "put")
    rows.put_later(LATE, (1,), make, "e")
    rows.delete(LATE, (1,))
    assert rows.get(LATE, (1,)) is None
    rows.put_later(LATE, (1,), make, "f")
    rows.flush()
    assert made == ["c", "f"]
    assert connection.execute("SELECT * FROM late").fetchall() == [(1, "f")]
    rows.put_later(LATE, (1,), make, "g")
    rows.discard()
    rows.flush()
    assert rows.select_keys(LATE, (1,)) == [(1, "f")]


def test_a_row_touched_often_is_written_once(
    rows: RowBuffer, connection: sqlite3.Connection
) -> None:
    written: list[str] = []
    connection.set_trace_callback(written.append)
    for number in range(5):
        rows.put(LATE, (1, str(number)))
    rows.flush()

    assert len([statement for statement in written if statement.startswith("INSERT")]) == 1
    assert rows.written() == {"late": [(1, "4")]}


def test_only_eager_tables_are_written_for_a_select(
    rows: RowBuffer, connection: sqlite3.Connection
) -> None:
    rows.put(PAIRS, (1, 2, "eager"))
    rows.put(LATE, (1, "late"))

    assert rows.select("SELECT value FROM pairs") == [("eager",)]
    assert rows.select("SELECT value FROM late") == []
    rows.flush(eager_only=True)
    assert connection.execute("SELECT * FROM late").fetchall() == []
    rows.flush()
    assert connection.execute("SELECT * FROM late").fetchall() == [(1, "late")]


def test_a_unique_value_can_move_to_another_row(rows: RowBuffer) -> None:
    rows.put(UNIQUE, (1, "title"))
    rows.flush()
    rows.put(UNIQUE, (2, "title"))
    rows.delete(UNIQUE, (1,))
    rows.flush()

    assert rows.select("SELECT * FROM titles") == [(2, "title")]


def test_a_row_of_keys_alone_can_be_put_again(rows: RowBuffer) -> None:
    for _ in range(2):
        rows.put(KEYS, (1, 2))
        rows.flush()

    assert rows.select_keys(KEYS, ()) == [(1, 2)]


def test_a_removed_row_is_gone_and_a_missing_one_is_no_error(rows: RowBuffer) -> None:
    rows.put(LATE, (1, "one"))
    rows.flush()
    rows.delete(LATE, (1,))
    rows.delete(LATE, (2,))
    assert rows.get(LATE, (1,)) is None
    rows.flush()

    assert rows.get(LATE, (1,)) is None
    assert rows.select("SELECT * FROM late") == []


def test_the_next_transaction_does_not_see_rows_of_an_undone_one(
    rows: RowBuffer, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN")
    rows.put(LATE, (1, "one"))
    rows.flush()
    connection.execute("ROLLBACK")
    rows.finish()
    rows.start(connection)

    assert rows.get(LATE, (1,)) is None
    assert rows.written() == {}


SMALL = st.integers(0, 2)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), SMALL, SMALL, st.text("xy", max_size=2)),
        st.tuples(st.just("delete"), SMALL, SMALL),
        st.tuples(st.just("get"), SMALL, SMALL),
        st.tuples(st.just("prefix"), SMALL),
        st.tuples(st.just("flush")),
        st.tuples(st.just("select")),
    ),
    max_size=40,
)


@given(steps=STEPS)
def test_rows_are_those_of_a_plain_mapping(steps: list[tuple[str, *tuple[int, ...]]]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(PAIRS.ddl[0])
    rows = RowBuffer([PAIRS])
    rows.start(connection)
    model: dict[tuple[int, ...], tuple[object, ...]] = {}
    for action, *values in steps:
        key = tuple(values[:2])
        match action:
            case "put":
                model[key] = tuple(values)
                rows.put(PAIRS, tuple(values))
            case "delete":
                model.pop(key, None)
                rows.delete(PAIRS, key)
            case "get":
                assert rows.get(PAIRS, key) == model.get(key)
            case "prefix":
                found = [row for _, row in sorted(model.items()) if row[0] == values[0]]
                assert rows.select_keys(PAIRS, key) == found
            case "flush":
                rows.flush()
            case _:
                assert sorted(rows.select("SELECT * FROM pairs")) == sorted(model.values())
    rows.flush()

    assert sorted(connection.execute("SELECT * FROM pairs")) == sorted(model.values())
    connection.close()


@pytest.fixture
def far(connection: sqlite3.Connection) -> RowBuffer:
    rows = RowBuffer(TABLES)
    rows.start(connection, far=True)
    return rows


def more(row: Row | None, key: int, text: str) -> Row | None:
    known = row[1] if row else ""
    return (key, known + text) if text else None


def test_a_row_that_is_far_away_is_altered_once_it_is_there(
    far: RowBuffer, connection: sqlite3.Connection
) -> None:
    connection.execute("INSERT INTO late VALUES (1, 'a')")
    for text in ("b", "c"):
        far.alter(LATE, (1,), more, 1, text)
    far.alter(LATE, (2,), more, 2, "x")
    # What was asked for is what was stored then.
    connection.execute("DELETE FROM late")

    assert far.get(LATE, (1,)) == (1, "abc")
    far.alter(LATE, (1,), more, 1, "d")
    far.alter(LATE, (2,), more, 2, "")
    far.flush()
    assert connection.execute("SELECT * FROM late").fetchall() == [(1, "abcd")]
    assert far.written() == {"late": [(1, "abcd")]}


def test_what_is_altered_can_be_taken_back(far: RowBuffer, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    far.alter(LATE, (1,), more, 1, "a")
    saved = far.saved([LATE])
    far.alter(LATE, (1,), more, 1, "b")
    far.alter(LATE, (2,), more, 2, "c")
    far.restore(saved)

    assert far.get(LATE, (1,)) == (1, "a")
    assert far.get(LATE, (2,)) is None


def test_what_is_missing_is_noted_and_read_in_one_go(
    far: RowBuffer, connection: sqlite3.Connection
) -> None:
    connection.execute("INSERT INTO late VALUES (1, 'one')")
    connection.execute("INSERT INTO pairs VALUES (1, 2, 'pair')")
    statement = "SELECT value FROM pairs WHERE b = ?"
    looks: list[Callable[[], object]] = [
        lambda: far.get(LATE, (1,)),
        lambda: far.get(LATE, (2,)),
        lambda: far.select_keys(PAIRS, (1,)),
        lambda: far.select(statement, (2,)),
    ]
    with far.looking_ahead():
        for look in looks:
            with pytest.raises(MissingError):
                look()
        # This cannot be foreseen.
        with pytest.raises(MissingError):
            far.select_keys(PAIRS, (1, 2))
    assert far.ask(connection)
    far.learn()
    connection.execute("DELETE FROM late")
    connection.execute("DELETE FROM pairs")

    assert [look() for look in looks] == [(1, "one"), None, [(1, 2, "pair")], [("pair",)]]
    assert far.reads == 0
    assert not far.ask(connection)


def test_an_answer_holds_until_rows_of_its_table_are_stored(far: RowBuffer) -> None:
    statement = "SELECT value FROM pairs"
    assert far.select_stored(statement) == []
    far.put(PAIRS, (1, 2, "pair"))

    assert far.select_stored(statement) == []
    assert far.unstored(PAIRS) == {(1, 2): (1, 2, "pair")}
    assert far.select(statement) == [("pair",)]
    assert far.select_stored(statement) == [("pair",)]
    assert far.unstored(PAIRS) == {}
