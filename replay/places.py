"""Where a ledger is kept, as operators write it: `sqlite:PATH` or `postgresql://…`."""

import re
from typing import Final

from replay.errors import StoreOpenError

SQLITE: Final = "sqlite:"
POSTGRESQL: Final = ("postgresql://", "postgres://")


CONNINFO: Final = "POSTGRES_CONNINFO"
"""What of a PostgreSQL URL the library has no name for, such as `sslmode`."""

_OF_THE_LIBRARY: Final = frozenset({"host", "port", "user", "password", "dbname"})
_PASSWORD: Final = re.compile(r"(://[^:/@?]*:).*(?=@)|(\bpassword=)[^&\s]*")
_UNCODED: Final = re.compile(r"://[^?]*[/@][^?]*@")


def without_password(place: str) -> str:
    """Return a place without the password that may be in it."""
    return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", place)


def environment_of(place: str) -> dict[str, str]:
    """Return the environment names of the event-store library that a place comes to.

    Raises StoreOpenError for one that cannot be understood; the text holds no secret.
    """
    if place.startswith(POSTGRESQL):
        return _postgresql(place)
    path = place.removeprefix(SQLITE)
    if path == place or not path.strip():
        raise StoreOpenError("store must be sqlite:PATH or postgresql://USER@HOST/DATABASE")
    return {"SQLITE_DBNAME": path}


def _postgresql(url: str) -> dict[str, str]:
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415

    if _UNCODED.search(url):
        # Otherwise its end would be taken for a host or a database, and be shown.
        raise StoreOpenError("store must be a PostgreSQL URL with its password percent-encoded")
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise StoreOpenError("store must be a PostgreSQL URL that can be read") from None
    user = known.get("user")
    if not user:
        # A guess could be the superuser, and with it a database that is not the ledger's.
        raise StoreOpenError("store must name its user, as postgresql://USER@HOST/DATABASE does")
    others = {name: value for name, value in known.items() if name not in _OF_THE_LIBRARY}
    return {
        CONNINFO: make_conninfo("", **others),
        "PERSISTENCE_MODULE": "replay.postgresql.recorder",
        # The ledger has sessions of its own beside the library's pool.
        "POSTGRES_POOL_SIZE": "1",
        "POSTGRES_HOST": str(known.get("host") or "localhost"),
        "POSTGRES_PORT": str(known.get("port") or 5432),
        "POSTGRES_USER": str(user),
        "POSTGRES_PASSWORD": str(known.get("password") or ""),
        "POSTGRES_DBNAME": str(known.get("dbname") or user),
    }
