"""Rows on their way from a scratch file into the copies of tables, a slice at a time."""

from collections.abc import Iterator
from typing import Final

from replay import tables
from replay.rows import Table
from replay.scratch import Scratch
from replay.store import Connection
from replay.workbench import Workbench

_SENT: Final = 10_000


def filled(bench: Workbench, made: Scratch) -> Iterator[tuple[int, int]]:
    """Copy what is not there yet; yield how many rows there are, and how many there will be."""
    of_it = bench.projector.tables
    target = sum(_count(made.connection, table, "") for table in of_it)
    copied = 0
    with bench.ledger.access.attached(made.path) as schema:
        for table in of_it:
            copied += _count(bench.ledger.writer.connection, table, tables.NEXT)
            slices = _poured(bench, schema, table) if schema else _sent(bench, made, table)
            for count in slices:
                copied += count
                yield copied, target


def _poured(bench: Workbench, schema: str, table: Table) -> Iterator[int]:
    """Let the store copy a table by itself; yield the number of rows of each slice."""
    target, columns, order = f"{table.name}{tables.NEXT}", _names(table), _order(table)
    count = -1
    while count:
        with bench.slicing() as connection:
            last = tables.last_key(connection, table, tables.NEXT)
            count = connection.execute(
                f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {schema}.{table.name}"
                f"{_behind(table, last)} ORDER BY {order} LIMIT ?",
                (*last, bench.slice),
            ).rowcount
        yield count


def _sent(bench: Workbench, made: Scratch, table: Table) -> Iterator[int]:
    """Send the rows of a table to the store; yield the number of rows of each page."""
    last = tables.last_key(bench.ledger.writer.connection, table, tables.NEXT)
    columns, behind = _names(table), _behind(table, last)
    cursor = made.connection.execute(
        f"SELECT {columns} FROM {table.name}{behind} ORDER BY {_order(table)}", last
    )
    values = ",".join("?" * len(table.columns))
    insert = f"INSERT INTO {table.name}{tables.NEXT} ({columns}) VALUES ({values})"
    # Nobody sees the copy yet, so the lock of all who write is not needed.
    with bench.ledger.access.loading() as session:
        while page := cursor.fetchmany(_SENT):
            session.executemany(insert, page)
            yield len(page)


def _names(table: Table) -> str:
    return ",".join(table.columns)


def _order(table: Table) -> str:
    return ",".join(table.columns[: table.key_columns])


def _behind(table: Table, last: tuple[object, ...]) -> str:
    return f" WHERE ({_order(table)}) > ({','.join('?' * len(last))})" if last else ""


def _count(connection: Connection, table: Table, suffix: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table.name}{suffix}").fetchone()
    count: int = row[0]
    return count
