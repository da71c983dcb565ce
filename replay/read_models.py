"""How each read model stands: which projector version wrote it, how far, and what stopped it.

One row of the store for each, written in the transaction of whatever it is about, so that it is
true after a crash and every process on the store sees it.
"""

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from replay.store import Connection, SqlReader

READ_MODELS: Final = "read_models"
CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {READ_MODELS}"
    " (name TEXT PRIMARY KEY, doc BLOB NOT NULL) WITHOUT ROWID"
)
"""`doc` is the JSON of a `Standing`."""

CREATE_HOLDS: Final = (
    "CREATE TABLE IF NOT EXISTS read_model_holds"
    " (name TEXT, stream TEXT, doc BLOB NOT NULL, PRIMARY KEY (name, stream)) WITHOUT ROWID"
)
"""The streams that a read model stands still for; `doc` is the JSON of a `Failure`."""

State: TypeAlias = Literal["live", "detached"]
Phase: TypeAlias = Literal["fold", "copy", "follow"]


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event that stopped a read model; `since` is in microseconds since the epoch."""

    sequence: int = 0
    type: str = ""
    error: str
    since: int = 0


class Rebuilding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rebuild that has begun and is to be finished, also after a crash.

    `position` is that of the new tables while they follow the log. `failure` is what stopped it;
    `held` are the streams that the new rows stand still for, and why.
    """

    version: int
    phase: Phase = "fold"
    position: int = 0
    started_at: int = 0
    repair: bool = False
    digest: str = ""
    failure: Failure | None = None
    held: dict[str, Failure] = {}


class Previous(Struct, frozen=True, kw_only=True):
    """The tables that the last rebuild replaced, and how far they had come."""

    version: int
    position: int


Ending: TypeAlias = Literal["rebuilt", "caught_up", "rolled_back", "canceled"]


class Ended(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the last work on a read model came to: how its rows are since then.

    It is written in the transaction that made it so. Whoever finds that the ledger does not tell it
    puts it on record: the one who asked for the work may be gone.
    """

    ending: Ending
    version: int
    position: int
    digest: str = ""


class Standing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a read model stands. A live one is written in the commit of each event.

    `generation` counts the switches to other tables; it makes index names unique. One that was
    `rolled_back` to the rows of another release waits for that release, or for a rebuild.
    """

    version: int
    state: State = "live"
    failure: Failure | None = None
    generation: int = 0
    previous: Previous | None = None
    rolled_back: bool = False
    rebuild: Rebuilding | None = None
    ended: Ended | None = None


_PUT: Final = (
    "INSERT INTO read_models VALUES (?,?) ON CONFLICT (name) DO UPDATE SET doc=excluded.doc"
)
_PUT_POSITION: Final = (
    "INSERT INTO tracking VALUES (?,?) ON CONFLICT (application_name)"
    " DO UPDATE SET notification_id=excluded.notification_id"
)
_PUT_HOLD: Final = (
    "INSERT INTO read_model_holds VALUES (?,?,?) ON CONFLICT (name, stream)"
    " DO UPDATE SET doc=excluded.doc"
)
_encode: Final = msgspec.json.Encoder().encode
_decode_failure: Final = msgspec.json.Decoder(Failure).decode
_decode: Final = msgspec.json.Decoder(Standing).decode


def standings(connection: Connection) -> dict[str, Standing]:
    """Return how the read models stand, by name."""
    rows = connection.execute("SELECT name, doc FROM read_models")
    return {name: _decode(doc) for name, doc in rows}


def standing_of(connection: Connection, name: str) -> Standing:
    """Return how a read model stands; raises LookupError for one the store does not have."""
    row = connection.execute("SELECT doc FROM read_models WHERE name=?", (name,)).fetchone()
    if row is None:
        message = f"the store has no read model {name!r}"
        raise LookupError(message)
    return _decode(row[0])


def put_standing(connection: Connection, name: str, standing: Standing) -> None:
    """Store how a read model stands, in the caller's transaction."""
    connection.execute(_PUT, (name, _encode(standing)))


def position_of(connection: Connection, name: str) -> int:
    """Return the sequence up to which a read model's rows go."""
    row = connection.execute(
        "SELECT notification_id FROM tracking WHERE application_name=?", (name,)
    ).fetchone()
    return row[0] if row else 0


def put_position(connection: Connection, name: str, position: int) -> None:
    """Store the sequence up to which a read model's rows go, be it further back than before."""
    connection.execute(_PUT_POSITION, (name, position))


Holds: TypeAlias = dict[str, dict[str, Failure]]
"""By read model the streams it stands still for, and what stopped them."""


def holds(connection: Connection) -> Holds:
    """Return what is held back."""
    found: Holds = {}
    for name, stream, doc in connection.execute("SELECT name, stream, doc FROM read_model_holds"):
        found.setdefault(name, {})[stream] = _decode_failure(doc)
    return found


def held_by(reader: SqlReader, name: str) -> tuple[Failure, ...]:
    """Return what the streams of one read model are held back by."""
    found = reader.select("SELECT doc FROM read_model_holds WHERE name=?", (name,))
    return tuple(_decode_failure(doc) for (doc,) in found)


def put_hold(connection: Connection, name: str, stream: str, failure: Failure) -> None:
    """Let a read model stand still for a stream, in the caller's transaction."""
    connection.execute(_PUT_HOLD, (name, stream, _encode(failure)))


def release(connection: Connection, name: str, stream: str = "") -> None:
    """Let a stream of a read model go, or all of them, in the caller's transaction."""
    statement = "DELETE FROM read_model_holds WHERE name=?"
    if stream:
        connection.execute(f"{statement} AND stream=?", (name, stream))
    else:
        connection.execute(statement, (name,))
