"""Stores that commands work on themselves: which one is meant, and that nobody serves it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from api.cli.failures import USAGE, Failure
from api.cli.options import option
from api.settings import Settings, SettingsError, check

if TYPE_CHECKING:
    from api.services import Services

Opened: TypeAlias = "Callable[[], AbstractContextManager[Services]]"


blob_store_option = option(
    "--blob-store",
    envvar="TASKLEDGER_BLOB_STORE",
    default="",
    help="Where the server keeps artifacts and logs, if not beside the events: s3://BUCKET/PREFIX.",
)


def settings_of(store: str, name: str = "--store", blob_store: str = "") -> Settings:
    """Return the settings with a store that can be one; raises Failure, which holds no secret."""
    names = {"store": name, "blob_store": "--to-blobs" if name == "--to" else "--blob-store"}
    try:
        return check(Settings(store=store, blob_store=blob_store), lambda field: names[field])
    except SettingsError as error:
        raise Failure(str(error), USAGE) from error


@contextmanager
def held_alone(settings: Settings) -> Iterator[Opened]:
    """Yield what opens a store, made if need be, that no server has meanwhile.

    Raises Failure, also for whatever goes wrong with the store inside.
    """
    from replay.connections import prepare_path
    from replay.errors import DATABASE_ERRORS, ReplayError
    from replay.lock import StoreLock

    path = settings.sqlite_path
    try:
        if not path:
            yield lambda: _leading(settings)
            return
        prepare_path(path)
        lock = StoreLock(path)
        try:
            yield lambda: _opened(settings)
        finally:
            lock.release()
    except (SettingsError, ReplayError, *DATABASE_ERRORS, OSError) as error:
        raise Failure(str(error), USAGE) from error


@contextmanager
def _opened(settings: Settings) -> "Iterator[Services]":
    from api.services import build

    with closing(build(settings)) as services:
        yield services


@contextmanager
def _leading(settings: Settings) -> "Iterator[Services]":
    """Yield the services over a database of which this process is the leader till the end."""
    from replay.errors import StoreInUseError

    with _opened(settings) as services:
        access = services.ledger.access
        if not access.leads():
            raise StoreInUseError(access.place, 0, "")
        yield services
