"""How the tables of the read models are defined.

Types are TEXT, INTEGER (64 bits) and BLOB, every column is NOT NULL, and the name of an index
begins with that of its table, so that another store or a second copy can rewrite a definition
mechanically.
"""

from collections.abc import Mapping

from projections.rows import Table


def define(
    name: str,
    *,
    key: Mapping[str, str],
    values: Mapping[str, str] | None = None,
    indexes: Mapping[str, str] | None = None,
    eager: bool = False,
    clustered: bool = True,
) -> Table:
    """Return a table. `key` and `values` give each column its type.

    `indexes` gives each index's suffix its columns and condition. A `clustered` table keeps its
    rows in the key itself, which suits short rows.
    """
    columns = {**key, **(values or {})}
    body = ", ".join(f"{column} {kind} NOT NULL" for column, kind in columns.items())
    ending = " WITHOUT ROWID" if clustered else ""
    create = f"CREATE TABLE IF NOT EXISTS {name} ({body}, PRIMARY KEY ({', '.join(key)})){ending}"
    created_indexes = (
        f"CREATE INDEX IF NOT EXISTS {name}_{suffix} ON {name} {definition}"
        for suffix, definition in (indexes or {}).items()
    )
    return Table(
        name=name,
        columns=tuple(columns),
        key_columns=len(key),
        ddl=(create, *created_indexes),
        eager=eager,
    )
