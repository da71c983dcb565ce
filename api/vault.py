"""Secrets that have to be usable: encrypted, beside the events, in a table no export carries."""

import base64
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.settings import Settings, SettingsError
from domain.errors import ValidationError
from replay.blobs.files import sync_folder
from replay.blobs.store import failing_as_unavailable
from replay.ledger import Ledger
from replay.store import Row

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_KEY_BYTES: Final = 32
# The table is called after what it was made for.
_COUNT: Final = "SELECT count(*) FROM bridge_secrets"
_FIND: Final = "SELECT sealed FROM bridge_secrets WHERE secret_id = ?"
_INSERT: Final = "INSERT INTO bridge_secrets VALUES (?, ?)"
_IDS: Final = "SELECT secret_id FROM bridge_secrets WHERE secret_id LIKE ?"
_FORGET: Final = "DELETE FROM bridge_secrets WHERE secret_id = ?"


def kept_in(ledger: Ledger) -> int:
    """Return how many secrets a store keeps, which no export or copy carries."""
    return int(ledger.reader.select(_COUNT)[0][0])


class Vault:
    """Keeps secrets by id, for any thread.

    A key file that the settings name has to be there; the one beside a store in a file is made
    when it is first needed, readable by nobody else.
    """

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        """Read the key, if there is one; raises SettingsError for an unusable file."""
        self._ledger = ledger
        configured, store = settings.secret_key_file, settings.sqlite_path
        self._path = Path(configured or f"{store}.key")
        self._may_make = bool(store) and not configured
        self._fernet: Fernet | None = None
        if configured or (store and self._path.exists()):
            self._fernet = self._read_key()

    @property
    def usable(self) -> bool:
        """Whether there is a key, or one can be made."""
        return self._fernet is not None or self._may_make

    def _read_key(self) -> "Fernet":
        from cryptography.fernet import Fernet  # noqa: PLC0415 - servers without secrets start without it

        try:
            return Fernet(self._path.read_bytes().strip())
        except (OSError, ValueError) as error:
            problem = (
                f"secret_key_file {self._path} must hold 32 bytes in URL-safe base64"
                f" ({type(error).__name__})"
            )
            raise SettingsError([problem]) from None

    def _key(self) -> "Fernet":
        if self._fernet is None:
            if not self._may_make:
                raise ValidationError("secrets need a key to be kept with: set secret_key_file")
            self._make_key()
            self._fernet = self._read_key()
        return self._fernet

    def _make_key(self) -> None:
        """Make the key file, durably; another process may be at it just now."""
        folder, name = self._path.parent, self._path.name
        with failing_as_unavailable(), tempfile.NamedTemporaryFile(dir=folder, prefix=name) as file:
            file.write(base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(file.name, self._path)
            sync_folder(folder)

    def keep(self, secret_id: str, secret: str) -> None:
        """Store a secret durably under an id of its own; it counts once an event names that.

        Raises ValidationError when there is no key, and StoreUnavailableError.
        """
        sealed = self._key().encrypt(secret.encode())
        with self._ledger.access.apart() as session:
            session.execute(_INSERT, (secret_id, sealed))

    def keep_first(self, secret_id: str, secret: str) -> str:
        """Store a secret unless there is one that can be read; return the one that counts.

        All processes on a store get the same one. Raises as `keep` does.
        """
        key = self._key()
        if (found := self.secret(secret_id)) is not None:
            return found
        with self._ledger.access.apart() as session:
            for (sealed,) in session.execute(_FIND, (secret_id,)).fetchall():
                if _opened(key, sealed) is None:
                    session.execute(f"{_FORGET} AND sealed = ?", (secret_id, sealed))
            sealed = key.encrypt(secret.encode())
            session.execute(f"{_INSERT} ON CONFLICT DO NOTHING", (secret_id, sealed))
        return self.secret(secret_id) or secret

    def forget(self, *secret_ids: str) -> None:
        """Remove secrets, those that are here; raises StoreUnavailableError."""
        with self._ledger.access.apart() as session:
            for secret_id in secret_ids:
                session.execute(_FORGET, (secret_id,))

    def kept(self, prefix: str) -> list[str]:
        """Return the ids of all secrets that begin so; raises StoreUnavailableError."""
        return [row[0] for row in self._select(_IDS, f"{prefix}%")]

    def secret(self, secret_id: str) -> str | None:
        """Return a secret; None when it is not in this store, or sealed with another key.

        Raises StoreUnavailableError.
        """
        if self._fernet is None:
            return None
        found = self._select(_FIND, secret_id)
        return _opened(self._fernet, found[0][0]) if found else None

    def _select(self, statement: str, *values: str) -> list[Row]:
        with self._ledger.snapshot() as reader:
            return reader.select(statement, values)


def _opened(key: "Fernet", sealed: bytes) -> str | None:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415

    try:
        return key.decrypt(sealed).decode()
    except InvalidToken:
        return None
