"""What goes wrong with a store, made to happen on whichever store a test has."""

import sqlite3

from api.services import Services


def refuse_writes(services: Services) -> None:
    """Let the writing session refuse what it is asked next."""
    connection = services.ledger.writer.connection
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA query_only=ON")
    else:
        connection.execute("SET default_transaction_read_only = on")


def drop_table(services: Services, name: str) -> None:
    """Take a table away that the server needs."""
    services.ledger.writer.connection.execute(f"DROP TABLE {name}")
