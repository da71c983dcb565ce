"""The moment in which other tables become the live ones, in a transaction of the caller."""

from replay import tables
from replay.batch import Projector
from replay.read_models import (
    Ended,
    Failure,
    Previous,
    Standing,
    holds,
    position_of,
    put_hold,
    put_position,
    put_standing,
    release,
    standing_of,
)
from replay.store import Connection


def switch(connection: Connection, projector: Projector, position: int) -> None:
    """Put the rebuilt tables, which go up to `position`, in place of the live ones."""
    name, made = projector.name, projector.tables
    standing = standing_of(connection, name)
    previous = Previous(version=standing.version, position=position_of(connection, name))
    standing_still = name in holds(connection)
    release(connection, name)
    for stream, failure in (standing.rebuild.held if standing.rebuild else {}).items():
        put_hold(connection, name, stream, failure)
    if tables.complete(connection, made):
        tables.rename(connection, made, "", tables.PREVIOUS)
    else:
        tables.drop(connection, made, "")
    tables.rename(connection, made, tables.NEXT, "")
    put_position(connection, name, position)
    whole = tables.complete(connection, made, tables.PREVIOUS)
    digest = standing.rebuild.digest if standing.rebuild else ""
    live = Standing(
        version=projector.version,
        generation=standing.generation + 1,
        previous=previous if whole and not standing_still else None,
        ended=Ended(ending="rebuilt", version=projector.version, position=position, digest=digest),
    )
    put_standing(connection, name, live)


def swap(connection: Connection, projector: Projector, position: int, now: int) -> None:
    """Let the live tables and those that were replaced, up to `position`, change places."""
    name = projector.name
    standing = standing_of(connection, name)
    assert standing.previous is not None
    version = standing.previous.version
    before = Previous(version=standing.version, position=position_of(connection, name))
    standing_still = name in holds(connection)
    release(connection, name)
    tables.swap(connection, projector.tables)
    put_position(connection, name, position)
    current = version == projector.version
    error = f"rolled back to version {version}, which another release writes"
    put_standing(
        connection,
        name,
        Standing(
            version=version,
            state="live" if current else "detached",
            failure=None if current else Failure(error=error, since=now),
            generation=standing.generation + 1,
            previous=None if standing_still else before,
            rolled_back=not current,
            ended=Ended(ending="rolled_back", version=version, position=position),
        ),
    )
